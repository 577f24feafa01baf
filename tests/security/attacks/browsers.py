"""Attacks through a browser, or on another person's: callbacks, flows and cookies."""

from __future__ import annotations

import time

from django.http import HttpResponse

from django_ms_identity import sessions
from tests.journeys.steps import asked, code_of
from tests.security.malicious_provider import OMIT, Parameters, tamper_callback, tamper_id_token
from tests.support.web import Browser

from .harness import NOBODY, Case, Group, Harness, later, who

FORM_POST = {"response_mode": "form_post"}
CALLBACK = "/ms/callback/microsoft/"
LINK = "/ms/connections/microsoft/link/"


# What the browser brings back


def without(*names: str):
    return lambda pairs: [(name, value) for name, value in pairs if name not in names]


def with_(**changes: str):
    """Put these parameters in place of those of their name, or beside the others."""

    def change(pairs: Parameters) -> Parameters:
        return [*without(*changes)(pairs), *changes.items()]

    return change


def twice(name: str):
    return lambda pairs: [*pairs, *[pair for pair in pairs if pair[0] == name]]


def refused(**parameters: str):
    """Bring an error in place of the code."""
    return lambda pairs: [*without("code", "session_state", "client_info")(pairs), *parameters.items()]


def callback_case(id: str, sentence: str, code: str, change) -> Case:
    return Case(id=id, group=Group.AUTHORIZE, sentence=sentence, code=code, tampering=tamper_callback(change))


def noisy_parameters(harness: Harness) -> HttpResponse:
    harness.microsoft.tampering = tamper_callback(
        with_(client_info="MQ", iss="https://evil.example/", id_token="a.b.c", next="https://evil.example/")
    )
    return harness.sign_in()


def post_where_query(harness: Harness) -> HttpResponse:
    callback = harness.pick(harness.browser)
    return harness.browser.post(CALLBACK, asked(callback.url))


def code_in_the_address(harness: Harness) -> HttpResponse:
    callback = harness.pick(harness.browser, secure=True)
    return harness.browser.get(CALLBACK, dict(callback.fields), secure=True)


INVALID = "callback_invalid"
AUTHORIZE = [
    Case(
        id="authorize-denied",
        group=Group.AUTHORIZE,
        sentence="The visitor turns back at Microsoft.",
        code="sign_in_cancelled",
        act=lambda harness: harness.sign_in(persona="cancel"),
    ),
    callback_case(
        "authorize-script-in-description",
        "The description of the error is a script.",
        "sign_in_cancelled",
        refused(error="access_denied", error_description="<script>alert(1)</script>"),
    ),
    callback_case(
        "authorize-script-in-error",
        "The error itself is a script.",
        "microsoft_refused",
        refused(error="<script>alert(1)</script>", error_description="AADSTS1: <script>"),
    ),
    callback_case(
        "authorize-script-in-trace-id",
        "The trace id in the description is a script.",
        "sign_in_cancelled",
        refused(error="access_denied", error_description="AADSTS1 Trace ID: <script>alert(1)</script>"),
    ),
    callback_case(
        "authorize-error-lines",
        "The error has line breaks, to write lines of its own into the log.",
        "microsoft_refused",
        refused(error="x\r\nplanted: 1", error_description="AADSTS1\r\nplanted"),
    ),
    callback_case(
        "authorize-error-snowman", "The error is a snowman.", "microsoft_refused", refused(error="☃")
    ),
    callback_case(
        "authorize-error-long", "The error is very long.", "microsoft_refused", refused(error="e" * 5000)
    ),
    callback_case("authorize-wrong-state", "The state is another.", "flow_missing", with_(state="s" * 32)),
    callback_case("authorize-no-state", "There is no state.", INVALID, without("state")),
    callback_case("authorize-empty-state", "The state is empty.", INVALID, with_(state="")),
    callback_case(
        "authorize-odd-state", "The state is one that we never make.", INVALID, with_(state="../../x" * 4)
    ),
    callback_case("authorize-nothing", "There is nothing but a state.", INVALID, without("code")),
    callback_case("authorize-empty-code", "The code is empty.", INVALID, with_(code="")),
    callback_case(
        "authorize-code-and-error", "Code and error come together.", INVALID, with_(error="access_denied")
    ),
    callback_case("authorize-two-states", "The state comes twice.", INVALID, twice("state")),
    callback_case("authorize-two-codes", "The code comes twice.", INVALID, twice("code")),
    callback_case(
        "authorize-two-errors",
        "The error comes twice.",
        INVALID,
        lambda pairs: [*refused(error="access_denied")(pairs), ("error", "server_error")],
    ),
    callback_case("authorize-code-long", "The code has 2,801 characters.", INVALID, with_(code="x" * 2801)),
    callback_case("authorize-code-lines", "The code has line breaks.", INVALID, with_(code="x\r\nEvil: 1")),
    callback_case("authorize-code-nul", "The code has a NUL.", INVALID, with_(code="a\0b")),
    callback_case(
        "authorize-code-surrogate", "The code has half a character.", INVALID, with_(code="a\ud800")
    ),
    callback_case("authorize-made-up-code", "The code is made up.", "code_expired", with_(code="1.made-up")),
    Case(
        id="authorize-noise",
        group=Group.AUTHORIZE,
        sentence="Parameters that were not asked for come along: `client_info`, `iss`, `id_token`, `next`.",
        act=noisy_parameters,
        harmless="They are not read, and the visitor is signed in.",
    ),
    Case(
        id="authorize-too-many-parameters",
        group=Group.AUTHORIZE,
        sentence="Two thousand parameters come along.",
        code=INVALID,
        tampering=tamper_callback(lambda pairs: [*pairs, *[("a", "1")] * 2000]),
    ),
    Case(
        id="authorize-post-where-query",
        group=Group.AUTHORIZE,
        sentence="The answer comes by a form where it has to come by the address.",
        status=405,
        act=post_where_query,
    ),
    Case(
        id="authorize-query-where-form-post",
        group=Group.AUTHORIZE,
        sentence="The code comes by the address where it has to come by a form.",
        status=405,
        act=code_in_the_address,
        provider=FORM_POST,
    ),
]


# Flows


def flow_cookies(browser: Browser) -> dict[str, str]:
    return {name: cookie.value for name, cookie in browser.cookies.items() if "ms_identity_" in name}


def copy_cookies(source: Browser, target: Browser) -> None:
    target.cookies.load(flow_cookies(source))


def planted_answer(harness: Harness) -> HttpResponse:
    """Have the victim open the link by which the attacker would come back."""
    return harness.pick(harness.open_browser(), "admin").send(harness.browser)


def planted_code(harness: Harness) -> HttpResponse:
    """Put the attacker's code into a flow that the victim has started."""
    theirs = asked(harness.pick(harness.open_browser(), "admin").url)["code"]
    mine = asked(harness.press(harness.browser))["state"]
    return harness.browser.get(CALLBACK, {"state": mine, "code": theirs})


def stolen_link(harness: Harness) -> HttpResponse:
    """Open the victim's whole link in the attacker's browser."""
    return harness.pick(harness.open_browser()).send(harness.browser)


def stolen_code(harness: Harness) -> HttpResponse:
    """Put the victim's code into a flow that the attacker has started."""
    victims = asked(harness.pick(harness.open_browser()).url)["code"]
    mine = asked(harness.press(harness.browser))["state"]
    return harness.browser.get(CALLBACK, {"state": mine, "code": victims})


def replayed_code(harness: Harness) -> HttpResponse:
    victim = harness.open_browser()
    callback = harness.pick(victim)
    callback.send(victim)
    mine = asked(harness.press(harness.browser))["state"]
    harness.watch()
    return harness.browser.get(CALLBACK, {"state": mine, "code": asked(callback.url)["code"]})


def replayed_state(harness: Harness) -> HttpResponse:
    """Replay the victim's link with a copy of all their cookies of that moment."""
    victim = harness.open_browser()
    callback = harness.pick(victim)
    copy_cookies(victim, harness.browser)
    callback.send(victim)
    harness.watch()
    return callback.send(harness.browser)


def replay_after_failure(harness: Harness) -> HttpResponse:
    callback = harness.pick(harness.browser)
    kept = flow_cookies(harness.browser)
    harness.microsoft.answer_next("token", status=500)
    assert code_of(callback.send(harness.browser)) == "microsoft_unavailable"
    harness.browser.cookies.load(kept)
    return callback.send(harness.browser)


def replay_after_sign_out(harness: Harness) -> HttpResponse:
    """Press the back button on a shared computer after the owner has signed out."""
    callback = harness.pick(harness.browser)
    callback.send(harness.browser)
    harness.browser.post("/ms/sign-out/")
    harness.watch()
    return callback.send(harness.browser)


def reload(harness: Harness) -> HttpResponse:
    callback = harness.pick(harness.browser)
    callback.send(harness.browser)
    harness.watch()
    response = callback.send(harness.browser)
    harness.assert_untouched()
    return response


def two_tabs(harness: Harness) -> HttpResponse:
    first, second = (
        harness.pick(harness.browser, next="/home/?1"),
        harness.pick(harness.browser, next="/home/?2"),
    )
    assert second.send(harness.browser).headers["Location"] == "/home/?2"
    return first.send(harness.browser)


def fixation(harness: Harness) -> HttpResponse:
    """Give the victim a session key that the attacker knows."""
    attacker = harness.open_browser()
    attacker.session.save()
    planted = attacker.cookies["sessionid"].value
    harness.browser.cookies["sessionid"] = planted
    response = harness.sign_in()
    assert harness.browser.cookies["sessionid"].value != planted
    assert who(attacker) == NOBODY
    return response


def fixation_of_the_signed_in(harness: Harness) -> HttpResponse:
    """Sign the attacker's own session over to the victim."""
    attacker = harness.open_browser()
    harness.sign_in(attacker, "admin")
    harness.browser.cookies["sessionid"] = attacker.cookies["sessionid"].value
    response = harness.sign_in(prompt="select_account")
    assert who(attacker) == NOBODY
    return response


def too_late(harness: Harness) -> HttpResponse:
    callback = harness.pick(harness.browser)
    with later(31 * 60):
        return callback.send(harness.browser)


def after_deploying(harness: Harness) -> HttpResponse:
    """Bring a cookie that was sealed with a SECRET_KEY which is not ours."""
    ours = harness.settings.SECRET_KEY
    harness.settings.SECRET_KEY = "a stranger's"
    callback = harness.pick(harness.browser)
    harness.settings.SECRET_KEY = ours
    return callback.send(harness.browser)


def tampering(change):
    """Make the act of a sign-in whose flow cookie is changed before the way back."""

    def act(harness: Harness) -> HttpResponse:
        callback = harness.pick(harness.browser)
        ((name, value),) = flow_cookies(harness.browser).items()
        harness.browser.cookies[name] = change(value)
        return callback.send(harness.browser)

    return act


def flipped(value: str) -> str:
    middle = len(value) // 2
    return f"{value[:middle]}{'A' if value[middle] != 'A' else 'B'}{value[middle + 1 :]}"


def tossing(header, *, secure: bool = False):
    """Make the act of a sign-in that ends with the Cookie header that this makes of name and value."""

    def act(harness: Harness) -> HttpResponse:
        callback = harness.pick(harness.browser, secure=secure)
        ((name, value),) = flow_cookies(harness.browser).items()
        raw = header(name, value).encode().decode("latin-1")
        return harness.browser.get(CALLBACK, asked(callback.url), secure=secure, HTTP_COOKIE=raw)

    return act


def tossed_by_sibling(name: str, value: str) -> str:
    """Have the attacker's own flow in the victim's browser beside the victim's: a sibling domain can."""
    return f"{name}={value}; {name}={flipped(value)}"


def tossed_flow(harness: Harness) -> HttpResponse:
    """Toss the attacker's flow under the name that https needs no prefix for, with their code."""
    attacker = harness.open_browser()
    callback = harness.pick(attacker, "admin", secure=True)
    ((name, value),) = flow_cookies(attacker).items()
    raw = f"{name.removeprefix('__Host-')}={value}"
    return harness.browser.get(CALLBACK, asked(callback.url), secure=True, HTTP_COOKIE=raw)


def renamed_flow(harness: Harness) -> HttpResponse:
    """Bring one flow's cookie under the name of another."""
    harness.pick(harness.browser)
    ((_, value),) = flow_cookies(harness.browser).items()
    harness.browser.cookies.clear()
    callback = harness.pick(harness.browser)
    ((name, _),) = flow_cookies(harness.browser).items()
    harness.browser.cookies[name] = value
    return callback.send(harness.browser)


def bounce(
    harness: Harness, browser: Browser, persona: str = "work"
) -> tuple[str, dict[str, str], dict[str, str]]:
    """Go through a form_post up to its GET; return its address, the flow's cookie and the answer's."""
    callback = harness.pick(browser, persona, secure=True)
    flow = flow_cookies(browser)
    response = browser.post(CALLBACK, dict(callback.fields), secure=True)
    answer = {name: value for name, value in flow_cookies(browser).items() if name not in flow}
    return response.headers["Location"], flow, answer


def bounce_as_flow(harness: Harness) -> HttpResponse:
    url, flow, answer = bounce(harness, harness.browser)
    harness.browser.cookies.load(dict.fromkeys(flow, *answer.values()))
    return harness.browser.get(url, secure=True)


def flow_as_bounce(harness: Harness) -> HttpResponse:
    url, flow, answer = bounce(harness, harness.browser)
    harness.browser.cookies.load(dict.fromkeys(answer, *flow.values()))
    return harness.browser.get(url, secure=True)


def bounce_of_another(harness: Harness) -> HttpResponse:
    """Put the attacker's sealed answer under the name of the victim's."""
    _, _, theirs = bounce(harness, harness.open_browser(), "admin")
    url, _, mine = bounce(harness, harness.browser)
    harness.browser.cookies.load(dict.fromkeys(mine, *theirs.values()))
    return harness.browser.get(url, secure=True)


def bounce_without_flow(harness: Harness) -> HttpResponse:
    callback = harness.pick(harness.open_browser(), "admin", secure=True)
    return harness.browser.post(CALLBACK, dict(callback.fields), secure=True)


def late_bounce(harness: Harness) -> HttpResponse:
    url, _, _ = bounce(harness, harness.browser)
    with later(61):
        return harness.browser.get(url, secure=True)


def stuffing(harness: Harness) -> HttpResponse:
    """Fill the victim's cookie jar with flows that are none."""
    harness.browser.cookies.load({f"ms_identity_flow_{number:016x}": "x" * 700 for number in range(40)})
    response = harness.browser.get("/ms/start/microsoft/")
    dropped = [name for name, cookie in response.cookies.items() if cookie["max-age"] == 0]
    assert len(dropped) >= 35
    return harness.sign_in()


def many_flows(harness: Harness) -> HttpResponse:
    for _ in range(30):
        harness.press(harness.browser, next=f"/{'x' * 150}")
    assert sum(len(name) + len(value) for name, value in flow_cookies(harness.browser).items()) <= 4096
    return harness.sign_in()


def other_provider(harness: Harness) -> HttpResponse:
    harness.configure({}, {"id": "other"})
    callback = harness.pick(harness.browser)
    return harness.browser.get(callback.url.replace("/microsoft/", "/other/"))


def other_host(harness: Harness) -> HttpResponse:
    callback = harness.pick(harness.browser)
    path = callback.url.removeprefix("http://testserver")
    return harness.browser.get(path, headers={"Host": "localhost"})


def other_scheme(harness: Harness) -> HttpResponse:
    harness.settings.SESSION_COOKIE_SECURE = True  # The same name of the cookie on both schemes.
    callback = harness.pick(harness.browser)
    harness.settings.SESSION_COOKIE_SECURE = False
    return harness.browser.get(callback.url.removeprefix("http://testserver"), secure=True)


def link_flow(harness: Harness, browser: Browser):
    """Start to connect an account, up to the way back."""
    harness.local_user("local")
    harness.sign_in_locally(browser, "local")
    return harness.microsoft.callback(browser.post(LINK).headers["Location"])


def link_flow_after_sign_out(harness: Harness) -> HttpResponse:
    callback = link_flow(harness, harness.browser)
    harness.browser.post("/ms/sign-out/")
    harness.watch()
    return callback.send(harness.browser)


def link_flow_of_another_user(harness: Harness) -> HttpResponse:
    """Have the victim finish what connects the attacker's Microsoft account."""
    attacker, victim = harness.open_browser(), harness.browser
    callback = link_flow(harness, attacker)
    harness.local_user("victim")
    harness.sign_in_locally(victim, "victim")
    # The victim's session is bound to a link flow of its own.
    victim.post(LINK)
    copy_cookies(attacker, victim)
    harness.watch()
    return callback.send(victim)


def link_flow_of_another_session(harness: Harness) -> HttpResponse:
    other = harness.open_browser()
    callback = link_flow(harness, other)
    harness.sign_in_locally(harness.browser, "local")
    harness.browser.post(LINK)
    copy_cookies(other, harness.browser)
    harness.watch()
    return callback.send(harness.browser)


def link_flow_without_session(harness: Harness) -> HttpResponse:
    attacker = harness.open_browser()
    callback = link_flow(harness, attacker)
    copy_cookies(attacker, harness.browser)
    harness.watch()
    return callback.send(harness.browser)


def link_by_forged_form(harness: Harness) -> HttpResponse:
    """Post the form that starts a link from a page of a stranger's."""
    strict = Browser(enforce_csrf_checks=True)
    harness.browsers.append(strict)
    harness.local_user("local")
    harness.sign_in_locally(strict, "local")
    harness.watch()
    return strict.post(LINK)


def link_by_forged_address(harness: Harness) -> HttpResponse:
    harness.local_user("local")
    harness.sign_in_locally(harness.browser, "local")
    harness.watch()
    return harness.browser.get(LINK)


def hours_later(harness: Harness) -> str:
    """Ask to connect an account hours after signing in; return where Microsoft asks who is there."""
    harness.sign_in()
    session = harness.browser.session
    session[sessions.AUTHENTICATED_AT] -= 2 * 3600
    session.save()
    location = harness.browser.post(LINK).headers["Location"]
    assert asked(location)["max_age"] == "0"
    harness.watch()
    return location


def unlocked_computer(harness: Harness) -> HttpResponse:
    """Pick one's own account where the owner of the session is to prove that it is still them."""
    return harness.microsoft.callback(hours_later(harness), "admin").send(harness.browser)


def stale_proof(harness: Harness) -> HttpResponse:
    """Come back from a session at Microsoft that is a day old."""
    location = hours_later(harness)
    harness.microsoft.tampering = tamper_id_token(
        lambda genuine: genuine.with_claims(auth_time=int(time.time()) - 86400)
    )
    return harness.microsoft.callback(location).send(harness.browser)


def proof(auth_time: object):
    """Make the act of a person who comes back with this word on when they signed in."""

    def act(harness: Harness) -> HttpResponse:
        location = hours_later(harness)
        harness.microsoft.tampering = tamper_id_token(
            lambda genuine: genuine.with_claims(auth_time=auth_time)
        )
        return harness.microsoft.callback(location).send(harness.browser)

    return act


def step_up(claims: dict[str, object], persona: str = "work"):
    """Make the act of a person who is asked for a second factor and comes back with these claims."""

    def act(harness: Harness) -> HttpResponse:
        harness.sign_in()
        location = harness.browser.get("/ms/step-up/?need=aal2&next=/home/").headers["Location"]
        harness.microsoft.persona(persona, claims=claims)
        harness.watch()
        return harness.microsoft.callback(location, persona).send(harness.browser)

    return act


def open_redirect(url: str):
    return lambda harness: harness.sign_in(next=url)


def embedded(harness: Harness) -> HttpResponse:
    return harness.browser.get("/ms/start/microsoft/", headers={"Sec-Fetch-Dest": "iframe"})


def forged_sign_out(harness: Harness) -> HttpResponse:
    harness.sign_in()
    harness.watch()
    return harness.browser.get("/ms/sign-out/")


def flow(id: str, sentence: str, code: str, act, **more) -> Case:
    return Case(id=id, group=Group.FLOWS, sentence=sentence, code=code, act=act, **more)


def safe(id: str, sentence: str, harmless: str, act, **more) -> Case:
    return Case(id=id, group=Group.FLOWS, sentence=sentence, harmless=harmless, act=act, **more)


MISSING, BROKEN, MISMATCH = "flow_missing", "flow_invalid", "flow_mismatch"
REDIRECTS = "The visitor lands on the default page."
FLOWS = [
    flow(
        "login-csrf",
        "A visitor opens the link by which an attacker would come back.",
        MISSING,
        planted_answer,
    ),
    flow(
        "planted-code",
        "An attacker's code is put into a flow of the visitor's.",
        "code_expired",
        planted_code,
    ),
    flow("stolen-link", "A stolen link is opened in another browser.", MISSING, stolen_link),
    flow("stolen-code", "A stolen code is put into a flow of the thief's.", "code_expired", stolen_code),
    flow("replayed-code", "A used code is put into a new flow.", "code_expired", replayed_code),
    flow("replayed-state", "A link is replayed with a copy of all cookies.", "flow_replayed", replayed_state),
    flow("replayed-failure", "A flow that failed is tried again.", "flow_replayed", replay_after_failure),
    flow(
        "replayed-after-sign-out",
        "The back button is pressed after signing out.",
        MISSING,
        replay_after_sign_out,
    ),
    safe(
        "reload",
        "The visitor reloads the page.",
        "They go where the first answer led; nothing is done twice.",
        reload,
    ),
    safe(
        "two-tabs",
        "A visitor signs in in two tabs at once.",
        "Both end where they should, signed in once.",
        two_tabs,
        lands="/home/?1",
    ),
    safe(
        "fixation",
        "The visitor's browser has a session key that an attacker knows.",
        "The key changes at the sign-in, and the known one is worth nothing.",
        fixation,
    ),
    safe(
        "fixation-signed-in",
        "The visitor's browser has the session of an attacker who is signed in.",
        "That session ends, and the visitor gets one of their own.",
        fixation_of_the_signed_in,
    ),
    flow("flow-expired", "The visitor comes back after half an hour.", "flow_expired", too_late),
    flow("cookie-of-another-key", "The flow cookie is sealed with another key.", BROKEN, after_deploying),
    flow("cookie-tampered", "One character of the flow cookie is changed.", BROKEN, tampering(flipped)),
    flow("cookie-cut", "The flow cookie is cut short.", BROKEN, tampering(lambda value: value[:-9])),
    flow("cookie-empty", "The flow cookie is empty.", BROKEN, tampering(lambda value: "")),
    flow("cookie-plain", "The flow cookie is readable JSON.", BROKEN, tampering(lambda value: "e30")),
    flow("cookie-renamed", "One flow's cookie has the name of another's.", BROKEN, renamed_flow),
    flow("cookie-twice", "A sibling domain sets the flow cookie too.", BROKEN, tossing(tossed_by_sibling)),
    flow(
        "cookie-unprefixed",
        "A sibling domain sets the flow cookie without `__Host-`.",
        MISSING,
        tossing(lambda name, value: f"{name.removeprefix('__Host-')}={value}", secure=True),
    ),
    flow("cookie-tossed-flow", "A sibling domain sets the flow cookie of an attacker.", MISSING, tossed_flow),
    *(
        flow(
            f"cookie-look-alike-{id}",
            f"The flow cookie's name begins with {what}, which Django would strip.",
            MISSING,
            tossing(lambda name, value, space=space: f"{space}{name}={value}", secure=True),
        )
        for id, what, space in (
            ("no-break-space", "a no-break space", "\u00a0"),
            ("ideographic-space", "an ideographic space", "\u3000"),
            ("next-line", "a NEL", "\u0085"),
        )
    ),
    flow(
        "cookie-other-case",
        "The flow cookie's name is in another case.",
        MISSING,
        tossing(lambda name, value: f"{name.upper()}={value}"),
    ),
    flow(
        "bounce-as-flow",
        "The cookie of a form's answer is renamed as a flow.",
        BROKEN,
        bounce_as_flow,
        provider=FORM_POST,
    ),
    flow(
        "flow-as-bounce",
        "A flow cookie is renamed as a form's answer.",
        BROKEN,
        flow_as_bounce,
        provider=FORM_POST,
    ),
    flow(
        "bounce-of-another",
        "The form's answer of an attacker is put in place.",
        BROKEN,
        bounce_of_another,
        provider=FORM_POST,
    ),
    flow(
        "bounce-without-flow",
        "A stranger's page posts an attacker's answer.",
        MISSING,
        bounce_without_flow,
        provider=FORM_POST,
    ),
    flow(
        "bounce-late",
        "The form's answer is picked up after a minute.",
        "flow_expired",
        late_bounce,
        provider=FORM_POST,
    ),
    safe(
        "cookie-stuffing",
        "The cookie jar is full of flows that are none.",
        "The oldest make room, and the visitor is signed in.",
        stuffing,
    ),
    safe(
        "many-flows",
        "A page starts sign-in after sign-in.",
        "The oldest are dropped before the header grows too large.",
        many_flows,
    ),
    flow("other-provider", "A flow of one provider ends at another's callback.", BROKEN, other_provider),
    flow(
        "unknown-provider",
        "A flow ends at the callback of no provider.",
        "provider_unknown",
        lambda harness: harness.browser.get(
            harness.pick(harness.browser).url.replace("/microsoft/", "/nobody/")
        ),
    ),
    flow("other-host", "A flow ends on another host of the site.", MISMATCH, other_host),
    flow("other-scheme", "A flow ends on another scheme.", MISMATCH, other_scheme),
    flow(
        "link-after-sign-out",
        "A link flow ends after its user has signed out.",
        MISMATCH,
        link_flow_after_sign_out,
    ),
    flow(
        "link-of-another-user",
        "An attacker's link flow ends in a victim's session.",
        MISMATCH,
        link_flow_of_another_user,
    ),
    flow(
        "link-of-another-session",
        "A link flow ends in another session of its user.",
        MISMATCH,
        link_flow_of_another_session,
    ),
    flow(
        "link-without-session",
        "A link flow ends in a browser where no user is signed in.",
        MISMATCH,
        link_flow_without_session,
    ),
    Case(
        id="link-by-forged-form",
        group=Group.FLOWS,
        sentence="A stranger's page posts the form that connects an account.",
        status=403,
        act=link_by_forged_form,
    ),
    Case(
        id="link-by-address",
        group=Group.FLOWS,
        sentence="A stranger's page links to what connects an account.",
        status=405,
        act=link_by_forged_address,
    ),
    flow(
        "unlocked-computer",
        "A person connects their own account at an unlocked computer.",
        "reauthentication_failed",
        unlocked_computer,
    ),
    flow(
        "stale-proof",
        "The proof for that comes from a day-old session at Microsoft.",
        "reauthentication_failed",
        stale_proof,
    ),
    flow(
        "no-proof",
        "Microsoft does not say when the person signed in.",
        "reauthentication_failed",
        proof(OMIT),
    ),
    flow(
        "no-proof-nan",
        "The time at which the person signed in is NaN.",
        "reauthentication_failed",
        proof(float("nan")),
    ),
    flow(
        "step-up-without-factor",
        "A person comes back without the second factor that was asked for.",
        "step_up_failed",
        step_up({"acrs": None}),
        provider={"aal2_auth_contexts": ["c1"]},
    ),
    flow(
        "step-up-other-factor",
        "A person comes back with another authentication context.",
        "step_up_failed",
        step_up({"acrs": ["c2"]}),
        provider={"aal2_auth_contexts": ["c1"]},
    ),
    flow(
        "step-up-by-another",
        "Another person passes the second factor.",
        "reauthentication_failed",
        step_up({"acrs": ["c1"]}, "admin"),
        provider={"aal2_auth_contexts": ["c1"]},
    ),
    *(
        safe(f"open-redirect-{id}", f"`next` is {what}.", REDIRECTS, open_redirect(url))
        for id, what, url in (
            ("host", "another host", "https://evil.example/"),
            ("slashes", "another host without a scheme", "//evil.example/"),
            ("backslash", "another host behind a backslash", "/\\evil.example/"),
            ("tab", "another host behind a tab", "/\t/evil.example/"),
            ("user", "our host as the user of another", "http://testserver@evil.example/"),
            ("port", "another port of our host", "http://testserver:8000/"),
            ("script", "a script", "javascript:alert(1)"),
            ("data", "a page of its own", "data:text/html,x"),
            ("lines", "a line break and a header", "/home/\r\nSet-Cookie: a=b"),
        )
    ),
    Case(
        id="host-header",
        group=Group.FLOWS,
        sentence="A request names a host that is not in `ALLOWED_HOSTS`.",
        status=400,
        act=lambda harness: harness.browser.get("/ms/start/microsoft/", headers={"Host": "evil.example"}),
    ),
    flow("embedded", "A page starts a sign-in in a frame.", "embedded_refused", embedded),
    Case(
        id="forged-sign-out",
        group=Group.FLOWS,
        sentence="A stranger's page links to the sign-out.",
        status=405,
        act=forged_sign_out,
    ),
]
CASES = [*AUTHORIZE, *FLOWS]

"""Lies of whoever sits at a browser, or reaches into somebody else's: answers, flows and cookies."""

from __future__ import annotations

import time

from django.http import HttpResponse

from django_ms_identity import sessions
from django_ms_identity.testing.adversary import LEFT_OUT, Parameters, about_id_token, on_the_way_back
from tests.journeys.steps import asked, code_of
from tests.support.web import Browser

from .scene import NOBODY, Case, Group, Scene, later, who

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


def brought(id: str, sentence: str, code: str, change) -> Case:
    return Case(id=id, group=Group.AUTHORIZE, sentence=sentence, code=code, lie=on_the_way_back(change))


def noisy_parameters(scene: Scene) -> HttpResponse:
    scene.microsoft.lie = on_the_way_back(
        with_(client_info="MQ", iss="https://evil.example/", id_token="a.b.c", next="https://evil.example/")
    )
    return scene.sign_in()


def post_where_query(scene: Scene) -> HttpResponse:
    callback = scene.pick(scene.browser)
    return scene.browser.post(CALLBACK, asked(callback.url))


def code_in_the_address(scene: Scene) -> HttpResponse:
    callback = scene.pick(scene.browser, secure=True)
    return scene.browser.get(CALLBACK, dict(callback.fields), secure=True)


INVALID = "callback_invalid"
AUTHORIZE = [
    Case(
        id="authorize-denied",
        group=Group.AUTHORIZE,
        sentence="The visitor turns back at Microsoft.",
        code="sign_in_cancelled",
        act=lambda scene: scene.sign_in(persona="cancel"),
    ),
    brought(
        "authorize-script-in-description",
        "The description of the error is a script.",
        "sign_in_cancelled",
        refused(error="access_denied", error_description="<script>alert(1)</script>"),
    ),
    brought(
        "authorize-script-in-error",
        "The error itself is a script.",
        "microsoft_refused",
        refused(error="<script>alert(1)</script>", error_description="AADSTS1: <script>"),
    ),
    brought(
        "authorize-script-in-trace-id",
        "The trace id in the description is a script.",
        "sign_in_cancelled",
        refused(error="access_denied", error_description="AADSTS1 Trace ID: <script>alert(1)</script>"),
    ),
    brought(
        "authorize-error-lines",
        "The error has line breaks, to write lines of its own into the log.",
        "microsoft_refused",
        refused(error="x\r\nplanted: 1", error_description="AADSTS1\r\nplanted"),
    ),
    brought("authorize-error-snowman", "The error is a snowman.", "microsoft_refused", refused(error="☃")),
    brought(
        "authorize-error-long", "The error is very long.", "microsoft_refused", refused(error="e" * 5000)
    ),
    brought("authorize-wrong-state", "The state is another.", "flow_missing", with_(state="s" * 32)),
    brought("authorize-no-state", "There is no state.", INVALID, without("state")),
    brought("authorize-empty-state", "The state is empty.", INVALID, with_(state="")),
    brought(
        "authorize-odd-state", "The state is one that we never make.", INVALID, with_(state="../../x" * 4)
    ),
    brought("authorize-nothing", "There is nothing but a state.", INVALID, without("code")),
    brought("authorize-empty-code", "The code is empty.", INVALID, with_(code="")),
    brought(
        "authorize-code-and-error", "Code and error come together.", INVALID, with_(error="access_denied")
    ),
    brought("authorize-two-states", "The state comes twice.", INVALID, twice("state")),
    brought("authorize-two-codes", "The code comes twice.", INVALID, twice("code")),
    brought(
        "authorize-two-errors",
        "The error comes twice.",
        INVALID,
        lambda pairs: [*refused(error="access_denied")(pairs), ("error", "server_error")],
    ),
    brought("authorize-code-long", "The code has 2,801 characters.", INVALID, with_(code="x" * 2801)),
    brought("authorize-code-lines", "The code has line breaks.", INVALID, with_(code="x\r\nEvil: 1")),
    brought("authorize-code-nul", "The code has a NUL.", INVALID, with_(code="a\0b")),
    brought("authorize-code-surrogate", "The code has half a character.", INVALID, with_(code="a\ud800")),
    brought("authorize-made-up-code", "The code is made up.", "code_expired", with_(code="1.made-up")),
    Case(
        id="authorize-noise",
        group=Group.AUTHORIZE,
        sentence="Parameters that nobody asked for come along: `client_info`, `iss`, `id_token`, `next`.",
        act=noisy_parameters,
        harmless="They are not read, and the visitor is signed in.",
    ),
    Case(
        id="authorize-too-many-parameters",
        group=Group.AUTHORIZE,
        sentence="Two thousand parameters come along.",
        code=INVALID,
        lie=on_the_way_back(lambda pairs: [*pairs, *[("a", "1")] * 2000]),
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


def planted_answer(scene: Scene) -> HttpResponse:
    """Have the victim open the link by which the attacker would come back."""
    return scene.pick(scene.open_browser(), "admin").send(scene.browser)


def planted_code(scene: Scene) -> HttpResponse:
    """Put the attacker's code into a flow that the victim has started."""
    theirs = asked(scene.pick(scene.open_browser(), "admin").url)["code"]
    mine = asked(scene.press(scene.browser))["state"]
    return scene.browser.get(CALLBACK, {"state": mine, "code": theirs})


def stolen_link(scene: Scene) -> HttpResponse:
    """Open the victim's whole link in the attacker's browser."""
    return scene.pick(scene.open_browser()).send(scene.browser)


def stolen_code(scene: Scene) -> HttpResponse:
    """Put the victim's code into a flow that the attacker has started."""
    victims = asked(scene.pick(scene.open_browser()).url)["code"]
    mine = asked(scene.press(scene.browser))["state"]
    return scene.browser.get(CALLBACK, {"state": mine, "code": victims})


def replayed_code(scene: Scene) -> HttpResponse:
    victim = scene.open_browser()
    callback = scene.pick(victim)
    callback.send(victim)
    mine = asked(scene.press(scene.browser))["state"]
    scene.watch()
    return scene.browser.get(CALLBACK, {"state": mine, "code": asked(callback.url)["code"]})


def replayed_state(scene: Scene) -> HttpResponse:
    """Replay the victim's link with a copy of all their cookies of that moment."""
    victim = scene.open_browser()
    callback = scene.pick(victim)
    copy_cookies(victim, scene.browser)
    callback.send(victim)
    scene.watch()
    return callback.send(scene.browser)


def replay_after_failure(scene: Scene) -> HttpResponse:
    callback = scene.pick(scene.browser)
    kept = flow_cookies(scene.browser)
    scene.microsoft.answer_next("token", status=500)
    assert code_of(callback.send(scene.browser)) == "microsoft_unavailable"
    scene.browser.cookies.load(kept)
    return callback.send(scene.browser)


def replay_after_sign_out(scene: Scene) -> HttpResponse:
    """Press the back button on a shared computer after the owner has signed out."""
    callback = scene.pick(scene.browser)
    callback.send(scene.browser)
    scene.browser.post("/ms/sign-out/")
    scene.watch()
    return callback.send(scene.browser)


def reload(scene: Scene) -> HttpResponse:
    callback = scene.pick(scene.browser)
    callback.send(scene.browser)
    scene.watch()
    response = callback.send(scene.browser)
    scene.assert_untouched()
    return response


def two_tabs(scene: Scene) -> HttpResponse:
    first, second = scene.pick(scene.browser, next="/home/?1"), scene.pick(scene.browser, next="/home/?2")
    assert second.send(scene.browser).headers["Location"] == "/home/?2"
    return first.send(scene.browser)


def fixation(scene: Scene) -> HttpResponse:
    """Give the victim a session key that the attacker knows."""
    attacker = scene.open_browser()
    attacker.session.save()
    planted = attacker.cookies["sessionid"].value
    scene.browser.cookies["sessionid"] = planted
    response = scene.sign_in()
    assert scene.browser.cookies["sessionid"].value != planted
    assert who(attacker) == NOBODY
    return response


def fixation_of_the_signed_in(scene: Scene) -> HttpResponse:
    """Sign the attacker's own session over to the victim."""
    attacker = scene.open_browser()
    scene.sign_in(attacker, "admin")
    scene.browser.cookies["sessionid"] = attacker.cookies["sessionid"].value
    response = scene.sign_in(prompt="select_account")
    assert who(attacker) == NOBODY
    return response


def too_late(scene: Scene) -> HttpResponse:
    callback = scene.pick(scene.browser)
    with later(31 * 60):
        return callback.send(scene.browser)


def after_deploying(scene: Scene) -> HttpResponse:
    """Bring a cookie that was sealed with a SECRET_KEY which is not ours."""
    ours = scene.settings.SECRET_KEY
    scene.settings.SECRET_KEY = "a stranger's"
    callback = scene.pick(scene.browser)
    scene.settings.SECRET_KEY = ours
    return callback.send(scene.browser)


def tampering(change):
    """Make the act of a sign-in whose flow cookie is changed before the way back."""

    def act(scene: Scene) -> HttpResponse:
        callback = scene.pick(scene.browser)
        ((name, value),) = flow_cookies(scene.browser).items()
        scene.browser.cookies[name] = change(value)
        return callback.send(scene.browser)

    return act


def flipped(value: str) -> str:
    middle = len(value) // 2
    return f"{value[:middle]}{'A' if value[middle] != 'A' else 'B'}{value[middle + 1 :]}"


def tossing(header, *, secure: bool = False):
    """Make the act of a sign-in that ends with the Cookie header that this makes of name and value."""

    def act(scene: Scene) -> HttpResponse:
        callback = scene.pick(scene.browser, secure=secure)
        ((name, value),) = flow_cookies(scene.browser).items()
        raw = header(name, value).encode().decode("latin-1")
        return scene.browser.get(CALLBACK, asked(callback.url), secure=secure, HTTP_COOKIE=raw)

    return act


def tossed_by_sibling(name: str, value: str) -> str:
    """Have the attacker's own flow in the victim's browser beside the victim's: a sibling domain can."""
    return f"{name}={value}; {name}={flipped(value)}"


def tossed_flow(scene: Scene) -> HttpResponse:
    """Toss the attacker's flow under the name that https needs no prefix for, with their code."""
    attacker = scene.open_browser()
    callback = scene.pick(attacker, "admin", secure=True)
    ((name, value),) = flow_cookies(attacker).items()
    raw = f"{name.removeprefix('__Host-')}={value}"
    return scene.browser.get(CALLBACK, asked(callback.url), secure=True, HTTP_COOKIE=raw)


def renamed_flow(scene: Scene) -> HttpResponse:
    """Bring one flow's cookie under the name of another."""
    scene.pick(scene.browser)
    ((_, value),) = flow_cookies(scene.browser).items()
    scene.browser.cookies.clear()
    callback = scene.pick(scene.browser)
    ((name, _),) = flow_cookies(scene.browser).items()
    scene.browser.cookies[name] = value
    return callback.send(scene.browser)


def bounce(
    scene: Scene, browser: Browser, persona: str = "work"
) -> tuple[str, dict[str, str], dict[str, str]]:
    """Go through a form_post up to its GET; return its address, the flow's cookie and the answer's."""
    callback = scene.pick(browser, persona, secure=True)
    flow = flow_cookies(browser)
    response = browser.post(CALLBACK, dict(callback.fields), secure=True)
    answer = {name: value for name, value in flow_cookies(browser).items() if name not in flow}
    return response.headers["Location"], flow, answer


def bounce_as_flow(scene: Scene) -> HttpResponse:
    url, flow, answer = bounce(scene, scene.browser)
    scene.browser.cookies.load(dict.fromkeys(flow, *answer.values()))
    return scene.browser.get(url, secure=True)


def flow_as_bounce(scene: Scene) -> HttpResponse:
    url, flow, answer = bounce(scene, scene.browser)
    scene.browser.cookies.load(dict.fromkeys(answer, *flow.values()))
    return scene.browser.get(url, secure=True)


def bounce_of_another(scene: Scene) -> HttpResponse:
    """Put the attacker's sealed answer under the name of the victim's."""
    _, _, theirs = bounce(scene, scene.open_browser(), "admin")
    url, _, mine = bounce(scene, scene.browser)
    scene.browser.cookies.load(dict.fromkeys(mine, *theirs.values()))
    return scene.browser.get(url, secure=True)


def bounce_without_flow(scene: Scene) -> HttpResponse:
    callback = scene.pick(scene.open_browser(), "admin", secure=True)
    return scene.browser.post(CALLBACK, dict(callback.fields), secure=True)


def late_bounce(scene: Scene) -> HttpResponse:
    url, _, _ = bounce(scene, scene.browser)
    with later(61):
        return scene.browser.get(url, secure=True)


def stuffing(scene: Scene) -> HttpResponse:
    """Fill the victim's cookie jar with flows that are none."""
    scene.browser.cookies.load({f"ms_identity_flow_{number:016x}": "x" * 700 for number in range(40)})
    response = scene.browser.get("/ms/start/microsoft/")
    dropped = [name for name, cookie in response.cookies.items() if cookie["max-age"] == 0]
    assert len(dropped) >= 35
    return scene.sign_in()


def many_flows(scene: Scene) -> HttpResponse:
    for _ in range(30):
        scene.press(scene.browser, next=f"/{'x' * 150}")
    assert sum(len(name) + len(value) for name, value in flow_cookies(scene.browser).items()) <= 4096
    return scene.sign_in()


def other_provider(scene: Scene) -> HttpResponse:
    scene.configure({}, {"id": "other"})
    callback = scene.pick(scene.browser)
    return scene.browser.get(callback.url.replace("/microsoft/", "/other/"))


def other_host(scene: Scene) -> HttpResponse:
    callback = scene.pick(scene.browser)
    path = callback.url.removeprefix("http://testserver")
    return scene.browser.get(path, headers={"Host": "localhost"})


def other_scheme(scene: Scene) -> HttpResponse:
    scene.settings.SESSION_COOKIE_SECURE = True  # The same name of the cookie on both schemes.
    callback = scene.pick(scene.browser)
    scene.settings.SESSION_COOKIE_SECURE = False
    return scene.browser.get(callback.url.removeprefix("http://testserver"), secure=True)


def link_flow(scene: Scene, browser: Browser):
    """Start to connect an account, up to the way back."""
    scene.local_user("local")
    scene.sign_in_locally(browser, "local")
    return scene.microsoft.callback(browser.post(LINK).headers["Location"])


def link_flow_after_sign_out(scene: Scene) -> HttpResponse:
    callback = link_flow(scene, scene.browser)
    scene.browser.post("/ms/sign-out/")
    scene.watch()
    return callback.send(scene.browser)


def link_flow_of_another_user(scene: Scene) -> HttpResponse:
    """Have the victim finish what connects the attacker's Microsoft account."""
    attacker, victim = scene.open_browser(), scene.browser
    callback = link_flow(scene, attacker)
    scene.local_user("victim")
    scene.sign_in_locally(victim, "victim")
    # The victim's session is bound to a link flow of its own.
    victim.post(LINK)
    copy_cookies(attacker, victim)
    scene.watch()
    return callback.send(victim)


def link_flow_of_another_session(scene: Scene) -> HttpResponse:
    other = scene.open_browser()
    callback = link_flow(scene, other)
    scene.sign_in_locally(scene.browser, "local")
    scene.browser.post(LINK)
    copy_cookies(other, scene.browser)
    scene.watch()
    return callback.send(scene.browser)


def link_flow_without_session(scene: Scene) -> HttpResponse:
    attacker = scene.open_browser()
    callback = link_flow(scene, attacker)
    copy_cookies(attacker, scene.browser)
    scene.watch()
    return callback.send(scene.browser)


def link_by_forged_form(scene: Scene) -> HttpResponse:
    """Post the form that starts a link from a page of a stranger's."""
    strict = Browser(enforce_csrf_checks=True)
    scene.browsers.append(strict)
    scene.local_user("local")
    scene.sign_in_locally(strict, "local")
    scene.watch()
    return strict.post(LINK)


def link_by_forged_address(scene: Scene) -> HttpResponse:
    scene.local_user("local")
    scene.sign_in_locally(scene.browser, "local")
    scene.watch()
    return scene.browser.get(LINK)


def hours_later(scene: Scene) -> str:
    """Ask to connect an account hours after signing in; return where Microsoft asks who is there."""
    scene.sign_in()
    session = scene.browser.session
    session[sessions.AUTHENTICATED_AT] -= 2 * 3600
    session.save()
    location = scene.browser.post(LINK).headers["Location"]
    assert asked(location)["max_age"] == "0"
    scene.watch()
    return location


def unlocked_computer(scene: Scene) -> HttpResponse:
    """Pick one's own account where the owner of the session is to prove that it is still them."""
    return scene.microsoft.callback(hours_later(scene), "admin").send(scene.browser)


def stale_proof(scene: Scene) -> HttpResponse:
    """Come back from a session at Microsoft that is a day old."""
    location = hours_later(scene)
    scene.microsoft.lie = about_id_token(
        lambda genuine: genuine.with_claims(auth_time=int(time.time()) - 86400)
    )
    return scene.microsoft.callback(location).send(scene.browser)


def proof(auth_time: object):
    """Make the act of somebody who comes back with this word on when they signed in."""

    def act(scene: Scene) -> HttpResponse:
        location = hours_later(scene)
        scene.microsoft.lie = about_id_token(lambda genuine: genuine.with_claims(auth_time=auth_time))
        return scene.microsoft.callback(location).send(scene.browser)

    return act


def step_up(claims: dict[str, object], persona: str = "work"):
    """Make the act of somebody who is asked for a second factor and comes back with these claims."""

    def act(scene: Scene) -> HttpResponse:
        scene.sign_in()
        location = scene.browser.get("/ms/step-up/?need=aal2&next=/home/").headers["Location"]
        scene.microsoft.persona(persona, claims=claims)
        scene.watch()
        return scene.microsoft.callback(location, persona).send(scene.browser)

    return act


def open_redirect(url: str):
    return lambda scene: scene.sign_in(next=url)


def embedded(scene: Scene) -> HttpResponse:
    return scene.browser.get("/ms/start/microsoft/", headers={"Sec-Fetch-Dest": "iframe"})


def forged_sign_out(scene: Scene) -> HttpResponse:
    scene.sign_in()
    scene.watch()
    return scene.browser.get("/ms/sign-out/")


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
        lambda scene: scene.browser.get(scene.pick(scene.browser).url.replace("/microsoft/", "/nobody/")),
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
        "A link flow ends in a browser where nobody is signed in.",
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
        "Somebody connects their own account at an unlocked computer.",
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
        proof(LEFT_OUT),
    ),
    flow(
        "no-proof-nan",
        "The time at which the person signed in is NaN.",
        "reauthentication_failed",
        proof(float("nan")),
    ),
    flow(
        "step-up-without-factor",
        "Somebody comes back without the second factor that was asked for.",
        "step_up_failed",
        step_up({"acrs": None}),
        provider={"aal2_auth_contexts": ["c1"]},
    ),
    flow(
        "step-up-other-factor",
        "Somebody comes back with another authentication context.",
        "step_up_failed",
        step_up({"acrs": ["c2"]}),
        provider={"aal2_auth_contexts": ["c1"]},
    ),
    flow(
        "step-up-by-another",
        "Somebody else passes the second factor.",
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
        act=lambda scene: scene.browser.get("/ms/start/microsoft/", headers={"Host": "evil.example"}),
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

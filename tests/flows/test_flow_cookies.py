"""Flow cookies as browsers, siblings and attackers send them."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_urlsafe

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ms_identity.crypto import Keyring
from django_ms_identity.exceptions import (
    CallbackInvalid,
    FlowExpired,
    FlowInvalid,
    FlowMissing,
    MSIdentityError,
)
from django_ms_identity.flows.flow_cookies import (
    MAX_COOKIES,
    AuthorizationRequest,
    AuthorizationResponse,
    FlowCookies,
)
from django_ms_identity.sign_in_context import Intent

KEYRING = Keyring(["secret"])
STATE = "S" * 22
NOW = 1_800_000_000


def cookies_of(state: str = STATE, **changes: object) -> FlowCookies:
    how = {"provider": "microsoft", "secure": True, "keyring": KEYRING}
    return FlowCookies(state=state, **how | changes)


NAME = cookies_of().request_name


def started(**changes: object) -> AuthorizationRequest:
    fields = {
        "provider": "microsoft",
        "state": STATE,
        "nonce": "planted-nonce-" + "n" * 8,
        "verifier": "planted-verifier-" + "v" * 26,
        "redirect_uri": "https://www.example.com/ms/callback/microsoft/",
        "return_to": "/home/",
        "expires_at": NOW + 1800,
    }
    return AuthorizationRequest(**fields | changes)


def seal(begun: AuthorizationRequest | None = None, **changes: object) -> str:
    begun = begun or started()
    return cookies_of(begun.state, **{"provider": begun.provider} | changes).seal_request(begun)


def recall(cookies: str, *, now: float = NOW, **changes: object) -> AuthorizationRequest:
    return cookies_of(**changes).load_request(cookies, now=now)


VALUE = seal()
COOKIE = f"{NAME}={VALUE}"


@pytest.mark.parametrize("secure", [True, False])
def test_a_flow_comes_back_from_its_cookie(secure):
    name = cookies_of(STATE, secure=secure).request_name

    assert recall(f"{name}={seal(secure=secure)}", secure=secure) == started()


@pytest.mark.parametrize("intent", [intent for intent in Intent if intent is not Intent.LOGIN])
@pytest.mark.parametrize("whose", [{}, {"user": "1"}, {"binding": "b"}])
def test_a_flow_that_is_no_login_belongs_to_somebody_and_their_session(intent, whose):
    with pytest.raises(ValueError, match="belongs to a user"):
        started(intent=intent, **whose)


def test_what_a_login_does_not_need_takes_no_room_in_its_cookie():
    sealed = KEYRING.open_json(VALUE, kind="flow", context=(NAME, "microsoft"))

    assert set(sealed) == {
        *("provider", "state", "nonce", "verifier", "redirect_uri", "return_to", "expires_at")
    }


def test_flow_cookie_is_bound_to_the_host_where_https_allows_it():
    assert NAME.startswith("__Host-ms_identity_flow_")
    assert cookies_of(STATE, secure=False).request_name.startswith("ms_identity_flow_")
    assert cookies_of(STATE, secure=True).response_name.startswith("__Host-ms_identity_answer_")


def test_flow_cookie_name_does_not_tell_the_state():
    assert STATE not in NAME
    assert cookies_of("T" * 22, secure=True).request_name != NAME


def test_a_flow_shows_no_secret():
    for secret in (STATE, "planted"):
        assert secret not in repr(started())


@pytest.mark.parametrize(
    "cookies",
    [
        pytest.param(f"sessionid=x; {COOKIE}; csrftoken=y", id="among others"),
        pytest.param(f"a=1;{COOKIE};b=2", id="without spaces"),
        pytest.param(f"\t {COOKIE} \t", id="with optional space"),
        pytest.param(f"; ;=;x; {COOKIE};", id="among rubbish"),
        pytest.param(f"x={NAME}; {COOKIE}", id="its name as another's value"),
        pytest.param(f"{NAME}; {COOKIE}", id="its name without a value"),
        pytest.param(f"{NAME.lower()}=x; {COOKIE}", id="another case"),
        pytest.param(f"{NAME.removeprefix('__Host-')}=x; {COOKIE}", id="unprefixed beside it"),
        pytest.param(f"{NAME}\xa0=x; {COOKIE}", id="a look-alike after it"),
        pytest.param(f'"{NAME}"=x; {COOKIE}', id="quoted"),
        pytest.param(f"__Host-ms_identity_flow_{'0' * 16}=x; {COOKIE}", id="another flow's"),
    ],
)
def test_the_flow_is_found_in_any_header(cookies):
    assert recall(cookies) == started()


SPACES = ["\xa0", "\u2003", "\u3000", "\x85", "\x1c", "\x0b", "\x0c", "\ufeff", "\u200b"]


@pytest.mark.parametrize(
    "cookies",
    [
        pytest.param("", id="no cookies"),
        pytest.param("sessionid=x", id="others only"),
        pytest.param(f"{NAME.removeprefix('__Host-')}={VALUE}", id="unprefixed"),
        pytest.param(f"__Secure-{NAME.removeprefix('__Host-')}={VALUE}", id="__Secure-"),
        pytest.param(f"{NAME.lower()}={VALUE}", id="lower case"),
        pytest.param(f"{NAME.upper()}={VALUE}", id="upper case"),
        pytest.param(f'"{NAME}"={VALUE}', id="quoted"),
        pytest.param(f"{NAME} ={VALUE}", id="space before the equals sign"),
        pytest.param(f"{NAME}\t={VALUE}", id="tab before the equals sign"),
        pytest.param(f"={NAME}={VALUE}", id="nameless"),
        pytest.param(f"x{COOKIE}", id="longer name"),
        pytest.param(f"{NAME}%3D{VALUE}", id="encoded equals sign"),
        pytest.param(f"sessionid=x, {COOKIE}", id="comma"),
        pytest.param(f"sessionid=x\r\n{COOKIE}", id="line end"),
        *(pytest.param(f"{space}{COOKIE}", id=f"space U+{ord(space):04X}") for space in SPACES),
        *(pytest.param(f"{NAME}{space}={VALUE}", id=f"U+{ord(space):04X} after") for space in SPACES),
    ],
)
def test_a_name_that_is_not_exactly_the_flow_cookies_is_none(cookies):
    with pytest.raises(FlowMissing):
        recall(cookies)


@pytest.mark.parametrize(
    "cookies",
    [
        pytest.param(f"{COOKIE}; {COOKIE}", id="same value"),
        pytest.param(f"{COOKIE}; {NAME}=x", id="real first"),
        pytest.param(f"{NAME}=x; {COOKIE}", id="real last"),
        pytest.param(f"{NAME}=; {COOKIE}", id="empty first"),
    ],
)
def test_a_flow_cookie_that_comes_twice_is_refused(cookies):
    with pytest.raises(FlowInvalid, match="twice"):
        recall(cookies)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        VALUE[:-4],
        VALUE + "AAAA",
        f'"{VALUE}"',
        VALUE.swapcase(),
        f"{VALUE}\xa0",
        "é",
        "\ud800",
        "=" * 9,
    ],
)
def test_a_flow_cookie_that_was_changed_is_refused(value):
    with pytest.raises(FlowInvalid):
        recall(f"{NAME}={value}")


def test_a_flow_survives_the_rotation_of_the_secret():
    assert recall(COOKIE, keyring=Keyring(["new", "secret"])) == started()


def test_a_flow_lives_until_it_expires():
    assert recall(COOKIE, now=NOW + 1800)
    with pytest.raises(FlowExpired):
        recall(COOKIE, now=NOW + 1801)


@pytest.mark.parametrize(
    "state",
    ["", "short", "x" * 65, "x" * 21 + " ", "x" * 21 + "\n", "x" * 21 + "é", "x" * 21 + ";", "x" * 21 + "/"],
)
def test_a_state_that_no_flow_can_have_is_refused(state):
    with pytest.raises(CallbackInvalid):
        recall(COOKIE, state=state)


ANSWER = AuthorizationResponse(code="planted-code")
ANSWER_NAME = cookies_of(STATE, secure=True).response_name


def sealed_answer(answer: AuthorizationResponse = ANSWER, **changes: object) -> str:
    return cookies_of(**changes).seal_response(answer)


def recall_answer(cookies: str, *, now: float = 0, **changes: object) -> AuthorizationResponse:
    return cookies_of(**changes).load_response(cookies, now=now)


@pytest.mark.parametrize(
    "answer", [ANSWER, AuthorizationResponse(error="access_denied", description="AADSTS65004: é")]
)
def test_an_answer_comes_back_from_its_cookie(answer):
    assert recall_answer(f"{ANSWER_NAME}={sealed_answer(answer)}") == answer


def test_an_answer_shows_no_secret():
    assert "planted" not in repr(AuthorizationResponse(code="planted", description="planted"))


@pytest.mark.parametrize(
    "answer",
    [
        AuthorizationResponse(code="x" * 2900),
        AuthorizationResponse(error="e" * 64, description="AADSTS50011: " + "x" * 1011),
        AuthorizationResponse(error="e" * 64, description="AADSTS50011: " + "\u00e9" * 1011),
    ],
)
def test_an_answer_fits_into_a_cookie(answer):
    cookie = f"{ANSWER_NAME}={sealed_answer(answer)}"

    assert len(cookie) <= 4096
    recalled = recall_answer(cookie)
    assert (recalled.code, recalled.error) == (answer.code, answer.error)
    assert answer.description.startswith(recalled.description)
    assert recalled.description[:12] == answer.description[:12]


def test_an_error_description_that_fits_is_kept_whole():
    """The second half of it may say what the operator has to do."""
    answer = AuthorizationResponse(error="access_denied", description="AADSTS50011: " + "x" * 1011)

    assert recall_answer(f"{ANSWER_NAME}={sealed_answer(answer)}") == answer


def test_an_answer_past_its_time_is_refused_however_long_the_browser_kept_it():
    cookie = f"{ANSWER_NAME}={sealed_answer(replace(ANSWER, expires_at=1000))}"

    assert recall_answer(cookie, now=1000).code == ANSWER.code
    with pytest.raises(FlowExpired):
        recall_answer(cookie, now=1001)


def test_without_its_cookie_there_is_no_answer():
    with pytest.raises(FlowMissing):
        recall_answer(COOKIE)


@pytest.mark.parametrize(
    "cookies",
    [
        pytest.param(f"{ANSWER_NAME}={VALUE}", id="a flow under the answer's name"),
        pytest.param(f"{ANSWER_NAME}={sealed_answer(provider='other')}", id="another provider's"),
        pytest.param(f"{ANSWER_NAME}={sealed_answer(state='T' * 22)}", id="another state's"),
        pytest.param(f"{ANSWER_NAME}={sealed_answer()}; {ANSWER_NAME}=x", id="twice"),
    ],
)
def test_an_answer_that_is_not_this_flows_is_refused(cookies):
    with pytest.raises(FlowInvalid):
        recall_answer(cookies)


def sealed(plain: bytes, kind: str = "flow") -> str:
    return KEYRING.seal(plain, kind=kind, context=(NAME, "microsoft"))


FOREIGN_INTENT = {"intent": "adopt", "user": "1", "binding": "b"}


@pytest.mark.kratos(16)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(seal(started(provider="other")), id="another provider"),
        pytest.param(seal(started(state="T" * 22)), id="another state"),
        pytest.param(seal(secure=False), id="sealed for http"),
        pytest.param(seal(keyring=Keyring(["evil"])), id="another secret"),
        pytest.param(sealed_answer(), id="an answer"),
        pytest.param(sealed(b'{"code": "x"}', kind="answer"), id="an answer under the flow's name"),
        *(
            pytest.param(sealed(plain), id=f"another release: {plain.decode()}")
            for plain in (b"[]", b"1", b"{}", b'{"provider": "microsoft"}', b'{"more": 1}')
        ),
        pytest.param(
            KEYRING.seal_json(
                KEYRING.open_json(VALUE, kind="flow", context=(NAME, "microsoft")) | FOREIGN_INTENT,
                kind="flow",
                context=(NAME, "microsoft"),
            ),
            id="another release's intent",
        ),
    ],
)
def test_a_flow_that_is_not_this_one_is_refused(value):
    with pytest.raises(FlowInvalid):
        recall(f"{NAME}={value}")


LONGEST_URI = "https://www.example.com/" + "r" * 232


@pytest.mark.parametrize("return_to", ["/", "/" + "x" * 200, "/" + "x" * 5000, "/" + "é" * 300])
@pytest.mark.parametrize("redirect_uri", ["https://www.example.com/ms/callback/microsoft/", LONGEST_URI])
@pytest.mark.parametrize("secure", [True, False])
def test_a_flow_cookie_takes_at_most_800_bytes(return_to, redirect_uri, secure):
    begun = started(return_to=return_to, redirect_uri=redirect_uri)
    name = cookies_of(STATE, secure=secure).request_name

    value = seal(begun, secure=secure)

    assert len(f"{name}={value}") <= 800
    assert recall(f"{name}={value}", secure=secure).return_to in (return_to, "")


def test_only_a_return_to_that_does_not_fit_is_left_out():
    assert recall(f"{NAME}={seal(started(return_to='/' + 'x' * 150))}").return_to == "/" + "x" * 150
    # It is compressed, so only a long and random one does not fit.
    random = "/" + token_urlsafe(500)
    assert recall(f"{NAME}={seal(started(return_to=random))}").return_to == ""


def many(count: int, size: int = 700) -> tuple[list[str], str]:
    names = [cookies_of(f"{index:022}", secure=True).request_name for index in range(count)]
    return names, "; ".join(f"{name}={'v' * (size - len(name))}" for name in names)


@pytest.mark.parametrize(("count", "dropped"), [(0, 0), (1, 0), (4, 0), (5, 1), (6, 2), (12, 8)])
def test_the_oldest_flows_are_dropped_for_a_new_one(count, dropped):
    names, cookies = many(count)

    assert cookies_of().names_to_evict(f"sessionid=x; {cookies}", room_for=700) == names[:dropped]


def test_other_cookies_are_neither_counted_nor_dropped():
    _, cookies = many(4)
    others = f"sessionid={'x' * 4000}; ms_identity_flow_0={'x' * 4000}; __Host-other={'x' * 4000}"

    assert cookies_of().names_to_evict(f"{others}; {cookies}", room_for=700) == []


def test_flow_cookies_that_stay_fit_together_with_the_new_one():
    _, cookies = many(20, size=790)

    dropped = cookies_of().names_to_evict(cookies, room_for=790)

    assert (20 - len(dropped) + 1) * 790 <= MAX_COOKIES


headers = st.lists(
    st.text(max_size=30)
    | st.sampled_from([NAME, VALUE, COOKIE, ANSWER_NAME, "=", ";", " ", "\xa0", "\ud800", "__Host-"]),
    max_size=8,
).map("".join)


@settings(max_examples=300)
@given(cookies=headers, state=st.text(max_size=70) | st.just(STATE), secure=st.booleans())
def test_any_header_and_state_give_a_flow_or_our_exception(cookies, state, secure):
    try:
        recalled = recall(cookies, state=state, secure=secure)
    except MSIdentityError:
        return
    assert recalled == started()


@given(cookies=headers)
def test_any_header_gives_an_answer_or_our_exception(cookies):
    with pytest.raises((FlowMissing, FlowInvalid)):
        recall_answer(cookies)


@given(cookies=headers, room_for=st.integers(0, 800), secure=st.booleans())
def test_only_flow_cookies_that_came_are_dropped(cookies, room_for, secure):
    for name in cookies_of(secure=secure).names_to_evict(cookies, room_for=room_for):
        assert "ms_identity_flow_" in name
        assert name in cookies

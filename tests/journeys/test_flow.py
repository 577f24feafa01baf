"""The way to Microsoft and back: a flow ends once, in the browser, at the provider and host of its start."""

from __future__ import annotations

import re
import time
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import override_settings

from django_ms_identity.models import Identity, SignIn
from tests.support.builders import make_settings
from tests.support.web import Browser

from .steps import NOTHING, asked, code_of, page, pick, press, rows

pytestmark = pytest.mark.django_db

PLAIN = re.compile(r"ms_identity_flow_[0-9a-f]{16}")
PREFIXED = re.compile(r"__Host-ms_identity_flow_[0-9a-f]{16}")


def flow_cookies(client):
    return [name for name in client.cookies if "ms_identity_flow_" in name]


# The start


@pytest.mark.parametrize("junk", ["é", "a b", 'a"b', "a,b", "(x)", "x" * 16])
def test_foreign_cookies_that_look_like_flow_cookies_do_no_harm(client, junk):
    name = f"ms_identity_flow_{junk}".encode().decode("latin-1")

    response = client.get("/ms/start/microsoft/", HTTP_COOKIE=f"{name}={'x' * 4000}")

    assert response.status_code == 302


def test_the_oldest_flows_make_room_for_new_ones(client):
    jar: dict[str, str] = {}
    for _ in range(12):
        # Browsers send cookies in the order of their creation; Django's client sorts them.
        header = "; ".join(f"{name}={value}" for name, value in jar.items())
        response = client.get("/ms/start/microsoft/", {"next": f"/{'x' * 150}"}, HTTP_COOKIE=header)
        created = list(jar)
        for name, cookie in response.cookies.items():
            if cookie["max-age"] == 0:
                assert name == created.pop(0)
                del jar[name]
            else:
                jar[name] = cookie.value

    sizes = [len(name) + len(value) for name, value in jar.items()]
    assert len(sizes) >= 4
    assert sum(sizes) <= 4096
    assert max(sizes) <= 800


# The cookie


@pytest.mark.parametrize(
    ("changes", "secure"),
    [
        pytest.param({}, False, id="http"),
        pytest.param({"SESSION_COOKIE_SECURE": True}, True, id="SESSION_COOKIE_SECURE"),
        pytest.param(
            {"MS_IDENTITY": make_settings(BASE_REDIRECT_URI="https://testserver")},
            True,
            id="BASE_REDIRECT_URI on https, TLS ended before us",
        ),
    ],
)
def test_the_flow_cookie_is_as_narrow_as_the_site_allows(client, changes, secure):
    with override_settings(**changes):
        response = client.get("/ms/start/microsoft/?ms_identity_hop=1")

    ((name, cookie),) = response.cookies.items()
    assert (PREFIXED if secure else PLAIN).fullmatch(name)
    assert cookie["httponly"] is True
    assert bool(cookie["secure"]) is secure
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", "")
    assert cookie["max-age"] == 1800


@pytest.mark.kratos(16)
def test_the_flow_cookie_shows_nothing(client):
    response = press(client, next="/home/secret-place")

    ((name, cookie),) = response.cookies.items()
    query = asked(response.headers["Location"])
    for secret in (query["state"], query["nonce"], "secret-place"):
        assert secret not in f"{name}={cookie.value}"


def test_the_flow_cookie_is_deleted_after_a_sign_in(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client)

    (name,) = [name for name in response.cookies if "flow" in name]
    assert response.cookies[name]["max-age"] == 0
    assert flow_cookies(client) == []


@pytest.mark.parametrize("persona", ["cancel", "disabled", "work"])
def test_the_flow_cookie_is_deleted_with_a_refusal(client, ms_identity_emulator, persona):
    ms_identity_emulator.answer_next("token", status=500)

    assert code_of(ms_identity_emulator.sign_in(client, persona))
    assert flow_cookies(client) == []


def test_the_prefixed_flow_cookie_is_deleted_so_that_browsers_obey(client, ms_identity_emulator):
    """A Set-Cookie of a prefixed name that is not Secure is ignored, and nothing would be deleted."""
    location = client.get("/ms/start/microsoft/", secure=True).headers["Location"]

    response = ms_identity_emulator.callback(location, "cancel").send(client)

    (cookie,) = response.cookies.values()
    assert (cookie["max-age"], cookie["secure"], cookie["path"], cookie["domain"]) == (0, True, "/", "")


# Once


@pytest.mark.kratos(34)
def test_a_repeated_callback_goes_where_the_first_went(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator, next="/home/?tab=2")
    callback.send(client)
    before = rows()

    response = callback.send(client)

    assert response.headers["Location"] == "/home/?tab=2"
    assert rows() == before


@pytest.mark.parametrize("meanwhile", ["signed out", "deactivated", "another sign-in"])
def test_a_repeated_callback_in_another_session_is_refused(client, ms_identity_emulator, meanwhile):
    callback = pick(client, ms_identity_emulator)
    callback.send(client)
    if meanwhile == "signed out":
        client.post("/ms/sign-out/")
    elif meanwhile == "deactivated":
        Identity.objects.update(state="inactive")
    else:
        pick(client, ms_identity_emulator, prompt="login").send(client)

    assert code_of(callback.send(client)) == "flow_missing"


@override_settings(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
def test_a_callback_without_a_code_leaves_nothing_in_the_cache(client, ms_identity_emulator):
    """Else anybody could push the project's own entries out of it, without a word from Microsoft."""
    cache.clear()
    for answer in ({}, {"error": "access_denied"}):
        state = asked(press(client).headers["Location"])["state"]
        client.get(f"/ms/callback/microsoft/?{urlencode({'state': state, **answer})}")

    assert cache._cache == {}


@pytest.mark.kratos(34)
def test_a_state_is_claimed_once_even_with_its_cookie(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator)
    copy = Browser()
    copy.cookies.load({name: cookie.value for name, cookie in client.cookies.items()})
    callback.send(client)
    before = rows()

    response = callback.send(copy)

    assert (code_of(response), response.status_code) == ("flow_replayed", 400)
    assert rows() == before
    assert copy.get("/home/").content == b"nobody"


def test_a_failed_flow_is_used_up(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator)
    kept = {name: cookie.value for name, cookie in client.cookies.items()}
    ms_identity_emulator.answer_next("token", status=500)
    callback.send(client)
    client.cookies.load(kept)

    assert code_of(callback.send(client)) == "flow_replayed"
    assert rows() == NOTHING


@override_settings(
    CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
)
def test_without_a_cache_a_repeated_callback_fails_by_its_code(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator)
    copy = Browser()
    copy.cookies.load({name: cookie.value for name, cookie in client.cookies.items()})
    callback.send(client)

    response = callback.send(copy)

    assert code_of(response) == "code_expired"
    assert copy.get("/home/").content == b"nobody"


@override_settings(CACHES={"default": {"BACKEND": "tests.support.broken_cache.BrokenCache"}})
def test_a_sign_in_survives_a_cache_that_is_down(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator, next="/home/?x")

    assert callback.send(client).headers["Location"] == "/home/?x"
    assert callback.send(client).headers["Location"] == "/home/?x"
    assert rows()["SignIn"] == 1


def test_a_stolen_code_is_worth_nothing_in_another_browser(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator)

    response = callback.send(Browser())

    assert (code_of(response), response.status_code) == ("flow_missing", 400)
    assert rows() == NOTHING


@pytest.mark.kratos(30)
def test_a_code_of_another_flow_is_refused(client, ms_identity_emulator):
    """An attacker plants a code of their own in a flow that the visitor started."""
    mine = press(client).headers["Location"]
    theirs = asked(pick(Browser(), ms_identity_emulator, "admin").url)

    response = client.get("/ms/callback/microsoft/", {"state": asked(mine)["state"], "code": theirs["code"]})

    assert response.status_code == 400
    assert rows() == NOTHING


@pytest.mark.kratos(28, 29)
@pytest.mark.parametrize("planted", [{}, {"code_challenge": "x" * 43, "code_challenge_method": "S256"}])
def test_a_code_challenge_that_was_changed_on_the_way_is_refused(client, ms_identity_emulator, planted):
    endpoint, _, query = press(client).headers["Location"].partition("?")
    kept = {name: value for name, value in asked(f"?{query}").items() if "code_challenge" not in name}

    response = ms_identity_emulator.callback(f"{endpoint}?{urlencode(kept | planted)}").send(client)

    assert code_of(response)
    assert "verifier" not in page(response).lower()
    assert rows() == NOTHING


@pytest.mark.kratos(20)
def test_a_planted_callback_signs_no_visitor_in(client, ms_identity_emulator):
    """Login CSRF: a visitor who started nothing opens the attacker's callback URL."""
    response = pick(Browser(), ms_identity_emulator, "admin").send(client)

    assert code_of(response) == "flow_missing"
    assert client.get("/home/").content == b"nobody"


def test_the_flows_of_two_tabs_both_finish(client, ms_identity_emulator):
    first = pick(client, ms_identity_emulator, next="/home/?tab=1")
    second = pick(client, ms_identity_emulator, next="/home/?tab=2")

    assert second.send(client).headers["Location"] == "/home/?tab=2"
    assert first.send(client).headers["Location"] == "/home/?tab=1"
    assert get_user_model().objects.count() == 1
    assert SignIn.objects.filter(ended_at=None).count() == 1


@pytest.mark.kratos(21)
def test_a_flow_that_took_too_long_is_refused(client, ms_identity_emulator, settings, monkeypatch):
    settings.MS_IDENTITY = make_settings(FLOW_LIFESPAN=60)
    started = pick(client, ms_identity_emulator)
    late = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: late)

    response = started.send(client)

    assert (code_of(response), response.status_code) == ("flow_expired", 400)
    assert response.context["retry_url"].startswith("/ms/start/microsoft/")
    assert rows() == NOTHING


# The same provider, host and secret


@pytest.mark.kratos(17)
@pytest.mark.parametrize(("host", "secure"), [("localhost", False), ("testserver", True)])
def test_a_flow_does_not_end_on_another_host_or_scheme(client, ms_identity_emulator, settings, host, secure):
    settings.SESSION_COOKIE_SECURE = True  # The same cookie name on both schemes.
    callback = pick(client, ms_identity_emulator)

    response = client.get(
        callback.url.removeprefix("http://testserver"), headers={"Host": host}, secure=secure
    )

    assert (code_of(response), response.status_code) == ("flow_mismatch", 400)
    assert rows() == NOTHING


@pytest.mark.kratos(31)
def test_a_flow_of_one_provider_does_not_end_at_another(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({}, {"id": "other"})
    callback = pick(client, ms_identity_emulator)

    response = client.get(callback.url.replace("/microsoft/", "/other/"))

    assert (code_of(response), response.status_code) == ("flow_invalid", 400)
    assert rows() == NOTHING


@pytest.mark.kratos(18)
def test_an_unknown_provider_of_a_callback_is_refused(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator)

    response = client.get(callback.url.replace("/microsoft/", "/nobody/"))

    assert (code_of(response), response.status_code) == ("provider_unknown", 404)


@pytest.mark.parametrize("has_fallback", [True, False])
def test_a_flow_survives_a_new_secret_key_only_with_a_fallback(
    client, ms_identity_emulator, settings, has_fallback
):
    callback = pick(client, ms_identity_emulator)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY] if has_fallback else []
    settings.SECRET_KEY = "the next one"

    assert code_of(callback.send(client)) == ("" if has_fallback else "flow_invalid")


def test_an_unprefixed_flow_cookie_is_nothing_to_an_https_site(client, ms_identity_emulator):
    location = client.get("/ms/start/microsoft/", secure=True).headers["Location"]
    callback = ms_identity_emulator.callback(location)
    (name,) = flow_cookies(client)
    tossed = f"{name.removeprefix('__Host-')}={client.cookies[name].value}"

    response = client.get(callback.url, HTTP_COOKIE=tossed, secure=True)

    assert code_of(response) == "flow_missing"


# BASE_REDIRECT_URI


BASE = make_settings(BASE_REDIRECT_URI="https://www.example.com")


@override_settings(
    MS_IDENTITY=BASE,
    ALLOWED_HOSTS=["*"],
    SESSION_COOKIE_NAME="__Host-sessionid",
    CSRF_COOKIE_NAME="__Host-csrftoken",
    SESSION_COOKIE_SECURE=True,
    CSRF_COOKIE_SECURE=True,
)
def test_djangos_own_cookies_may_be_for_this_host_alone_too(ms_identity_emulator):
    browser = Browser(enforce_csrf_checks=True)
    ms_identity_emulator.sign_in(browser)
    session = browser.cookies["__Host-sessionid"]
    # What browsers ask of the prefix (RFC 6265bis section 4.1.3.2).
    assert (session["secure"], session["path"], session["domain"]) == (True, "/", "")
    assert browser.get("/home/").content != b"nobody"
    browser.get("/ms/connections/")
    token = browser.cookies["__Host-csrftoken"].value

    browser.post(
        "/ms/sign-out/",
        {"csrfmiddlewaretoken": token},
        secure=True,
        headers={"Referer": "https://testserver/"},
    )

    assert browser.get("/home/").content == b"nobody"


@override_settings(MS_IDENTITY=BASE, ALLOWED_HOSTS=["*"])
def test_a_sign_in_on_the_host_of_base_redirect_uri(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client, next="/home/?x")

    assert response.headers["Location"] == "/home/?x", page(response)

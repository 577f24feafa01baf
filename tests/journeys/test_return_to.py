"""Where a visitor may be sent afterwards: asked at the start, and again at the end."""

from __future__ import annotations

from secrets import token_urlsafe
from urllib.parse import urlencode, urlsplit

import pytest
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity import conf
from django_ms_identity.flows import return_urls
from tests.support.builders import make_settings

from .steps import pick, press

ALLOWED = [
    "https://app.example.com/",
    "https://docs.example.com/team",
    "https://*.wild.example.com",
    "https://port.example.com:8443/",
    "http://plain.example.com/",
]
GOOD = [
    "/",
    "/home/",
    "/home/?a=1&b=2#part",
    "/home/a b",
    "/search?next=//evil.example",
    "/ünï",
    "relative/path",
    "?only=query",
    "http://testserver/home/",
    "https://testserver/home/",
    "https://app.example.com",
    "https://app.example.com/",
    "https://APP.example.com/x",
    "https://app.example.com:443/x",
    "https://app.example.com/x?next=https://evil.example",
    "https://docs.example.com/team",
    "https://docs.example.com/team/",
    "https://docs.example.com/team/a?b#c",
    "https://a.wild.example.com/",
    "https://a.b.wild.example.com/x",
    "https://port.example.com:8443/x",
    "http://plain.example.com/",
]
BAD = [
    "",
    " ",
    "https://evil.example/",
    "http://evil.example/",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "http:///evil.example",
    " https://evil.example",
    " /home/",
    "/home/ ",
    "\t//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/home/\r\nSet-Cookie: a=b",
    "/home/\0",
    "/home/\x7f",
    "/home/\u2028",
    "/home/\u202e",
    "\x00//evil.example",
    "\u00a0//evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://app.example.com/",
    "mailto:a@b.example",
    "http://testserver.evil.example/",
    "http://testserver@evil.example/",
    "http://testserver:80@evil.example/",
    "http://testserver:8000/",
    "http://evil.example\\@testserver/",
    "http://testserver\\.evil.example/",
    "http://evil.example#@testserver/",
    "http://evil.example?@testserver/",
    "http://[::1",
    "http://[evil.example]/",
    "https://app.example.com.evil.example/",
    "https://evilapp.example.com/",
    "https://evil.example/https://app.example.com/",
    "http://app.example.com/",
    "https://app.example.com:8443/",
    "https://app.example.com:0/",
    "https://app.example.com:99999/",
    "https://app.example.com:x/",
    "https://user@app.example.com/",
    "https://user:password@app.example.com/",
    "https://@app.example.com/",
    "https://app.example.com\\@evil.example/",
    "https://evil.example\\@app.example.com/",
    "https://docs.example.com/",
    "https://docs.example.com/teammates",
    "https://docs.example.com/team/../admin",
    "https://docs.example.com/team/%2e%2e/admin",
    "https://docs.example.com/team/.%2E/admin",
    "https://docs.example.com/team/./../admin",
    "https://docs.example.com/TEAM/",
    "https://docs.example.com/team\\..\\admin",
    "https://wild.example.com/",
    "https://evilwild.example.com/",
    "https://evil.example\\.wild.example.com/",
    "https://evil.example\uff0f.wild.example.com/",
    "https://evil.example/.wild.example.com/",
    "https://evil.example?.wild.example.com/",
    "https://evil.example#.wild.example.com/",
    "https://.wild.example.com/",
    "https://port.example.com/",
    "http://port.example.com:8443/",
    "https://plain.example.com/",
    "http://plain.example.com:8080/",
]


@pytest.fixture(autouse=True)
def _allowed(settings):
    settings.MS_IDENTITY = make_settings(ALLOWED_RETURN_URLS=ALLOWED)


def safe(url, *, secure=False):
    request = RequestFactory().get("/", secure=secure)
    return return_urls.safe_return_to(request, url, config=conf.get_config())


@pytest.mark.parametrize("url", GOOD)
def test_a_good_target_is_kept_as_it_is(url):
    assert safe(url) == url


@pytest.mark.parametrize("url", BAD)
def test_a_bad_target_is_dropped(url):
    assert safe(url) == ""


def test_a_site_on_https_sends_nobody_to_its_own_http():
    assert safe("http://testserver/home/", secure=True) == ""
    assert safe("https://testserver/home/", secure=True) == "https://testserver/home/"


@given(st.text())
def test_any_text_is_kept_or_dropped(url):
    with override_settings(MS_IDENTITY=make_settings(ALLOWED_RETURN_URLS=ALLOWED)):
        assert safe(url) in (url, "")


@given(st.text(alphabet="/\\:.@?#&%[]\t\n xX0189evilcomthps*-"))
def test_no_spelling_leads_a_browser_to_another_host(url):
    """A browser reads backslashes as slashes, and skips tabs and line breaks."""
    with override_settings(MS_IDENTITY=make_settings()):
        kept = safe(url)

    seen = kept.replace("\\", "/").replace("\t", "").replace("\n", "")
    assert not seen.startswith("//")
    assert urlsplit(seen).netloc in ("", "testserver")


# Whole journeys


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/home/?a=1&b=2#part", "https://docs.example.com/team/a", "/ünï"])
def test_a_good_target_is_where_the_visitor_ends(client, ms_identity_emulator, url):
    response = ms_identity_emulator.sign_in(client, next=url)

    assert response.headers["Location"] == url.replace("ünï", "%C3%BCn%C3%AF")


@pytest.mark.kratos(86)
@pytest.mark.django_db
@pytest.mark.parametrize(
    "url", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"]
)
def test_a_bad_target_becomes_the_default(client, ms_identity_emulator, url):
    assert ms_identity_emulator.sign_in(client, next=url).headers["Location"] == "/home/"
    assert press(client, next=url).headers["Location"] == "/home/"


@pytest.mark.django_db
def test_a_target_is_checked_again_when_it_is_used(client, ms_identity_emulator, settings):
    callback = pick(client, ms_identity_emulator, next="https://app.example.com/x")
    settings.MS_IDENTITY = make_settings()

    assert callback.send(client).headers["Location"] == "/home/"


@pytest.mark.django_db
def test_a_target_is_checked_again_when_a_callback_is_repeated(client, ms_identity_emulator, settings):
    callback = pick(client, ms_identity_emulator, next="https://app.example.com/x")
    callback.send(client)
    settings.MS_IDENTITY = make_settings()

    assert callback.send(client).headers["Location"] == "/home/"


@pytest.mark.django_db
def test_a_target_too_long_for_a_cookie_becomes_the_default(client, ms_identity_emulator):
    # Compressed, 'x' * 1000 would fit.
    response = ms_identity_emulator.sign_in(client, next=f"/{token_urlsafe(750)}")

    assert response.headers["Location"] == "/home/"


@pytest.mark.parametrize("url", BAD)
def test_the_sign_in_page_passes_no_bad_target_on(client, url):
    response = client.get(f"/ms/sign-in/?{urlencode({'next': url})}")

    assert response.context["next"] == ""
    assert [button["url"] for button in response.context["providers"]] == ["/ms/start/microsoft/"]


@pytest.mark.kratos(89)
@pytest.mark.django_db
def test_the_page_of_a_refusal_keeps_the_target(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client, "cancel", next="/home/?x")

    assert response.context["retry_url"] == "/ms/start/microsoft/?next=%2Fhome%2F%3Fx"

"""Redirect URIs exactly as registered, and return URLs to allowed hosts only."""

import re
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponseRedirect
from django.test import RequestFactory, override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from django_ms_identity.conf.settings import parse_settings
from django_ms_identity.flows import return_urls

PLAIN = parse_settings({}, debug=False).config
BASED = parse_settings({"BASE_REDIRECT_URI": "https://www.example.com/"}, debug=False).config
ALLOWING = parse_settings(
    {
        "ALLOWED_RETURN_URLS": [
            "https://app.example.com/",
            "https://docs.example.com/team",
            "https://*.wild.example.com",
            "https://*.tenants.example/app",
            "https://port.example.com:8443/",
            "http://plain.example.com/",
            "http://localhost:3000",
        ]
    },
    debug=False,
).config
REQUEST = RequestFactory().get("/ms/callback/microsoft/")
SECURE_REQUEST = RequestFactory().get("/ms/callback/microsoft/", secure=True)


# Redirect URIs


@pytest.mark.kratos(8)
def test_redirect_uri_has_scheme_and_host_of_the_request():
    assert return_urls.redirect_uri("microsoft", config=PLAIN, request=REQUEST) == (
        "http://testserver/ms/callback/microsoft/"
    )
    assert return_urls.redirect_uri("microsoft", config=PLAIN, request=SECURE_REQUEST) == (
        "https://testserver/ms/callback/microsoft/"
    )


@pytest.mark.kratos(9)
def test_redirect_uri_has_scheme_and_host_of_base_redirect_uri():
    expected = "https://www.example.com/ms/callback/microsoft/"

    assert return_urls.redirect_uri("microsoft", config=BASED, request=REQUEST) == expected
    assert return_urls.redirect_uri("microsoft", config=BASED) == expected


def test_redirect_uri_without_request_and_base_is_a_path():
    assert return_urls.redirect_uri("microsoft", config=PLAIN) == "/ms/callback/microsoft/"


@pytest.mark.parametrize(
    ("uri", "cookies_secure", "secure"),
    [("https://a/", False, True), ("http://a/", False, False), ("http://a/", True, True)],
)
def test_flow_cookies_are_secure_as_redirect_uri_or_session_cookie(uri, cookies_secure, secure):
    with override_settings(SESSION_COOKIE_SECURE=cookies_secure):
        assert return_urls.is_secure(uri) is secure


def test_start_url_encodes_its_query():
    assert return_urls.start_url("microsoft") == "/ms/start/microsoft/"
    assert return_urls.start_url("microsoft", next_url="/a?b=c&d", prompt="login") == (
        "/ms/start/microsoft/?next=%2Fa%3Fb%3Dc%26d&prompt=login"
    )


@override_settings(LOGIN_REDIRECT_URL="ms_identity:sign_in")
def test_default_return_url_is_login_redirect_url():
    assert return_urls.default_return_to() == "/ms/sign-in/"


# Return targets


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
    "https://one.tenants.example/app",
    "https://a.b.tenants.example/app/deep",
    "http://localhost:3000/anything",
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
    "/home/\x00",
    "/home/\x7f",
    "/home/\u2028",
    "/home/\u202e",
    "\x00//evil.example",
    "\xa0//evil.example",
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
    "https://app.example.com@evil.example/",
    "https://app.example.com:x@evil.example/",
    "https://evil.example\\.tenants.example/app",
    "http://app.example.com:443/",
    "http://localhost/",
    "http://localhost:3001/",
    "https://tenants.example/app",
    "https://eviltenants.example/app",
    "https://one.tenants.example/",
    "https://one.tenants.example/application",
    "https://one.tenants.example/app/../admin",
    "https://one.tenants.example/app/%2e%2E/admin",
    "https://one.tenants.example/app/./x",
    "https://[",
    "//testserver/home/",
    "/home\\evil.example/",
    "\x01https://app.example.com/",
]


@pytest.mark.parametrize("url", GOOD)
def test_allowed_return_url_is_kept(url):
    assert return_urls.safe_return_to(REQUEST, url, config=ALLOWING) == url


@pytest.mark.parametrize("url", BAD)
def test_other_return_url_is_refused(url):
    assert return_urls.safe_return_to(REQUEST, url, config=ALLOWING) == ""


def test_return_url_does_not_leave_https_on_this_host():
    assert return_urls.safe_return_to(SECURE_REQUEST, "http://testserver/", config=PLAIN) == ""
    assert return_urls.safe_return_to(SECURE_REQUEST, "https://testserver/", config=PLAIN)


SPECIAL = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "file": None}


def host_in_a_browser(url, *, base):
    """Name scheme, host and port where a browser goes; follows the URL Standard's basic URL parser.

    ``None``: the browser goes nowhere. Percent-encoded hosts and IDNA are left out: such a host is never
    spelt like an allowed one.
    """
    url = url.strip("".join(map(chr, range(0x21))))
    url = re.sub(r"[\t\n\r]", "", url)
    here = urlsplit(base)
    scheme, rest = here.scheme, url
    if match := re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url):
        scheme, rest = match[1].lower(), url[match.end() :]
        if scheme not in SPECIAL:
            return scheme, "", None
        # "Special authority slashes": however many, of whichever kind; none at all if the scheme differs.
        if scheme == here.scheme and not re.match(r"[/\\]{2}", rest):
            return here.scheme, here.hostname, SPECIAL[here.scheme]
    elif not re.match(r"[/\\]{2}", rest):
        return here.scheme, here.hostname, SPECIAL[here.scheme]
    authority = re.split(r"[/\\?#]", rest.lstrip("/\\"), maxsplit=1)[0]
    host, _, port = authority.rpartition("@")[2].partition(":")
    if not host or (port and not port.isascii()) or (port and not port.isdigit()):
        return None
    return scheme, host.lower(), int(port) if port else SPECIAL[scheme]


@pytest.mark.parametrize(
    ("url", "goes_to"),
    [
        ("/\\evil.example", "evil.example"),
        ("https:evil.example", "evil.example"),
        ("http:evil", "testserver"),
        ("https://a\\@b", "a"),
        ("https://a@b", "b"),
        ("/\n/evil", "evil"),
        ("\x00 //evil", "evil"),
        ("a//b", "testserver"),
    ],
)
def test_url_oracle_reads_urls_as_browsers_do(url, goes_to):
    assert host_in_a_browser(url, base="http://testserver/ms/")[1] == goes_to


def is_allowed(place, *, secure):
    if place is None:
        return True
    scheme, host, port = place
    if host == "testserver":
        return port in (80, 443) and scheme in (("https",) if secure else ("http", "https"))
    if host.endswith((".tenants.example", ".wild.example.com")):
        return (scheme, port) == ("https", 443)
    return place in {
        ("https", "app.example.com", 443),
        ("https", "docs.example.com", 443),
        ("https", "port.example.com", 8443),
        ("http", "plain.example.com", 80),
        ("http", "localhost", 3000),
    }


PIECES = (
    "http:|https:|HTTPS:|javascript:|//|/|\\|@|:|:80|:443|:3000|?|#|.|..|%2e|%2f|%5c|[|]|/app|x|evil.example"
    "|testserver|app.example.com|tenants.example|localhost|\t|\n|\r|\x00|\x0b| |\u00a0|\u200b|\u3000|\u3002"
    "|\ufeff|\uff0f|\uff20|ß"
)
piece = st.sampled_from(PIECES.split("|")) | st.characters(exclude_categories=["Cs"])
pieces = st.lists(piece, max_size=9).map("".join)


@given(url=pieces | st.text(), secure=st.booleans())
@example(url="\u00a0//evil.example", secure=False)
@example(url="https://evil.example\\.tenants.example/app", secure=True)
@example(url="//testserver@evil.example", secure=False)
@example(url="https://app.example.com:0/", secure=False)
def test_no_return_url_leads_a_browser_to_another_host(url, secure):
    request = SECURE_REQUEST if secure else REQUEST

    kept = return_urls.safe_return_to(request, url, config=ALLOWING)

    assert kept in ("", url)
    if kept:
        base = f"{request.scheme}://testserver/ms/callback/microsoft/"
        sent = HttpResponseRedirect(kept).headers["Location"]
        for target in (kept, sent):
            assert is_allowed(host_in_a_browser(target, base=base), secure=secure), target

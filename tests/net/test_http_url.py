"""The one parser of http URLs: what it takes apart, and what it refuses to read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.net.http_url import HttpUrl, parse_http_url, redact_url


def test_http_url_is_taken_apart():
    assert parse_http_url("HTTPS://WWW.Example.com:8443/a/b?c=d#e") == HttpUrl(
        scheme="https",
        host="www.example.com",
        port=8443,
        authority="WWW.Example.com:8443",
        path="/a/b",
        query="c=d",
        fragment="e",
    )


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("https://example.com", "example.com", 443),
        ("http://example.com/", "example.com", 80),
        ("https://example.com:/", "example.com", 443),
        ("http://[2606:4700::1111]:8000/", "2606:4700::1111", 8000),
        ("https://*.example.com/", "*.example.com", 443),
        ("https://example.com/a b", "example.com", 443),
    ],
)
def test_http_url_has_host_and_port(text, host, port):
    url = parse_http_url(text)

    assert (url.host, url.port) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("example.com", id="no scheme"),
        pytest.param("//example.com/", id="no scheme but slashes"),
        pytest.param("https:example.com", id="no slashes"),
        pytest.param("ftp://example.com/", id="another scheme"),
        pytest.param("javascript://example.com/%0aalert(1)", id="script"),
        pytest.param("https://", id="no host"),
        pytest.param("https:///path", id="no authority"),
        pytest.param("https://:443/", id="port without host"),
        pytest.param("https://example.com:0/", id="port 0"),
        pytest.param("https://example.com:65536/", id="port too high"),
        pytest.param("https://example.com:x/", id="port no number"),
        pytest.param("https://example.com:-1/", id="port negative"),
        pytest.param("https://[::1/", id="bracket open"),
        pytest.param("https://user:password@example.com/", id="password"),
        pytest.param("https://user@example.com/", id="user"),
        pytest.param("https://@example.com/", id="empty user"),
        pytest.param("https://example.com\\@evil.example/", id="backslash"),
        pytest.param("https://example.com/a\\b", id="backslash in the path"),
        pytest.param("https://exa mple.com/", id="space in the host"),
        pytest.param("https://example\u00a0.com/", id="no-break space in the host"),
        pytest.param(" https://example.com/", id="space before"),
        pytest.param("https://example.com/ ", id="space after"),
        pytest.param("\x00https://example.com/", id="NUL before"),
        pytest.param("https://exam\tple.com/", id="tab"),
        pytest.param("ht\ntps://example.com/", id="line break in the scheme"),
        pytest.param("https://example.com/\r\nHost: x", id="line break"),
        pytest.param("https://example.com/\x7f", id="DEL"),
        pytest.param("https://exa\uff0fmple.com/", id="full-width slash"),
    ],
)
def test_text_that_is_no_plain_http_url_is_refused(text):
    assert parse_http_url(text) is None


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("http://localhost:8000/", True),
        ("http://127.0.0.1/", True),
        ("http://[::1]/", True),
        ("http://LOCALHOST/", True),
        ("http://localhost.example/", False),
        ("http://127.0.0.2/", False),
    ],
)
def test_http_url_of_this_machine_is_loopback(text, loopback):
    assert parse_http_url(text).is_loopback is loopback


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://example.com:1/a", "https://example.com:1/a"),
        ("https://example.com/a?key=planted#planted", "https://example.com/a?[redacted]"),
        ("https://planted@example.com/", "[redacted]"),
        ("planted", "[redacted]"),
    ],
)
def test_redacted_url_holds_no_secret(text, shown):
    assert redact_url(text) == shown


@given(text=st.text() | st.from_regex(r"https?:/{0,3}[\w.:@\[\]*\\ ]*(:\d*)?(/.*)?"))
def test_any_text_is_an_http_url_or_none(text):
    url = parse_http_url(text)

    assert url is None or (url.host and 0 < url.port < 65536 and "@" not in url.authority)

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.jsonnet.source_urls import MAX_SOURCE, display_url, url_fault

PIN = "sha256=" + "0aF9" * 16


def inline(content: bytes) -> str:
    return "base64://" + base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "mapper_url",
    [
        "",
        "file:///etc/mapper.jsonnet",
        "file://./mapper.jsonnet",
        "file:///etc/a b.jsonnet",
        inline(b"{}"),
        "https://host.example/mapper.jsonnet",
        "https://host.example:8443/m?token=planted",
        f"https://host.example/m#{PIN}",
        "https://[::1]/m",
    ],
)
def test_good_mapper_url_has_no_fault(mapper_url: str) -> None:
    assert url_fault(mapper_url) == ""


@pytest.mark.parametrize(
    ("mapper_url", "fault"),
    [
        ("/etc/planted.jsonnet", "has no scheme"),
        ("planted.jsonnet", "has no scheme"),
        ("ftp://planted.example/m", "has an unknown scheme"),
        ("FILE:///planted", "has an unknown scheme"),
        ("file://", "names no file"),
        ("file:///etc/planted\0", "names no file"),
        ("file:///etc/planted\ud800", "names no file"),
        ("http://planted.example/m", "uses http://"),
        ("https://", "is not a URL"),
        ("https:///planted", "is not a URL"),
        ("https://planted.example:99999/m", "is not a URL"),
        ("https://planted.example:x/m", "is not a URL"),
        ("https://[planted/m", "is not a URL"),
        ("https://planted.example/a b", "is not a URL"),
        ("https://planted.example/a\u00a0b", "is not a URL"),
        ("https://user:planted@mappers.example/m", "is not a URL"),
        ("https://planted.example/m\r\nHost: x", "is not a URL"),
        ("https://planted.example/m#sha256=abc", "has a fragment that is no pin"),
        ("https://planted.example/m#sha512=" + "0" * 64, "has a fragment that is no pin"),
        ("https://planted.example/m#x" + PIN, "has a fragment that is no pin"),
        ("base64://planted", "is not usable: base64:// takes"),
        ("base64://cGxhbnRlZA", "is not usable: base64:// takes"),
        ("base64://cGxhbn\nRlZA==", "is not usable: base64:// takes"),
        ("base64://_-_-", "is not usable: base64:// takes"),
        ("base64://é", "is not usable: base64:// takes"),
        ("base64://", "is not usable: the mapper is empty"),
        (inline(b" \n"), "is not usable: the mapper is empty"),
        (inline(b"planted \xff"), "is not usable: the mapper is not UTF-8"),
        (inline(b"{} // planted \0"), "is not usable: the mapper holds a NUL"),
        (inline(b" " * MAX_SOURCE + b"x"), "is not usable: the mapper is larger"),
    ],
)
def test_bad_mapper_url_has_a_fault_without_its_text(mapper_url: str, fault: str) -> None:
    said = url_fault(mapper_url)

    assert said.startswith(fault)
    assert said.endswith(".")
    assert "planted" not in said


def test_mapper_url_by_http_needs_permission() -> None:
    assert url_fault("http://host.example/m", allow_http=True) == ""
    assert url_fault("http:///m", allow_http=True)


@given(mapper_url=st.text() | st.text().map("https://".__add__) | st.text().map("base64://".__add__))
def test_any_mapper_url_is_checked_and_displayed(mapper_url: str) -> None:
    assert isinstance(url_fault(mapper_url), str)
    assert isinstance(display_url(mapper_url), str)


@pytest.mark.parametrize(
    ("mapper_url", "text"),
    [
        ("", "the mapper that ships with django_ms_identity"),
        ("file:///etc/m.jsonnet", "file:///etc/m.jsonnet"),
        ("base64://planted", "base64://[redacted]"),
        ("BASE64://planted", "BASE64://[redacted]"),
        ("https://h.example:1/m", "https://h.example:1/m"),
        ("https://h.example/m?sig=planted", "https://h.example/m?[redacted]"),
        ("https://h.example/m?x#planted", "https://h.example/m?[redacted]"),
        ("https://planted:planted@h.example/m", "https://[redacted]"),
        ("https://[planted", "https://[redacted]"),
        ("planted", "[redacted]"),
    ],
)
def test_displayed_mapper_url_holds_no_secret(mapper_url: str, text: str) -> None:
    assert display_url(mapper_url) == text

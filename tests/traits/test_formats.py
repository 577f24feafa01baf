"""The formats of JSON Schema that are checked."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.traits.formats import is_date, is_email, is_uri


@pytest.mark.parametrize(
    "value",
    [
        "bob@contoso.example",
        "b.o'b+x@a-b.example",
        "bob@localhost",
        "bøb@bücher.example",
        "b@" + "a" * 63,
        5,
        None,
    ],
)
def test_an_email_address_is_taken(value: object) -> None:
    assert is_email(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bob",
        "@contoso.example",
        "bob@",
        "bob@contoso.example\n",
        "b b@contoso.example",
        "a@b@contoso.example",
        ".bob@contoso.example",
        "bob.@contoso.example",
        "b..b@contoso.example",
        "bob@-a.example",
        "bob@a-.example",
        "bob@a..example",
        "bob@contoso.example.",
        "bob@x.example\0",
        "a" * 65 + "@contoso.example",
        "b@" + "a" * 64,
        "b@" + ".".join(["a" * 60] * 5),
        "Bob <bob@contoso.example>",
        "bob\r\nBcc: eve@contoso.example",
    ],
)
def test_what_is_no_email_address_is_refused(value: str) -> None:
    assert not is_email(value)


@pytest.mark.parametrize(
    "value",
    [
        "https://x.example/a?b=c#d",
        "mailto:bob@x.example",
        "urn:a:b",
        "http://[::1]:80/",
        "https://bücher.example/ä",
        5,
    ],
)
def test_a_uri_is_taken(value: object) -> None:
    assert is_uri(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x.example",
        "/a",
        "https:",
        "https://x.example/a b",
        "https://x\n",
        "http://[::1",
        "http://x:port",
        "http://:80",
        "1a:b",
        "https://x/<script>",
    ],
)
def test_what_is_no_uri_is_refused(value: str) -> None:
    assert not is_uri(value)


@pytest.mark.parametrize("value", ["2024-02-29", "0001-01-01", 5])
def test_a_date_is_taken(value: object) -> None:
    assert is_date(value)


@pytest.mark.parametrize(
    "value",
    ["", "2023-02-29", "20240229", "2024-W01-1", "2024-2-9", "٢٠٢٤-٠٢-٢٩", "2024-02-29\n", "0000-01-01"],
)
def test_what_is_no_date_is_refused(value: str) -> None:
    assert not is_date(value)


@pytest.mark.parametrize("check", [is_email, is_uri, is_date])
@given(value=st.text("a.-@:/[]0 \n\u2028ä%", max_size=30))
def test_any_text_gets_an_answer(check: Callable[[object], bool], value: str) -> None:
    assert check(value) in (True, False)


@pytest.mark.parametrize("check", [is_email, is_uri, is_date])
@pytest.mark.parametrize("part", ["a", "a.", "@", "a-", ".", ":", "http://", "0", "["])
def test_a_long_text_is_answered_in_time(check: Callable[[object], bool], part: str) -> None:
    begin = time.monotonic()

    check(part * (256 * 1024 // len(part)))
    check("a:" + part * (256 * 1024 // len(part)) + " ")
    assert time.monotonic() - begin < 5

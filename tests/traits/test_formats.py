"""The formats of JSON Schema that are checked."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.traits.formats import is_email
from django_ms_identity.traits.schema import parse_schema


def has_format(name: str, value: Any) -> bool:
    traits = {"properties": {"t": {"format": name}}}
    return not parse_schema(json.dumps({"properties": {"traits": traits}})).problems({"t": value})


@pytest.mark.parametrize(
    "value",
    [
        "bob@contoso.example",
        "b.o'b+x@a-b.example",
        "bob@localhost",
        "bøb@bücher.example",
        "b@" + "a" * 63,
    ],
)
def test_email_format_accepts_an_address(value: str) -> None:
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
def test_email_format_refuses_what_is_no_address(value: str) -> None:
    assert not is_email(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uri", "https://x.example/a?b=c#d"),
        ("uri", "mailto:bob@x.example"),
        ("uri", "urn:a:b"),
        ("uri", "http://[::1]:80/"),
        ("uri", 5),
        ("date", "2024-02-29"),
        ("date", "0001-01-01"),
        ("date", 5),
        ("email", "bøb@bücher.example"),
        ("email", None),
        ("date-time", "2024-02-29T12:00:00Z"),
        ("unheard-of", "anything"),
    ],
)
def test_format_accepts_its_values(name: str, value: object) -> None:
    assert has_format(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("uri", value) for value in ("", "x.example", "/a", "https://x.example/a b", "https://x\n")),
        *(("uri", value) for value in ("http://[::1", "http://x:port", "1a:b", "https://x/<script>")),
        *(("date", value) for value in ("", "2023-02-29", "20240229", "2024-W01-1", "2024-2-9")),
        *(("date", value) for value in ("٢٠٢٤-٠٢-٢٩", "2024-02-29\n")),
        ("email", "bob@"),
        ("email", '"bob smith"@contoso.example'),
        ("date-time", "2024-02-29"),
    ],
)
def test_format_refuses_other_values(name: str, value: str) -> None:
    assert not has_format(name, value)


FORMATS = (
    *("date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname", "ipv4", "ipv6"),
    *("iri", "iri-reference", "json-pointer", "regex", "relative-json-pointer", "time", "uri"),
    *("uri-reference", "uri-template", "uuid"),
)


@given(name=st.sampled_from(FORMATS), value=st.text("a.-@:/[]0 \n\u2028ä%", max_size=30))
def test_any_text_gets_an_answer_from_any_format(name: str, value: str) -> None:
    assert has_format(name, value) in (True, False)


@pytest.mark.parametrize("name", FORMATS)
def test_format_of_a_long_text_is_answered_in_time(name: str) -> None:
    begin = time.monotonic()

    for part in ("a", "a.", "@", "a-", ".", ":", "http://", "0", "[", "(", "{"):
        has_format(name, part * (256 * 1024 // len(part)))
        has_format(name, "a:" + part * (256 * 1024 // len(part)) + " ")
    assert time.monotonic() - begin < 10

"""Patterns of an identity schema: what they mean, which are refused, and that they take linear time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.exceptions import SchemaInvalid
from django_ms_identity.traits.schema import IdentitySchema, parse_schema


def schema_with(trait: Any) -> IdentitySchema:
    """Describe the one trait ``t``."""
    return parse_schema.__wrapped__(json.dumps({"properties": {"traits": {"properties": {"t": trait}}}}))


def is_found(pattern: str, text: str) -> bool:
    return not schema_with({"pattern": pattern}).problems({"t": text})


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        pytest.param("b", "abc", True, id="anywhere"),
        pytest.param("^b", "abc", False, id="anchored"),
        pytest.param("^[a-z]+$", "abc", True, id="plain"),
        pytest.param("^[a-z]+$", "abc\n", False, id="no line break at the end"),
        pytest.param(r"^a\$", "a$", True, id="escaped dollar"),
        pytest.param("^[$]", "$", True, id="dollar in a class"),
        pytest.param(r"^\d$", "٣", False, id="digits are ASCII"),
        pytest.param(r"^\w$", "ä", False, id="letters are ASCII"),
        pytest.param(r"^\p{L}+$", "äß", True, id="property of Unicode"),
        pytest.param(r"^\/$", "/", True, id="escaped slash"),
        pytest.param("^.$", "\n", False, id="a dot is no line break"),
        pytest.param("^(ä|\u2028)+", "ä\u2028", True, id="beyond ASCII"),
        pytest.param("^(?<year>[0-9]+)$", "2024", True, id="ECMA's named group"),
        pytest.param("^(?P<year>[0-9]+)$", "2024", True, id="RE2's named group"),
        pytest.param(r"^[(?P<x>]\(?P<y>$", "?(P<y>", True, id="no named group"),
        pytest.param("(?i)^abc|def$", "DEF", True, id="RE2's flag for the whole"),
        pytest.param("(?im)^b$", "a\nB", True, id="RE2's flags"),
        pytest.param("(?i:a)b", "AB", False, id="flag for a part"),
        pytest.param("(x)", "\ud800x", True, id="lone surrogate"),
        pytest.param("^(x)", "\0x", False, id="NUL"),
    ],
)
def test_pattern_means_what_it_says(pattern: str, text: str, found: bool) -> None:
    assert is_found(pattern, text) is found


def test_pattern_of_keys_is_rewritten_too() -> None:
    schema = schema_with(
        {"patternProperties": {"(?i)^x": {"type": "integer"}}, "additionalProperties": False}
    )

    assert schema.problems({"t": {"X": 1, "xy": 2}}) == ()


def test_property_named_pattern_is_no_pattern() -> None:
    assert schema_with({"properties": {"pattern": {"const": "("}}}).problems({"t": {"pattern": "("}}) == ()


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("(", id="unclosed"),
        pytest.param("^(?=a)", id="look-ahead"),
        pytest.param("(?<!a)b", id="look-behind"),
        pytest.param(r"^(a)\1", id="back-reference"),
        pytest.param("a{,3}", id="count without a minimum"),
        pytest.param("a{99999999999999999999}", id="count that overflows"),
        pytest.param("(a{1000}){1000}", id="too large"),
        pytest.param(r"\N{DIGIT ONE}", id="Python's named character"),
        pytest.param("a++", id="possessive"),
        pytest.param("(" * 30_000, id="deep"),
    ],
)
def test_pattern_that_cannot_be_used_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaInvalid, match="#/properties/traits/properties/t/pattern: the pattern"):
        schema_with({"pattern": pattern})


@pytest.mark.parametrize("pattern", [r"^\S+@\S+\.\S+$", "^(a+)+$", "^(a|a)*$", "(.*){1,50}x", "[a-z]{99}!!"])
def test_hostile_pattern_takes_linear_time(pattern: str) -> None:
    schema = schema_with({"pattern": pattern})

    def seconds(size: int) -> float:
        begin = time.perf_counter()
        assert schema.problems({"t": "a" * size + "!"})
        return time.perf_counter() - begin

    short, long = (min(seconds(size) for _ in range(5)) for size in (25_000, 100_000))
    # Four times the text: with quadratic work 16 times the time.
    assert long < 10 * max(short, 0.001)


@pytest.mark.parametrize(
    "trait",
    [
        pytest.param({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, id="keys"),
        pytest.param({"propertyNames": {"pattern": "^(a+)+$"}}, id="names"),
    ],
)
def test_hostile_pattern_of_keys_does_not_hang(trait: Any) -> None:
    begin = time.monotonic()

    assert schema_with(trait).problems({"t": {"a" * 100_000 + "!": 1}})
    assert time.monotonic() - begin < 5


@given(st.text("^$[]\\(){}*+?|.ab-0,1dwsZN:<=!m", max_size=20))
def test_pattern_is_refused_or_gets_an_answer(pattern: str) -> None:
    try:
        schema = schema_with({"pattern": pattern})
    except SchemaInvalid:
        return
    schema.problems({"t": "ab0-"})

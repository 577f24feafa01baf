"""Patterns of a schema: what they mean, which may run in this process, and that none can hang it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.exceptions import MapperTimedOut
from django_ms_identity.jsonnet.worker_pool import WorkerPool
from django_ms_identity.traits.patterns import (
    MAX_PATTERN,
    MAX_TEXT,
    PATIENCE,
    fault_of,
    in_python,
    is_linear,
    matches,
    patiently,
)

CATASTROPHE = "^(a+)+$"
VICTIM = "a" * 60 + "!"


# In the worker


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        pytest.param("b+", "abc", True, id="anywhere"),
        pytest.param("^b", "abc", False, id="anchored"),
        pytest.param(r"^\d+\Z", "٣", False, id="digits are ASCII"),
        pytest.param("^(ä|\u2028)+", "ä\u2028", True, id="beyond ASCII"),
        pytest.param("(x)", "\ud800x", True, id="lone surrogate"),
        pytest.param("(x)", "\0x", True, id="NUL"),
        pytest.param("()", "", True, id="nothing"),
    ],
)
def test_a_worker_searches(sandbox: WorkerPool, pattern: str, text: str, found: bool) -> None:
    assert sandbox.matches(pattern, text, timeout=20) is found


def test_a_worker_that_searched_still_evaluates(sandbox: WorkerPool) -> None:
    sandbox.matches("a", "a", timeout=20)
    before = set(sandbox.workers)

    assert sandbox.evaluate("1", name="m", claims={}, identity={}, timeout=20) == "1\n"
    assert sandbox.workers == before


def test_a_search_without_end_is_ended(sandbox: WorkerPool) -> None:
    with pytest.raises(MapperTimedOut):
        sandbox.matches(CATASTROPHE, VICTIM, timeout=20)

    assert sandbox.matches(CATASTROPHE, "aaa", timeout=20)


def test_a_search_is_ended_after_its_wall_time(sandbox: WorkerPool) -> None:
    with pytest.raises(MapperTimedOut, match=r"0\.2 s"):
        sandbox.matches(CATASTROPHE, VICTIM, timeout=0.2)


# What they mean


def test_what_cannot_be_told_in_time_does_not_match(caplog: pytest.LogCaptureFixture) -> None:
    begin = time.monotonic()

    assert matches(CATASTROPHE, VICTIM, timeout=0.5) is False
    assert time.monotonic() - begin < 20
    assert CATASTROPHE in caplog.text
    assert VICTIM not in caplog.text


@pytest.mark.parametrize("pattern", ["^a*", "a*"])
def test_a_text_that_is_too_long_does_not_match(pattern: str) -> None:
    assert matches(pattern, "ä" * (MAX_TEXT // 2))
    assert not matches(pattern, "ä" * (MAX_TEXT // 2) + "a")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        pytest.param("^[a-z]+$", "abc", True, id="plain"),
        pytest.param("^[a-z]+$", "abc\n", False, id="no line break at the end"),
        pytest.param("^(abc)$", "abc\n", False, id="none in the worker either"),
        pytest.param("^(?m:abc)$", "abc\n", True, id="multi-line keeps Python's meaning"),
        pytest.param(r"^a\$", "a$", True, id="escaped dollar"),
        pytest.param("^[$]", "$", True, id="dollar in a class"),
        pytest.param("^[]$]", "$", True, id="bracket and dollar in a class"),
        pytest.param("^[^$]$", "a", True, id="class without dollar"),
        pytest.param(r"^\d$", "٣", False, id="digits are ASCII"),
        pytest.param(r"^\w$", "ä", False, id="letters are ASCII"),
        pytest.param(r"^\/$", "/", True, id="escaped slash"),
        pytest.param("b", "abc", True, id="unanchored"),
        pytest.param("^.$", "\n", False, id="a dot is no line break"),
    ],
)
def test_a_pattern_means_what_it_says(pattern: str, text: str, found: bool) -> None:
    assert fault_of(pattern) == ""
    assert matches(pattern, text, timeout=20) is found


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        pytest.param("(", "missing )", id="unclosed"),
        pytest.param(r"^\p{L}$", "bad escape", id="property of Unicode"),
        pytest.param("(?<year>x)", "unknown extension", id="ECMA's named group"),
        pytest.param(r"\N{DIGIT ONE}", r"\N{…}", id="Python's named character"),
        pytest.param("[[a]", "nested set", id="class that will change its meaning"),
        pytest.param("a{99999999999999999999}", "repetition", id="count that overflows"),
        pytest.param("(?u)a", "ASCII and UNICODE", id="flag that contradicts"),
        pytest.param("ä" * (MAX_PATTERN // 2) + "a", "longer than", id="too long"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_said_why(pattern: str, fault: str) -> None:
    assert fault in fault_of(pattern)


# Which run here


@pytest.mark.parametrize(
    "pattern",
    [
        "^",
        "^$",
        "^[a-z]+$",
        r"^\+[1-9]\d{1,14}$",
        r"^\d{4}-\d{2}-\d{2}$",
        "^.*$",
        "^[A-Z]{2}$",
        "^a@b?",
        r"^[^\]x]*",
    ],
)
def test_a_simple_pattern_runs_in_this_process(pattern: str) -> None:
    assert is_linear(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "a+",
        "^a*a*$",
        CATASTROPHE,
        "^(a)$",
        "^a|b",
        "^a+?",
        "^a++",
        "^[^]a]+$",
        r"^(a)\1",
        r"^\b",
        "^a+b{1,2}",
        "^ä",
    ],
)
def test_any_other_pattern_runs_in_the_worker(pattern: str) -> None:
    assert not is_linear(pattern)


@pytest.mark.parametrize("tail", ["[a-z]{99}" * 20, "[a-z]" * 150, "." * 1000, "a{2000}"])
def test_the_worst_simple_pattern_is_quick(tail: str) -> None:
    pattern = f"^.*{tail}!"
    assert is_linear(pattern)
    begin = time.monotonic()

    assert not matches(pattern, "a" * MAX_TEXT)
    assert time.monotonic() - begin < 5


@given(st.text("^$[]\\(){}*+?|.ab-0,1dwsZN:<=!m", max_size=20))
def test_a_pattern_has_a_fault_or_compiles(pattern: str) -> None:
    if not fault_of(pattern):
        re.compile(in_python(pattern), re.ASCII)


# One validation


def counted() -> tuple[Callable[[str, str], bool], list[str]]:
    asked: list[str] = []

    def ask(pattern: str, text: str) -> bool:
        asked.append(text)
        return True

    return ask, asked


def test_each_question_is_asked_once() -> None:
    ask, asked = counted()
    patient = patiently(ask)

    assert [patient("p", "a"), patient("p", "a"), patient("p", "b")] == [True] * 3
    assert asked == ["a", "b"]


def test_when_patience_is_over_nothing_is_asked_and_nothing_matches() -> None:
    ask, asked = counted()
    now = [0.0]
    patient = patiently(ask, clock=lambda: now[0])
    patient("p", "a")
    now[0] = PATIENCE

    assert patient("p", "a") is True
    assert patient("p", "b") is False
    assert asked == ["a"]

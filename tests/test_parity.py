"""docs/kratos.md and the tests in tests/parity say the same, row by row.

The table holds what Ory Kratos does and what is done here; the tests hold what is done here. They carry the
numbers of their rows by ``parity.steps.row``.
"""

from __future__ import annotations

import pkgutil
import re
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from . import parity

PAGE = Path(__file__).resolve().parent.parent / "docs" / "kratos.md"
NUMBERS = list(range(1, 91))
HELD = ("same", "different")
VERDICTS = (*HELD, "not applicable")


def _table() -> list[tuple[int, str, str, str]]:
    """Read number, Kratos' behaviour, verdict and reason of each row."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", line)]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert {len(row) for row in cells} == {4}
    return [(int(number), behaviour, verdict, why) for number, behaviour, verdict, why in cells]


def _tests() -> list[tuple[str, Callable[..., None]]]:
    """Return every test of tests/parity with its name."""
    modules = [
        import_module(f"tests.parity.{module.name}") for module in pkgutil.iter_modules(parity.__path__)
    ]
    return [
        (name, test)
        for module in modules
        for name, test in vars(module).items()
        if name.startswith("test_") and test.__module__ == module.__name__
    ]


TABLE = _table()
TESTS = _tests()


def test_every_row_is_there_once_and_in_order():
    assert [number for number, *_ in TABLE] == NUMBERS


def test_every_row_has_a_verdict_and_something_to_say():
    for number, behaviour, verdict, why in TABLE:
        assert verdict in VERDICTS, number
        assert behaviour, number
        assert why, number


def test_a_test_has_a_name_of_its_own_and_at_least_one_row():
    assert [name for name, count in Counter(name for name, _ in TESTS).items() if count > 1] == []
    assert [name for name, test in TESTS if not set(getattr(test, "rows", ())) & set(NUMBERS)] == []


@pytest.mark.parametrize(("number", "verdict", "why"), [(row[0], *row[2:]) for row in TABLE])
def test_a_row_names_the_tests_that_hold_it(number, verdict, why):
    named = re.findall(r"`(test_\w+)`", why)

    assert sorted(named) == sorted(name for name, test in TESTS if number in test.rows)
    assert bool(named) is (verdict in HELD)


@pytest.mark.parametrize(("number", "verdict", "why"), [(row[0], *row[2:]) for row in TABLE])
def test_what_is_not_the_same_has_its_reason(number, verdict, why):
    reason = re.sub(r"`test_\w+`[, ]*", "", why).strip()

    assert verdict == "same" or reason.endswith("."), number

"""Hold the table in docs/kratos.md against the tests that are marked with its rows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "kratos.md"
PROVED = ("same", "different")
VERDICTS = (*PROVED, "not applicable")


def _table() -> list[tuple[int, str, str, str]]:
    """Read number, Kratos' behaviour, verdict and reason of each row."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", line)]
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    assert {len(row) for row in cells} == {4}
    return [(int(number), behaviour, verdict, why) for number, behaviour, verdict, why in cells]


def _marks() -> set[object]:
    """Return every argument of a mark ``pytest.mark.kratos`` on a test."""
    return {
        ast.literal_eval(row)
        for path in TESTS.rglob("test_*.py")
        for test in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(test, ast.FunctionDef) and test.name.startswith("test_")
        for mark in test.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.kratos"
        for row in mark.args
    }


TABLE = _table()
MARKS = _marks()


def test_kratos_table_has_each_row_once_and_in_order():
    assert [number for number, *_ in TABLE] == list(range(1, 91))


@pytest.mark.parametrize(("number", "behaviour", "verdict", "why"), TABLE)
def test_kratos_row_has_a_verdict_and_a_reason_where_it_is_not_the_same(number, behaviour, verdict, why):
    assert behaviour
    assert verdict in VERDICTS
    assert verdict == "same" or why.endswith(".")


@pytest.mark.parametrize(("number", "verdict"), [(number, verdict) for number, _, verdict, _ in TABLE])
def test_kratos_row_is_proved_by_a_marked_test(number, verdict):
    assert (number in MARKS) is (verdict in PROVED)


def test_kratos_marks_name_rows():
    assert {number for number, *_ in TABLE} >= MARKS

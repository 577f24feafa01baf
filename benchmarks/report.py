"""The table: what was measured beside what is allowed."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version

from .measure import Budget, Row

_LAYOUT = "{:<54}{:>9}{:>9} {:<6}{:>4}{:>10}   {:<28}{}"
HEADER = _LAYOUT.format("step", "median", "p95", "clock", "SQL", "requests", "budget", "")


def machine() -> str:
    """Describe what it ran on, in words that fit any machine."""
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}, Django {version('Django')}, "
        f"SQLite {sqlite3.sqlite_version}, PyJWT {version('PyJWT')}, "
        f"cryptography {version('cryptography')}"
    )


def line(row: Row) -> str:
    """Write one row of the table."""
    return _LAYOUT.format(
        row.step,
        _milliseconds(row.median),
        _milliseconds(row.p95),
        row.clock,
        _number(row.statements),
        _number(row.requests),
        _budget(row.budget),
        verdict(row),
    ).rstrip()


def verdict(row: Row) -> str:
    """Say whether the budget holds; a time that does not is a remark only."""
    ratio = "" if row.ratio is None else f" ({row.ratio:.2f})"
    if row.over:
        return f"OVER: {', '.join(row.over)}{ratio}"
    if row.slow:
        return "over: time"
    return "" if row.budget == Budget() else f"OK{ratio}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} ms" if abs(value) < 100 else f"{value:.0f} ms"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _budget(budget: Budget) -> str:
    parts = (
        "" if budget.milliseconds is None else f"{budget.milliseconds:g} ms",
        "" if budget.statements is None else f"{budget.statements} SQL",
        "" if budget.requests is None else f"{budget.requests} request{'s' * (budget.requests != 1)}",
        "" if budget.ratio is None else f"ratio {budget.ratio:g}",
    )
    return ", ".join(filter(None, parts))

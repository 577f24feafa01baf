"""The table of docs/security.md, made of the catalogue."""

from __future__ import annotations

from pathlib import Path

from .cases import CASES
from .harness import Case, Group

PAGE = Path(__file__).resolve().parents[3] / "docs" / "security.md"
BEGIN = "<!-- The cases begin here; `python -m tests.security.attacks` writes what follows. -->"
END = "<!-- The cases end here. -->"


def block() -> str:
    """Write the table of every group."""
    parts = [f"{len(CASES)} cases; the codes are explained in [errors.md](errors.md)."]
    for group in Group:
        rows = [
            f"| `{case.id}` | {case.sentence} | {outcome(case)} |" for case in CASES if case.group is group
        ]
        head = ["| case | what is tried | outcome |", "|---|---|---|"]
        parts.append("\n".join([f"### {group.value}", "", *head, *rows]))
    return "\n\n".join(parts)


def outcome(case: Case) -> str:
    if case.harmless:
        return case.harmless
    code, status = case.expected
    return f"`{code}` ({status})" if code else f"HTTP status {status}"


def with_block(page: str) -> str:
    """Put the table into the page, in place of the one that is there."""
    before, begin, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    assert begin, f"{PAGE} has lost its marks"
    assert end, f"{PAGE} has lost its marks"
    return f"{before}{begin}\n\n{block()}\n\n{end}{after}"

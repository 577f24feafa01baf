"""What the subcommands share: reading a named file, and writing values for an operator to read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import CommandError

from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.jsonnet.json_values import well_formed
from django_ms_identity.traits.problems import TraitProblem


@contextmanager
def command_errors() -> Iterator[None]:
    """Raise the app's own errors as ``CommandError``, with code, detail and hint."""
    try:
        yield
    except MSIdentityError as error:
        raise CommandError(f"{error.code}: {error.detail}\n{error.hint}".strip()) from None


def read_text(name: str) -> str:
    """Return the text of a file, or of standard input for ``-``; raise ``CommandError`` with the reason."""
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror or type(error).__name__}.") from None
    try:
        # Windows' editors begin a file with a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandError(f"{name} is not in UTF-8.") from None


def pretty(value: object) -> str:
    """Format JSON over several lines; a value that JSON cannot hold, such as a date, as text."""
    return well_formed(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def problem_line(problem: TraitProblem) -> str:
    """Describe what is wrong with a trait, without its value."""
    path = ".".join(map(str, problem.path)) or "(all traits together)"
    limit = "" if problem.limit is None else f" (limit {problem.limit:g})"
    return f"{path}: {problem.kind}{limit}"


def one_of(names: Iterable[str]) -> str:
    """List ids for a message."""
    return ", ".join(map(repr, names)) or "none"

"""Regular expressions of an identity schema, applied to what a visitor types. Never hangs this process.

Python's ``re`` backtracks and nothing can interrupt it, so a pattern runs in the sandbox's killable worker,
except the few whose work is bounded by their form.

JSON Schema means ECMA-262, Kratos means Go's RE2, this means Python's ``re`` with ``re.ASCII``: ``\\d``,
``\\w``, ``\\s`` and ``\\b`` know ASCII only, as in Go, and ``$`` is the very end, where Python's own takes a
final line break too. What Python cannot compile is refused when the schema is read: ``\\p{L}``,
``(?<name>…)``, ``\\cA``, ``\\u{1F600}``. Where ECMA lets ``]`` close an empty class, Python takes it as its
first member.
"""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Callable
from typing import TypeAlias

from django_ms_identity.exceptions import MapperTimedOut
from django_ms_identity.jsonnet import worker_pool

MAX_PATTERN = 1024
"""Bytes of a pattern."""
MAX_TEXT = 4 * 1024
"""Bytes of a text; a longer one matches nothing."""
TIMEOUT = 2.0
"""Seconds for one pattern, should the caller name none."""
PATIENCE = 5.0
"""Seconds for all patterns of one validation, after which nothing matches any more."""

Matches: TypeAlias = Callable[[str, str], bool]
"""Says whether a pattern is found in a text."""

logger = logging.getLogger(__name__)

_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
_MULTILINE = re.compile(r"\(\?[a-zA-Z]*m")

_ATOM = r"""(?:[\w @/:;,.#%&=!~"'<>`-]|\\[dDsSwW.+*?^$(){}\[\]|/\\-]|\[\^?(?:[^\[\]\\]|\\.)+\])"""
_COUNTED = rf"(?:{_ATOM}(?:\{{\d+\}})?)*"
# Anchored, and one part of variable length at most: it can give back each character once.
_LINEAR = re.compile(rf"\^{_COUNTED}(?:{_ATOM}(?:[*+?]|\{{\d*,\d*\}}){_COUNTED})?\$?", re.ASCII)


def fault_of(pattern: str) -> str:
    """Say why a pattern cannot be used, in words that continue its name, or return an empty string."""
    if _size(pattern) > MAX_PATTERN:
        return f"is longer than {MAX_PATTERN} bytes"
    if r"\N{" in pattern:
        return r"uses \N{…}, which is Python's alone"
    try:
        with warnings.catch_warnings():
            # Python warns of classes whose meaning is to change: "[[" and the like.
            warnings.simplefilter("error")
            re.compile(in_python(pattern), re.ASCII)
    except (re.error, Warning, ValueError, OverflowError, RecursionError) as error:
        return f"is no regular expression that Python knows: {str(error).partition(' at position')[0]}"
    return ""


def in_python(pattern: str) -> str:
    """Make ``$`` the end of the text, as everywhere but in Python."""
    if _MULTILINE.search(pattern):
        return pattern
    return _PIECE.sub(lambda piece: r"\Z" if piece[0] == "$" else piece[0], pattern)


def matches(pattern: str, text: str, *, timeout: float = TIMEOUT) -> bool:
    """Say whether a pattern that ``fault_of`` accepts is found in a text, within ``timeout`` seconds.

    What cannot be told in time, or is too long, does not match. Raises ``MapperBusy``, ``MapperCrashed`` or
    ``MapperUnavailable`` when there is no worker to ask.
    """
    if _size(text) > MAX_TEXT:
        return False
    if is_linear(pattern):
        return re.search(in_python(pattern), text, re.ASCII) is not None
    try:
        return worker_pool.matches(in_python(pattern), text, timeout=timeout)
    except MapperTimedOut:
        logger.warning("The pattern %s of the identity schema did not end in time", pattern)
        return False


def is_linear(pattern: str) -> bool:
    """Say whether a pattern's work is bounded by its form: anchored, no groups, one quantifier at most."""
    return _LINEAR.fullmatch(pattern) is not None


def patiently(matches: Matches, *, clock: Callable[[], float] = time.monotonic) -> Matches:
    """Bound one validation: ask each question once, and none when ``PATIENCE`` is over.

    ``clock`` gives seconds that never go back.
    """
    known: dict[tuple[str, str], bool] = {}
    end = clock() + PATIENCE

    def ask(pattern: str, text: str) -> bool:
        if (pattern, text) not in known:
            known[pattern, text] = clock() < end and matches(pattern, text)
        return known[pattern, text]

    return ask


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))

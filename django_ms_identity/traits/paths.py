"""How the path of a trait is written: keys with dots between, ``address.city``, and ``\\.`` for their own."""

from __future__ import annotations

import re
from typing import TypeAlias

TraitPath: TypeAlias = "tuple[str | int, ...]"
"""Keys below ``traits``; an integer is the place in an array."""

_SHOWN = re.compile(r"[\w.\[\]() \\-]{1,200}", re.ASCII)


def format_path(path: TraitPath) -> str:
    """Write a path as text; ``parse_path`` reads it back."""
    return ".".join(str(key).replace("\\", "\\\\").replace(".", "\\.") for key in path)


def parse_path(text: str) -> tuple[str, ...]:
    """Return the keys of a written path."""
    keys, key = [], ""
    letters = iter(text)
    for letter in letters:
        if letter == ".":
            keys.append(key)
            key = ""
        else:
            key += next(letters, "") if letter == "\\" else letter
    return (*keys, key)


def display_path(path: TraitPath) -> str:
    """Write a path for messages: keys may come from the claims, and could forge a line of the log."""
    text = format_path(path) or "(all of them)"
    return text if _SHOWN.fullmatch(text) else "…"

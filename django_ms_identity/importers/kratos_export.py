"""The text of an export -> its entries, one at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator

from .kratos import ExportedIdentity, InvalidEntry, read_identity

_DECODER = json.JSONDecoder()
_SOMETHING = re.compile(r"[^ \t\r\n]")


class ExportUnreadable(ValueError):
    """The file as a whole cannot be read; the message says where and quotes nothing of it."""


def count(text: str) -> int:
    """Return how many entries an export has, or raise ``ExportUnreadable`` wherever in it the fault lies."""
    return sum(1 for _ in _entries(text))


def read(text: str) -> Iterator[ExportedIdentity | InvalidEntry]:
    """Read an export entry by entry: an array, one identity, JSON lines, or pages with ``identities``."""
    for place, entry in enumerate(_entries(text), start=1):
        yield read_identity(entry, name=f"entry {place}")


def _entries(text: str) -> Iterator[object]:
    # One entry at a time: a large export as Python objects takes many times the room of its text.
    position = _skip(text, 0)
    if position == len(text):
        raise ExportUnreadable("it is empty")
    while position < len(text):
        if text[position] == "[":
            position = yield from _items(text, position + 1)
        else:
            value, position = _decoded(text, position)
            page = value.get("identities") if isinstance(value, dict) and "id" not in value else None
            yield from page if isinstance(page, list) else [value]
        position = _skip(text, position)


def _items(text: str, position: int) -> Generator[object, None, int]:
    position = _skip(text, position)
    if text.startswith("]", position):
        return position + 1
    while True:
        item, position = _decoded(text, position)
        yield item
        position = _skip(text, position)
        if text.startswith("]", position):
            return position + 1
        if not text.startswith(",", position):
            raise ExportUnreadable(f"it is not JSON at {_place(text, position)}")
        position = _skip(text, position + 1)


def _decoded(text: str, position: int) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        position = error.pos
        reason = "it is not JSON"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError:
        # Python refuses to read integers of thousands of digits.
        reason = "it holds a number that is too long"
    raise ExportUnreadable(f"{reason} at {_place(text, position)}")


def _skip(text: str, position: int) -> int:
    found = _SOMETHING.search(text, position)
    return found.start() if found else len(text)


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - text.rfind(chr(10), 0, position)}"

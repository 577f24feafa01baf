"""Check and write JSON values: finite numbers, well-formed Unicode, limited nesting."""

from __future__ import annotations

import json
import re
import sys
from typing import TypeAlias

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"
JSONObject: TypeAlias = "dict[str, JSON]"

MAX_DEPTH = 100
"""Levels of nesting; both engines and all readers of JSON accept far more."""

_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",  # before int, of which it is a subclass
    str: "a string",
    int: "an integer",
    float: "a number with a fraction or exponent",
    list: "an array",
    dict: "an object",
}
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotJSON(ValueError):
    """A value that JSON cannot hold; the message names its kind, never the value."""


def well_formed(text: str) -> str:
    """Replace lone surrogates by U+FFFD, as Go's decoder does: engines and databases refuse them."""
    return _SURROGATE.sub("\ufffd", text)


def clean(value: object, *, depth: int = 0) -> JSON:
    """Copy a value into well-formed JSON, or raise ``NotJSON``."""
    if depth > MAX_DEPTH:
        raise NotJSON(f"more than {MAX_DEPTH} levels of nesting")
    match value:
        case None | bool():
            return value
        case str():
            return well_formed(value)
        # Jsonnet's numbers are doubles, and a Python integer may exceed them.
        case int() | float() if abs(value) <= sys.float_info.max:
            return value
        case list():
            return [clean(item, depth=depth + 1) for item in value]
        case dict():
            return {_object_key(key): clean(item, depth=depth + 1) for key, item in value.items()}
        case int() | float():
            raise NotJSON("a number that is not finite")
    raise NotJSON(f"a Python {type(value).__name__}")


def clean_object(value: dict[str, object]) -> JSONObject:
    """Copy a dict into a well-formed JSON object, or raise ``NotJSON``."""
    return {_object_key(key): clean(item, depth=1) for key, item in value.items()}


def encode(value: JSON) -> str:
    """Write well-formed JSON, compactly; NaN and infinities raise ``ValueError``."""
    return well_formed(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def has_nul(value: JSON) -> bool:
    """Say whether a text in the value holds U+0000, which PostgreSQL cannot store in text or JSON."""
    match value:
        case str():
            return "\0" in value
        case list():
            return any(map(has_nul, value))
        case dict():
            return any("\0" in key or has_nul(item) for key, item in value.items())
    return False


def kind_of(value: object) -> str:
    """Name a value's JSON type with its article, for messages that must not show the value."""
    names = (name for kind, name in _KINDS.items() if isinstance(value, kind))
    return next(names, f"a Python {type(value).__name__}")


def _object_key(key: object) -> str:
    if not isinstance(key, str):
        raise NotJSON(f"an object key that is {kind_of(key)}")
    return well_formed(key)

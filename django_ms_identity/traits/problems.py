"""What the validation of traits answers, and how typed traits join mapped ones. Knows no schema."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from django_ms_identity.jsonnet.json_values import JSON, MAX_DEPTH, JSONObject, NotJSON, clean

from .paths import TraitPath

MAX_ENTRIES = 100
MAX_COPIED = 2000
ITEM = "[]"
"""Means every item of an array in the path of a schema."""


class ProblemKind(StrEnum):
    """What is wrong with a trait, as far as a form can show it."""

    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    PATTERN = "pattern"
    FORMAT = "format"
    ENUM = "enum"
    CONST = "const"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitProblem:
    """One thing that the identity schema says against traits; never holds the value."""

    path: TraitPath
    """Of the trait itself, also when it is missing; empty when all traits together are meant."""
    kind: ProblemKind
    limit: int | float | None = None
    """Of lengths in characters, of numbers as they are."""


def no_json(value: object, path: TraitPath = ()) -> Iterator[TraitPath]:
    """Find what is no JSON, too deep, or a number that no double holds."""
    if isinstance(value, dict | list) and len(path) < MAX_DEPTH:
        for key, item in _children(value):
            yield from no_json(item, (*path, key))
        return
    try:
        clean(value, depth=len(path))
    except NotJSON:
        yield path


def excerpt(value: JSONObject) -> JSONObject:
    """Copy ``MAX_ENTRIES`` of every array and object, the outer ones first, and ``MAX_COPIED`` in all."""
    copied: JSONObject = {}
    waiting: deque[tuple[Any, Any]] = deque([(value, copied)])
    left = MAX_COPIED
    while waiting:
        source, target = waiting.popleft()
        for key, item in islice(_children(source), min(left, MAX_ENTRIES)):
            left -= 1
            part = type(item)() if isinstance(item, dict | list) else item
            if isinstance(item, dict | list):
                waiting.append((item, part))
            if isinstance(target, dict):
                target[key] = part
            else:
                target.append(part)
    return copied


def _children(value: dict[str, Any] | list[Any]) -> Iterable[tuple[str | int, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def merge(traits: JSONObject, typed: Mapping[tuple[str, ...], JSON]) -> JSONObject:
    """Return the traits with typed values at their paths, and all others as they are.

    None removes the trait: a field left blank must not keep an invalid value. A value where a path needs an
    object is replaced by it.
    """
    merged = copy.deepcopy(traits)
    for (*parents, key), value in typed.items():
        target = merged
        for parent in parents:
            inner = target.get(parent)
            if not isinstance(inner, dict):
                if value is None:
                    break
                inner = target[parent] = {}
            target = inner
        else:
            if value is None:
                target.pop(key, None)
            else:
                target[key] = value
    return merged


def values_at(value: JSON, path: tuple[str, ...]) -> list[JSON]:
    """Return the values at a path, in which ``ITEM`` is every item of an array."""
    found = [value]
    for key in path:
        if key == ITEM:
            found = [item for outer in found if isinstance(outer, list) for item in outer]
        else:
            found = [outer[key] for outer in found if isinstance(outer, dict) and key in outer]
    return found

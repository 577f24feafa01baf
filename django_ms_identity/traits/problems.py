"""What the validation of traits answers, and how typed traits join mapped ones. Knows no schema."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from django_ms_identity.jsonnet.json_values import JSON, MAX_DEPTH, JSONObject, NotJSON, clean

from .paths import TraitPath

if TYPE_CHECKING:
    # It imports jsonschema, which takes its time; who has no schema does without.
    from .json_schema import Violation

ITEM = "[]"
"""Stands for every item of an array in the path of a schema."""


class ProblemKind(StrEnum):
    """What is wrong with a trait, as far as people can be told."""

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


_KINDS = {
    "required": ProblemKind.MISSING,
    "type": ProblemKind.WRONG_TYPE,
    "minLength": ProblemKind.TOO_SHORT,
    "maxLength": ProblemKind.TOO_LONG,
    "minimum": ProblemKind.TOO_SMALL,
    "exclusiveMinimum": ProblemKind.TOO_SMALL,
    "maximum": ProblemKind.TOO_LARGE,
    "exclusiveMaximum": ProblemKind.TOO_LARGE,
    "pattern": ProblemKind.PATTERN,
    "format": ProblemKind.FORMAT,
    "enum": ProblemKind.ENUM,
    "const": ProblemKind.CONST,
}


def problem_of(violation: Violation) -> TraitProblem:
    """Translate what was said of ``{"traits": …}``."""
    # A keyword at the root of the schema may complain of more than its traits.
    path = violation.path[1:] if violation.path[:1] == ("traits",) else ()
    kind = _KINDS.get(violation.keyword, ProblemKind.OTHER) if path else ProblemKind.OTHER
    is_number = isinstance(violation.limit, int | float) and not isinstance(violation.limit, bool)
    return TraitProblem(
        path=path,
        kind=kind,
        # mypy does not carry is_number over to the attribute.
        limit=violation.limit if is_number and kind is not ProblemKind.CONST else None,  # type: ignore[arg-type]
    )


def no_json(value: object, path: TraitPath = ()) -> Iterator[TraitPath]:
    """Find what is no JSON, too deep, or a number that no double holds."""
    if isinstance(value, dict | list) and len(path) < MAX_DEPTH:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from no_json(item, (*path, key))
        return
    try:
        clean(value, depth=len(path))
    except NotJSON:
        yield path


def merge(traits: JSONObject, typed: Mapping[tuple[str, ...], JSON]) -> JSONObject:
    """Return the traits with typed values at their paths, and all others as they are.

    None takes the trait away: who leaves a field blank must not keep an invalid value. What stands where a
    path needs an object gives way to it.
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
    """Return what stands at a path, of which ``ITEM`` is every item of an array."""
    found = [value]
    for key in path:
        if key == ITEM:
            found = [item for outer in found if isinstance(outer, list) for item in outer]
        else:
            found = [outer[key] for outer in found if isinstance(outer, dict) and key in outer]
    return found

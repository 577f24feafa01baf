"""What a form must ask, read from an identity schema."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from django_ms_identity.exceptions import TraitNotAskable
from django_ms_identity.jsonnet.json_values import JSON, JSONObject

from .json_schema import Document
from .paths import TraitPath, display_path
from .schema_nodes import ANNOTATIONS, MAX_LEVELS, NoNode, node_of, object_in, texts_in, traits_of

MAX_FIELDS = 100

Choice: TypeAlias = str | int | float | bool

_Number: TypeAlias = int | float


class FieldKind(StrEnum):
    """What a form asks for."""

    TEXT = "text"
    EMAIL = "email"
    URL = "url"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitField:
    """What a form must know to ask for one trait; only ``problems`` decides what is valid."""

    path: tuple[str, ...]
    kind: FieldKind
    title: str
    """The last key of the path where the schema has no title."""
    description: str = ""
    required: bool = False
    """Whether the trait must be there; a boolean may still be false unless ``choices`` is ``(True,)``."""
    minimum: _Number | None = None
    """An exclusive bound becomes the next integer of an integer, and stays as it is of a number."""
    maximum: _Number | None = None
    min_length: int | None = None
    """Characters."""
    max_length: int | None = None
    pattern: str = ""
    """To be shown. Never apply it in this process: it could hang it."""
    choices: tuple[Choice, ...] = ()
    default: Choice | None = None


_DECIDES_BY_PROPERTIES = ANNOTATIONS | {
    "$comment",
    "$defs",
    "$id",
    "additionalProperties",
    "definitions",
    "examples",
    "properties",
    "required",
    "type",
}
"""The keywords of an object that is valid as soon as its required properties are."""
_FORMATS = {"email": FieldKind.EMAIL, "uri": FieldKind.URL, "date": FieldKind.DATE}


def fields_for(document: Document, paths: Iterable[TraitPath]) -> tuple[TraitField, ...]:
    """Return a field per trait, once each and in order; an object is asked by its required properties.

    Raises ``TraitNotAskable`` for anything else that is not one value.
    """
    fields: dict[TraitPath, TraitField] = {}
    for path in paths:
        with _naming(path):
            schema, required = _schema_at(document, path)
        for found in _fields(document, tuple(map(str, path)), schema, required=required):
            fields[found.path] = found
            if len(fields) > MAX_FIELDS:
                raise TraitNotAskable(display_path(path), f"it would take more than {MAX_FIELDS} fields")
    return tuple(fields.values())


@contextmanager
def _naming(path: TraitPath) -> Iterator[None]:
    try:
        yield
    except NoNode as error:
        raise TraitNotAskable(display_path(path), str(error)) from None


def _schema_at(document: Document, path: TraitPath) -> tuple[JSON, bool]:
    if not path:
        raise NoNode("the fault lies in all traits together")
    schema, required = traits_of(document), True
    for key in path:
        if isinstance(key, int):
            raise NoNode("it is in an array")
        node = node_of(document, schema)
        properties = object_in(node, "properties")
        if key not in properties:
            raise NoNode("the identity schema names no such property")
        schema, required = properties[key], key in texts_in(node, "required")
    return schema, required


def _fields(
    document: Document, path: tuple[str, ...], schema: JSON, *, required: bool
) -> Iterator[TraitField]:
    with _naming(path):
        node = node_of(document, schema)
        kind = _kind_of(node)
        if kind:
            yield _field(path, kind, node, required=required)
            return
        names = _required_of(node, path)
    for name in names:
        inner = object_in(node, "properties").get(name, False)
        yield from _fields(document, (*path, name), inner, required=True)


def _required_of(node: JSONObject, path: tuple[str, ...]) -> list[str]:
    names = texts_in(node, "required")
    if len(path) >= MAX_LEVELS:
        raise NoNode(f"it has more than {MAX_LEVELS} levels")
    if not names:
        raise NoNode("it is an object without required properties")
    # With minProperties and the like the properties could all be right and the object still be wrong.
    if others := sorted(node.keys() - _DECIDES_BY_PROPERTIES):
        raise NoNode(f"it is an object with {others[0]}")
    return names


def _kind_of(node: JSONObject) -> FieldKind | None:
    """Choose how to ask; None for an object."""
    for keyword in ("anyOf", "oneOf"):
        if keyword in node:
            raise NoNode(f"it is a choice of schemas, {keyword}")
    named = _type_of(node)
    if named in ("string", "integer", "number") and ("enum" in node or "const" in node):
        return FieldKind.CHOICE
    match named:
        case "object":
            return None
        case "string":
            return _FORMATS.get(str(node.get("format")), FieldKind.TEXT)
        case "integer" | "number" | "boolean":
            return FieldKind(named)
    raise NoNode(f"its type is {named}")


def _type_of(node: JSONObject) -> str:
    types = set(texts_in(node, "type"))
    if types == {"null"} or (len(types - {"null"}) > 1 and types - {"null"} != {"integer", "number"}):
        return " or ".join(sorted(types))
    if types:
        return max(types - {"null"})  # a number may be an integer
    if "properties" in node:
        return "object"
    return "array" if "items" in node else "string"


def _field(path: tuple[str, ...], kind: FieldKind, node: JSONObject, *, required: bool) -> TraitField:
    values = [node["const"]] if "const" in node else node.get("enum")
    choices = tuple(map(_scalar, values)) if isinstance(values, list) else ()
    shown = tuple(choice for choice in choices if choice is not None)
    if choices and not shown:
        raise NoNode("none of its values can be shown")
    lowest, above = _number(node.get("minimum")), node.get("exclusiveMinimum")
    highest, below = _number(node.get("maximum")), node.get("exclusiveMaximum")
    whole = kind is FieldKind.INTEGER
    return TraitField(
        path=path,
        kind=kind,
        title=str(node.get("title") or path[-1]),
        description=str(node.get("description", "")),
        required=required,
        minimum=_lower_bound(lowest, above, whole=whole),
        maximum=_upper_bound(highest, below, whole=whole),
        min_length=_length(node.get("minLength")),
        max_length=_length(node.get("maxLength")),
        pattern=str(node.get("pattern", "")),
        choices=shown,
        default=_scalar(node.get("default")),
    )


def _lower_bound(inclusive: _Number | None, exclusive: JSON, *, whole: bool) -> _Number | None:
    if exclusive is True:  # draft 4 says so of the other bound
        inclusive, exclusive = None, inclusive
    bounds: list[_Number] = []
    if inclusive is not None:
        bounds.append(math.ceil(inclusive) if whole else inclusive)
    if (limit := _number(exclusive)) is not None:
        bounds.append(math.floor(limit) + 1 if whole else limit)
    return max(bounds, default=None)


def _upper_bound(inclusive: _Number | None, exclusive: JSON, *, whole: bool) -> _Number | None:
    limit = _number(exclusive)
    mirrored = _lower_bound(
        None if inclusive is None else -inclusive,
        exclusive if limit is None else -limit,
        whole=whole,
    )
    return None if mirrored is None else -mirrored


def _number(value: JSON) -> _Number | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _length(value: JSON) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _scalar(value: JSON) -> Choice | None:
    return value if isinstance(value, str | int | float) else None

"""What a form asks for, read from an identity schema: scalars and choices, also in nested objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import NoReturn, TypeAlias, TypeGuard

from django_ms_identity.exceptions import TraitNotAskable
from django_ms_identity.jsonnet.json_values import JSON, JSONObject

from .json_schema import Document
from .paths import TraitPath, display_path
from .schema_nodes import ANNOTATIONS, MAX_LEVELS, node_of, object_in, texts_in, traits_of

MAX_FIELDS = 100

Choice: TypeAlias = str | int | float | bool


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
    minimum: int | float | None = None
    """Inclusive; an exclusive bound is left to ``problems``."""
    maximum: int | float | None = None
    max_length: int | None = None
    """Characters."""
    choices: tuple[Choice, ...] = ()
    default: Choice | None = None


_FORMATS = {"email": FieldKind.EMAIL, "uri": FieldKind.URL, "date": FieldKind.DATE}
_NOTES = {"$comment", "$defs", "$id", "definitions", "examples"}
_DECIDES_BY_PROPERTIES = ANNOTATIONS | _NOTES | {"additionalProperties", "properties", "required", "type"}
"""The keywords of an object that is valid as soon as its required properties are."""


def fields_for(document: Document, paths: Iterable[TraitPath]) -> tuple[TraitField, ...]:
    """Return a field per trait, once each and in the schema's order.

    An object is asked for by its required properties. Raises ``TraitNotAskable`` for anything else that is
    not one value.
    """
    fields: dict[TraitPath, TraitField] = {}
    found_at = [_schema_at(document, path) for path in paths]
    for _, path, schema, required in sorted(found_at, key=itemgetter(0)):
        for found in _fields(document, path, schema, required=required):
            fields[found.path] = found
            if len(fields) > MAX_FIELDS:
                _refuse_to_ask(path, f"it would take more than {MAX_FIELDS} fields")
    return tuple(fields.values())


def _refuse_to_ask(path: TraitPath, reason: str) -> NoReturn:
    raise TraitNotAskable(display_path(path), reason)


def _schema_at(document: Document, path: TraitPath) -> tuple[list[int], tuple[str, ...], JSON, bool]:
    """Return a trait's place among its siblings, its path and schema, and whether it must be there."""
    if not path:
        _refuse_to_ask(path, "it is a problem of all traits together")
    place: list[int] = []
    schema, required = traits_of(document), True
    for key in path:
        if isinstance(key, int):
            _refuse_to_ask(path, "it is in an array")
        node = node_of(document, schema)
        properties = object_in(node, "properties")
        if key not in properties:
            _refuse_to_ask(path, "the identity schema names no such property")
        place.append([*properties].index(key))
        schema, required = properties[key], key in texts_in(node, "required")
    return place, tuple(map(str, path)), schema, required


def _fields(
    document: Document, path: tuple[str, ...], schema: JSON, *, required: bool
) -> Iterator[TraitField]:
    node = node_of(document, schema)
    if node.get("not") == {}:
        _refuse_to_ask(path, "nothing is valid there")
    if branches := {"anyOf", "oneOf"} & node.keys():
        _refuse_to_ask(path, f"it is a choice of schemas, {min(branches)}")
    if (named := _type_of(node)) != "object":
        yield _trait_field(path, named, node, required=required)
        return
    names = texts_in(node, "required")
    if len(path) >= MAX_LEVELS:
        _refuse_to_ask(path, f"it has more than {MAX_LEVELS} levels")
    if not names:
        _refuse_to_ask(path, "it is an object without required properties")
    # With minProperties and the like the properties could all be right and the object still be wrong.
    if others := sorted(node.keys() - _DECIDES_BY_PROPERTIES):
        _refuse_to_ask(path, f"it is an object with {others[0]}")
    for name in names:
        inner = object_in(node, "properties").get(name, False)
        yield from _fields(document, (*path, name), inner, required=True)


def _type_of(node: JSONObject) -> str:
    types = set(texts_in(node, "type"))
    if types == {"integer", "number"}:
        return "number"  # a number may be an integer
    if named := sorted(types - {"null"} or types):
        return " or ".join(named)
    if "properties" in node:
        return "object"
    return "array" if "items" in node else "string"


def _trait_field(path: tuple[str, ...], named: str, node: JSONObject, *, required: bool) -> TraitField:
    values = [node["const"]] if "const" in node else node.get("enum")
    choices = tuple(value for value in values if _is_choice(value)) if isinstance(values, list) else ()
    match named:
        case "string" | "integer" | "number" if values is not None:
            kind = FieldKind.CHOICE
        case "string":
            kind = _FORMATS.get(str(node.get("format")), FieldKind.TEXT)
        case "integer" | "number" | "boolean":
            kind = FieldKind(named)
        case _:
            _refuse_to_ask(path, f"its type is {named}")
    if values is not None and not choices:
        _refuse_to_ask(path, "none of its values can be shown")
    length = _number(node.get("maxLength"))
    default = node.get("default")
    return TraitField(
        path=path,
        kind=kind,
        title=str(node.get("title") or path[-1]),
        description=str(node.get("description", "")),
        required=required,
        minimum=_number(node.get("minimum")),
        maximum=_number(node.get("maximum")),
        max_length=None if length is None else int(length),
        choices=choices,
        default=default if _is_choice(default) else None,
    )


def _is_choice(value: JSON) -> TypeGuard[Choice]:
    return isinstance(value, str | int | float)


def _number(value: JSON) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None

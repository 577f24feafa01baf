"""Walk an identity schema without a value: follow references, join ``allOf``, find Kratos' marks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from django_ms_identity.jsonnet.json_values import JSON, JSONObject

from .json_schema import Document
from .problems import ITEM

EXTENSION = "ory.sh/kratos"
VIAS = ("email", "sms")
MAX_LEVELS = 8
"""Objects in objects that are looked into."""
MAX_PLACES = 1000
"""Places of a schema where Kratos' extension is looked for."""

ANNOTATIONS = frozenset({"title", "description", "default", EXTENSION})
"""Keywords that count beside a ``$ref`` in every draft: they decide nothing about validity."""

_Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A trait that Kratos' extension marks as an address to be verified."""

    path: _Path
    """Holds ``ITEM`` for the items of an array."""
    via: str
    """``email`` or ``sms``."""


def traits_of(document: Document) -> JSON:
    """Return the schema of the traits, None when there is none."""
    return object_in(node_of(document, document.root), "properties").get("traits")


def node_of(document: Document, schema: JSON) -> JSONObject:
    """Return all that a place says, references and ``allOf`` included.

    Says ``false`` as ``{"not": {}}``. A document has no broken and no circular references.
    """
    if not isinstance(schema, dict):
        return {} if schema is True else {"not": {}}
    own = dict(schema)
    reference, parts = own.pop("$ref", None), own.pop("allOf", [])
    joined: JSONObject = {}
    if isinstance(reference, str):
        joined = node_of(document, document.lookup(reference))
        if not document.keeps_siblings:
            own, parts = {key: own[key] for key in ANNOTATIONS & own.keys()}, []
    for part in parts if isinstance(parts, list) else []:
        joined = _join(joined, node_of(document, part))
    return _join(joined, own)


def verification_marks(document: Document) -> tuple[Mark, ...]:
    """Read ``verification`` of Kratos' extension below properties, items, references and ``allOf``.

    Branches that hold only for some values (``anyOf``, ``if``) are left out.
    """
    return tuple(
        Mark(path=path, via=via[0])
        for path, extension in _extensions(document)
        if (via := texts_in(object_in(extension, "verification"), "via"))
    )


def object_in(node: JSONObject, key: str) -> JSONObject:
    """Return the object below a key, or an empty one."""
    value = node.get(key)
    return value if isinstance(value, dict) else {}


def texts_in(node: JSONObject, key: str) -> list[str]:
    """Return the texts of an array, or the one text, below a key."""
    value = node.get(key)
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _join(first: JSONObject, second: JSONObject) -> JSONObject:
    joined = first | second
    if "properties" in first and "properties" in second:
        one, other = object_in(first, "properties"), object_in(second, "properties")
        both: JSONObject = {key: {"allOf": [one[key], other[key]]} for key in one if key in other}
        joined["properties"] = one | other | both
    if "required" in first and "required" in second:
        joined["required"] = [*dict.fromkeys(texts_in(first, "required") + texts_in(second, "required"))]
    return joined


def _extensions(document: Document) -> Iterator[tuple[_Path, JSONObject]]:
    # Breadth first and bounded: a schema may hold itself.
    places: deque[tuple[_Path, JSON]] = deque([((), traits_of(document))])
    for _ in range(MAX_PLACES):
        if not places:
            return
        path, schema = places.popleft()
        node = node_of(document, schema)
        if extension := object_in(node, EXTENSION):
            yield path, extension
        if len(path) < MAX_LEVELS:
            places += (((*path, key), inner) for key, inner in object_in(node, "properties").items())
            if "items" in node:
                places.append(((*path, ITEM), node["items"]))

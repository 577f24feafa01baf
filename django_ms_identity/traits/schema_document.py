"""Text -> a JSON Schema that is safe to use, with every fault named by its place. Knows no traits' values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import TypeAlias

from django_ms_identity.exceptions import SchemaInvalid
from django_ms_identity.jsonnet.json_values import JSON, MAX_DEPTH, JSONObject, clean, kind_of
from django_ms_identity.jsonnet.source_urls import MAX_SOURCE

from . import json_schema
from .json_schema import DEFAULT_DRAFT, BrokenReference, Document, Lookup
from .schema_nodes import EXTENSION, VIAS, node_of, texts_in, traits_of

MAX_FAULTS = 20
MAX_CHAIN = 32
"""Schemas that apply in a row to one and the same value."""

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_BRANCHES = ("allOf", "anyOf", "oneOf", "dependencies", "dependentSchemas")
_BAD_PATTERN = "the pattern is none of ECMA-262, is too large, or looks around or back"
_Path: TypeAlias = "tuple[str | int, ...]"


def read_document(text: str) -> Document:
    """Read an identity schema, or raise ``SchemaInvalid`` with its faults, up to ``MAX_FAULTS`` of a kind."""
    root = _load_schema(text)
    named = root.get("$schema")
    if not (draft := json_schema.draft_named(named) if isinstance(named, str) else DEFAULT_DRAFT):
        raise SchemaInvalid(f"#/$schema: it names no known draft: use {DEFAULT_DRAFT}, or leave it out")
    _raise_faults(json_schema.draft_faults(root, draft), _faults(root, draft))
    # Local references need no identifier of the whole.
    root = {key: value for key, value in root.items() if key != json_schema.id_keyword(draft)}
    root["$schema"] = draft
    try:
        lookup = json_schema.references(root)
        _raise_faults(_reference_faults(root, lookup))
        read = json_schema.compile_document(root, lookup)
    except ValueError as error:
        said = str(getattr(error, "message", error))[: json_schema.MAX_MESSAGE]
        raise SchemaInvalid(f"{_pointer(getattr(error, 'instance_path', ()))}: {said}") from None
    _raise_faults(_traits_faults(read))
    return read


def _raise_faults(*sources: Iterator[tuple[_Path, str]]) -> None:
    if faults := [
        f"{_pointer(path)}: {said}" for found in sources for path, said in islice(found, MAX_FAULTS)
    ]:
        raise SchemaInvalid(*dict.fromkeys(faults))


def _pointer(path: _Path) -> str:
    return "/".join(["#", *map(str, path)])


def _load_schema(text: str) -> JSONObject:
    if len(text.encode("utf-8", "replace")) > MAX_SOURCE:
        raise SchemaInvalid(f"#: the schema is larger than {MAX_SOURCE} bytes")
    try:
        root = clean(json.loads(text, object_hook=json_schema.with_ecma_patterns))
    except RecursionError:
        raise SchemaInvalid(f"#: the schema holds more than {MAX_DEPTH} levels of nesting") from None
    except ValueError as error:
        raise SchemaInvalid(f"#: the schema is no JSON that can be read: {error}") from None
    if not isinstance(root, dict):
        raise SchemaInvalid(f"#: the schema is {kind_of(root)}; expected is an object")
    return root


def _all_entries(value: JSON, path: _Path) -> Iterator[tuple[_Path, str, JSON]]:
    """List every key of every object: a reference may lead to any place."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str):
                yield (*path, key), key, item
            yield from _all_entries(item, (*path, key))


def _faults(root: JSONObject, draft: str) -> Iterator[tuple[_Path, str]]:
    for path, key, value in _all_entries(root, ()):
        for fault in _faults_of(key, value, draft, at_root=len(path) == 1):
            yield path, fault


def _faults_of(key: str, value: JSON, draft: str, *, at_root: bool) -> Iterator[str]:
    match key, value:
        case _, str() if key in _REFERENCES and not value.startswith("#"):
            yield "it refers to another document, which is never fetched: copy it here, under definitions"
        case "$schema", str() if not at_root:
            yield "only the whole schema may name its draft"
        case _, str() if key == json_schema.id_keyword(draft) and not at_root and not value.startswith("#"):
            yield "only the whole schema may have an identifier"
        case "pattern", str() if not json_schema.is_pattern(value):
            yield _BAD_PATTERN
        case "patternProperties", dict() if not all(map(json_schema.is_pattern, value)):
            yield _BAD_PATTERN
        case _ if key == EXTENSION:
            yield from _extension_faults(value)


def _extension_faults(extension: JSON) -> Iterator[str]:
    if not isinstance(extension, dict):
        yield f"it is {kind_of(extension)}; expected is an object"
        return
    credentials = extension.get("credentials", {})
    if not isinstance(credentials, dict) or not all(isinstance(kind, dict) for kind in credentials.values()):
        yield "credentials: expected is an object of objects"
    for key in ("verification", "recovery"):
        address = extension.get(key, {"via": VIAS[0]})
        if not isinstance(address, dict) or address.get("via") not in VIAS:
            yield f"{key}: expected is an object whose via is one of {', '.join(VIAS)}"


def _reference_faults(root: JSONObject, lookup: Lookup) -> Iterator[tuple[_Path, str]]:
    known: dict[str, float] = {}
    for path, key, value in _all_entries(root, ()):
        if key in _REFERENCES and isinstance(value, str):
            try:
                lookup(value)
                chain = _chain(value, lookup, known)
            except BrokenReference:
                yield path, f"{value} leads nowhere"
                continue
            except RecursionError:
                chain = math.inf
            if chain > MAX_CHAIN:
                # The validator recurses natively, for each level of the value: its stack would overflow.
                yield path, f"{value} leads back to itself, or too far, for one and the same value"


def _chain(reference: str, lookup: Lookup, known: dict[str, float]) -> float:
    """Count the schemas that a reference applies in a row to one value; infinite for a circle."""
    if reference not in known:
        known[reference] = math.inf
        try:
            schema = lookup(reference)
        except BrokenReference:
            schema = True  # a fault of the place that says it
        known[reference] = max(
            depth + (_chain(found, lookup, known) if found else 0) for found, depth in _applied(schema)
        )
    return known[reference]


def _applied(schema: JSON, depth: int = 1) -> Iterator[tuple[str, int]]:
    """List the references that a schema applies to its own value, each with its depth; empty for itself."""
    yield "", depth
    for key, value in schema.items() if isinstance(schema, dict) else ():
        if key in _REFERENCES and isinstance(value, str):
            yield value, depth
        elif key in ("not", "if", "then", "else"):
            yield from _applied(value, depth + 1)
        elif key in _BRANCHES and isinstance(value, dict | list):
            for part in value.values() if isinstance(value, dict) else value:
                yield from _applied(part, depth + 1)


def _traits_faults(read: Document) -> Iterator[tuple[_Path, str]]:
    path = ("properties", "traits")
    traits = traits_of(read)
    node = node_of(read, traits)
    types = texts_in(node, "type")
    if traits is None:
        yield path, "it is missing; it describes the traits"
    elif node.get("not") == {}:
        yield path, "nothing is valid there"
    elif types and "object" not in types:
        yield path, "its type must be object"

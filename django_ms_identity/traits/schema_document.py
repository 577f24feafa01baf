"""Text -> a JSON Schema that is safe to use, with every fault named by its place. Knows no traits' values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import TypeAlias

from django_ms_identity.exceptions import SchemaInvalid
from django_ms_identity.jsonnet.json_values import JSON, MAX_DEPTH, JSONObject, clean, kind_of
from django_ms_identity.jsonnet.source_urls import MAX_SOURCE

from . import patterns
from .json_schema import DEFAULT_DRAFT, BrokenReference, Document, Draft, document, draft_named
from .schema_nodes import EXTENSION, VIAS, NoNode, node_of, texts_in, traits_of

MAX_FAULTS = 20

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_Path: TypeAlias = "tuple[str | int, ...]"
_Entry: TypeAlias = tuple[_Path, str, JSON]


def read_document(text: str) -> Document:
    """Read an identity schema, or raise ``SchemaInvalid`` with its faults, at most ``MAX_FAULTS``."""
    root = _loaded(text)
    draft = _draft_of(root)
    entries = list(_entries(root, ()))
    _refuse(_draft_faults(draft, root), _faults(entries, draft))
    read = document(root, draft)
    _refuse(_reference_faults(read, entries), _traits_faults(read))
    return read


def _refuse(*sources: Iterator[str]) -> None:
    if faults := [fault for faults in sources for fault in islice(faults, MAX_FAULTS)]:
        raise SchemaInvalid(*dict.fromkeys(faults))


def _loaded(text: str) -> JSONObject:
    if len(text.encode("utf-8", "replace")) > MAX_SOURCE:
        raise SchemaInvalid(f"#: the schema is larger than {MAX_SOURCE} bytes")
    try:
        root = clean(json.loads(text))
    except RecursionError:
        raise SchemaInvalid(f"#: the schema holds more than {MAX_DEPTH} levels of nesting") from None
    except ValueError as error:
        raise SchemaInvalid(f"#: the schema is no JSON that can be read: {error}") from None
    if not isinstance(root, dict):
        raise SchemaInvalid(f"#: the schema is {kind_of(root)}; expected is an object")
    return root


def _draft_of(root: JSONObject) -> Draft:
    named = root.get("$schema")
    draft = draft_named(named) if isinstance(named, str) else DEFAULT_DRAFT
    if draft is None:
        raise SchemaInvalid(
            "#/$schema: it names no known draft: use http://json-schema.org/draft-07/schema#, or leave it out"
        )
    return draft


def _entries(value: JSON, path: _Path) -> Iterator[_Entry]:
    """List every key of every object, wherever it stands: a reference may lead to any place."""
    match value:
        case dict():
            for key, item in value.items():
                yield path, key, item
                yield from _entries(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _entries(item, (*path, index))


def _draft_faults(draft: Draft, schema: JSON) -> Iterator[str]:
    for path, message in draft.faults(schema):
        yield f"{_place(path)}: {message}"


def _faults(entries: list[_Entry], draft: Draft) -> Iterator[str]:
    has_patterns = any(key == "patternProperties" for _, key, _ in entries)
    for path, key, value in entries:
        for message in _faults_of(key, value, draft, at_root=not path):
            yield f"{_place((*path, key))}: {message}"
        if key == "unevaluatedProperties" and has_patterns:
            # jsonschema would apply the patterns by itself.
            yield f"{_place((*path, key))}: it cannot stand in a schema with patternProperties"


def _faults_of(key: str, value: JSON, draft: Draft, *, at_root: bool) -> Iterator[str]:
    match key, value:
        case _, str() if key in _REFERENCES and not value.startswith("#"):
            yield "it refers to another document, which is never fetched: copy it here, under definitions"
        case "$schema", str() if not at_root:
            yield "only the whole schema may name its draft"
        case _, str() if key == draft.id_keyword and not at_root and not value.startswith("#"):
            yield "only the whole schema may have an identifier"
        case "pattern", str():
            yield from _pattern_faults(value)
        case "patternProperties", dict():
            for pattern in value:
                yield from _pattern_faults(pattern)
        case _ if key == EXTENSION:
            yield from _extension_faults(value)


def _pattern_faults(pattern: str) -> Iterator[str]:
    if fault := patterns.fault_of(pattern):
        yield f"the pattern {fault}"


def _extension_faults(extension: JSON) -> Iterator[str]:
    if not isinstance(extension, dict):
        yield f"it is {kind_of(extension)}; expected is an object"
        return
    credentials = extension.get("credentials", {})
    if not isinstance(credentials, dict) or not all(isinstance(kind, dict) for kind in credentials.values()):
        yield "credentials: expected is an object of objects"
    for key in ("verification", "recovery"):
        if key in extension:
            address = extension[key]
            if not isinstance(address, dict) or address.get("via") not in VIAS:
                yield f"{key}: expected is an object whose via is one of {', '.join(VIAS)}"


def _reference_faults(read: Document, entries: list[_Entry]) -> Iterator[str]:
    known: set[str] = set()
    for path, key, value in entries:
        if key in _REFERENCES and isinstance(value, str) and value not in known:
            known.add(value)
            for message in _target_faults(read, value):
                yield f"{_place((*path, key))}: {message}"


def _target_faults(read: Document, reference: str) -> Iterator[str]:
    try:
        target = read.lookup(reference)
    except BrokenReference:
        yield f"{reference} leads nowhere"
        return
    if _loops(read, reference):
        # Validation would follow it until Python's stack ends, in native code with a crash.
        yield f"{reference} leads back to itself for one and the same value"
    # It may lead to where the draft expects no schema and so has not looked.
    for _, message in read.draft.faults(target):
        yield f"{reference} leads to no schema: {message}"


def _loops(read: Document, reference: str) -> bool:
    seen: set[str] = set()
    left = [reference]
    while left:
        with suppress(BrokenReference):
            for found in _applied_in_place(read.lookup(left.pop())):
                if found == reference:
                    return True
                if found not in seen:
                    seen.add(found)
                    left.append(found)
    return False


def _applied_in_place(schema: JSON) -> Iterator[str]:
    """List the references that a schema applies to the very value that it is applied to."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key in _REFERENCES and isinstance(value, str):
            yield value
        elif key in ("not", "if", "then", "else"):
            yield from _applied_in_place(value)
        elif key in ("allOf", "anyOf", "oneOf") and isinstance(value, list):
            for part in value:
                yield from _applied_in_place(part)
        elif key in ("dependencies", "dependentSchemas") and isinstance(value, dict):
            for part in value.values():
                yield from _applied_in_place(part)


def _traits_faults(read: Document) -> Iterator[str]:
    try:
        traits = traits_of(read)
        if traits is None:
            yield "#/properties/traits: it is missing; it describes the traits"
            return
        types = texts_in(node_of(read, traits), "type")
    except NoNode as error:
        yield f"#/properties/traits: {error}"
        return
    if types and "object" not in types:
        yield "#/properties/traits: its type must be object"


def _place(path: _Path) -> str:
    return "/".join(["#", *map(str, path)])

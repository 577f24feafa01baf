"""The door to jsonschema: a document of some draft, its own references, and what it says of a value.

Nothing is ever fetched, and no pattern meets ``re`` here: each validation brings the function that matches.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias, cast

from jsonschema import (
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
    FormatChecker,
    ValidationError,
)
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from django_ms_identity.jsonnet.json_values import JSON, JSONObject

from .formats import is_date, is_email, is_uri
from .patterns import Matches

# What jsonschema hands to a keyword's function, and what that gives back.
_Validator: TypeAlias = Any
_Errors: TypeAlias = Iterator[ValidationError]

_FORMATS: dict[str, tuple[Callable[[object], bool], type[Exception] | tuple[type[Exception], ...]]] = {
    "email": (is_email, ()),
    "uri": (is_uri, ()),
    "date": (is_date, ()),
}
MAX_MESSAGE = 200


class BrokenReference(Exception):
    """A reference that leads nowhere in its document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that a document says against a value, without the value."""

    path: tuple[str | int, ...]
    """Leads to the value; for ``required`` to the one that is missing."""
    keyword: str
    """Empty where the schema is ``false``."""
    limit: JSON
    """What the document says after the keyword."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draft:
    """A version of JSON Schema."""

    keeps_siblings: bool
    """Whether keywords beside ``$ref`` count; before 2019 they do not."""
    id_keyword: str
    _plain: _Validator = field(repr=False)
    _guarded: _Validator = field(repr=False)

    def faults(self, schema: JSON) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Say where a schema is none by this draft, and why."""
        for error in self._plain(self._plain.META_SCHEMA, registry=Registry()).iter_errors(schema):
            yield tuple(error.absolute_path), error.message[:MAX_MESSAGE]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document:
    """A schema that ``Draft.faults`` accepts, made by ``document``."""

    root: JSONObject
    draft: Draft
    _resolver: Any = field(repr=False)
    _validator: _Validator = field(repr=False)

    def lookup(self, reference: str) -> JSON:
        """Return what a local reference leads to, or raise ``BrokenReference``."""
        try:
            return cast("JSON", self._resolver.lookup(reference).contents)
        except (Unresolvable, AttributeError, TypeError, ValueError):
            # referencing walks into numbers and texts as if they were objects and arrays.
            raise BrokenReference from None

    def violations(self, value: JSON, *, matches: Matches) -> Iterator[Violation]:
        """Say what is wrong with a value; raises ``RecursionError`` for one, or a document, without end."""
        for error in self._validator.evolve(format_checker=_Call(matches)).iter_errors(value):
            yield Violation(
                path=tuple(error.absolute_path), keyword=error.validator or "", limit=error.validator_value
            )


def draft_named(uri: str) -> Draft | None:
    """Return the draft that ``$schema`` names, or None."""
    return _DRAFTS.get(_bare(uri))


def document(root: JSONObject, draft: Draft) -> Document:
    """Prepare a schema for validation.

    Its own ``$schema`` is left out: jsonschema obeys it again at every ``$ref: "#"`` and would take its own
    keywords instead of ours. So is its identifier, which local references do not need.
    """
    root = {key: value for key, value in root.items() if key not in ("$schema", draft.id_keyword)}
    resource = specification_with(draft._plain.META_SCHEMA["$schema"]).create_resource(root)
    # A Registry without `retrieve` refuses to fetch; jsonschema's default one does fetch.
    registry: Registry[Any] = Registry()
    return Document(
        root=root,
        draft=draft,
        _resolver=registry.resolver_with_root(resource),
        _validator=draft._guarded(root, registry=registry),
    )


class _Call(FormatChecker):
    """The one object of a call that jsonschema carries to every keyword, so it carries ``matches`` too."""

    def __init__(self, matches: Matches) -> None:
        super().__init__(formats=())
        self.checkers = _FORMATS
        self.matches = matches


def _pattern(validator: _Validator, pattern: str, value: JSON, _: object) -> _Errors:
    if isinstance(value, str) and not validator.format_checker.matches(pattern, value):
        yield ValidationError("the pattern does not match")


def _pattern_properties(
    validator: _Validator, patterns: Mapping[str, JSON], value: JSON, _: object
) -> _Errors:
    if isinstance(value, dict):
        for pattern, schema in patterns.items():
            for key, item in value.items():
                if validator.format_checker.matches(pattern, key):
                    yield from validator.descend(item, schema, path=key, schema_path=pattern)


def _additional_properties(
    validator: _Validator, additional: JSON, value: JSON, schema: JSONObject
) -> _Errors:
    if isinstance(value, dict):
        known = cast("JSONObject", schema.get("properties", {}))
        patterns = cast("JSONObject", schema.get("patternProperties", {}))
        matches: Matches = validator.format_checker.matches
        for key, item in value.items():
            if key in known or any(matches(pattern, key) for pattern in patterns):
                continue
            if additional is False:
                yield ValidationError("there may be no other", path=[key])
            else:
                yield from validator.descend(item, additional, path=key)


def _required(_validator: _Validator, names: list[str], value: JSON, _: object) -> _Errors:
    if isinstance(value, dict):
        for name in names:
            if name not in value:
                yield ValidationError("it is missing", path=[name])


def _multiple_of(_validator: _Validator, factor: float, value: JSON, _: object) -> _Errors:
    # As the decimals that were written, like Kratos: 0.3 is a multiple of 0.1.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and Fraction(repr(value)) % Fraction(repr(factor)):
        yield ValidationError("it is no multiple")


def _unique_items(_validator: _Validator, unique: bool, value: JSON, _: object) -> _Errors:
    # jsonschema compares each with each where items cannot be sorted.
    if unique and isinstance(value, list) and len(set(map(_canonical, value))) < len(value):
        yield ValidationError("items repeat")


def _canonical(value: JSON) -> str:
    return json.dumps(_with_integers(value), sort_keys=True)


def _with_integers(value: JSON) -> JSON:
    match value:
        case float() if value.is_integer():
            return int(value)  # 1.0 and 1 are the same number
        case list():
            return [_with_integers(item) for item in value]
        case dict():
            return {key: _with_integers(item) for key, item in value.items()}
    return value


_KEYWORDS = {
    "additionalProperties": _additional_properties,
    "multipleOf": _multiple_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "required": _required,
    "uniqueItems": _unique_items,
}


def _bare(uri: str) -> str:
    return uri.removeprefix("https://").removeprefix("http://").removesuffix("#")


_DRAFTS = {
    _bare(plain.META_SCHEMA["$schema"]): Draft(
        keeps_siblings=plain in (Draft201909Validator, Draft202012Validator),
        id_keyword="id" if plain is Draft4Validator else "$id",
        _plain=plain,
        _guarded=extend(plain, _KEYWORDS),  # type: ignore[no-untyped-call]  # it has no types
    )
    for plain in (
        Draft4Validator,
        Draft6Validator,
        Draft7Validator,
        Draft201909Validator,
        Draft202012Validator,
    )
}
DEFAULT_DRAFT = _DRAFTS[_bare(Draft7Validator.META_SCHEMA["$schema"])]
"""Draft 7, as in Kratos."""

"""Adapter of jsonschema-rs: the drafts, references and patterns of a schema, and what it finds in a value.

Nothing is ever fetched. Patterns are ECMA-262 without look-around and back-references, so that each takes
time in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import jsonschema_rs as rs

from django_ms_identity.jsonnet.json_values import JSON, JSONObject

from .formats import is_email
from .problems import ProblemKind, TraitProblem, excerpt

MAX_MESSAGE = 200
"""Characters of the library's words for a fault."""
DEFAULT_DRAFT = "http://json-schema.org/draft-07/schema#"
"""As in Kratos."""

Lookup: TypeAlias = Callable[[str], JSON]
"""Returns what a local reference leads to; raises ``BrokenReference``."""
Kind = rs.ValidationErrorKind

_DRAFTS = (
    *(f"http://json-schema.org/draft-0{number}/schema#" for number in (4, 6, 7)),
    *(f"https://json-schema.org/draft/{number}/schema" for number in ("2019-09", "2020-12")),
)
_PATTERNS = rs.RegexOptions()
_FLAGS = re.compile(r"\(\?([ims]+)\)(.*)", re.DOTALL)
_PIECE = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\(\?P<", re.DOTALL)
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


class BrokenReference(Exception):
    """A reference that leads nowhere in its document."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document:
    """A schema that can be used, made by ``compile_document``."""

    root: JSONObject
    lookup: Lookup = field(repr=False)
    keeps_siblings: bool
    """Whether keywords beside ``$ref`` count; before 2019 they do not."""
    _validator: rs.Validator = field(repr=False)

    def problems(self, value: JSONObject) -> list[TraitProblem]:
        """Say what is wrong with ``{"traits": …}``; of a long array or object only the first entries."""
        if self._validator.is_valid(value):
            return []
        # The library makes all errors at once, each with a copy of the value that it is about.
        errors = self._validator.iter_errors(excerpt(value))
        found = [problem for error in errors for problem in _problems_of(error)]
        return found or [TraitProblem(path=(), kind=ProblemKind.OTHER)]


def draft_named(uri: str) -> str:
    """Return the true name of the draft that ``$schema`` names, or an empty string."""
    return next((draft for draft in _DRAFTS if _bare(draft) == _bare(uri)), "")


def id_keyword(draft: str) -> str:
    """Return the keyword by which a draft names a schema."""
    return "id" if "draft-04" in draft else "$id"


def draft_faults(root: JSONObject, draft: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Say where a document is no schema by a draft, and why."""
    validator = rs.validator_for({"$schema": draft, "$ref": draft}, validate_formats=False, offline=True)
    for error in validator.iter_errors(root):
        yield tuple(error.instance_path), error.message[:MAX_MESSAGE]


def references(root: JSONObject) -> Lookup:
    """Prepare to follow references; raises ``ValueError`` for a document where none can be followed."""
    resolver = rs.Registry([("urn:schema", root)]).resolver("urn:schema")

    def lookup(reference: str) -> JSON:
        try:
            return cast("JSON", resolver.lookup(reference).contents)
        except rs.ReferencingError:
            raise BrokenReference from None

    return lookup


def compile_document(root: JSONObject, lookup: Lookup) -> Document:
    """Prepare to validate; raises ``ValueError`` for what only the compiler notices."""
    return Document(
        root=root,
        lookup=lookup,
        keeps_siblings="draft/20" in str(root["$schema"]),
        _validator=rs.validator_for(
            root, formats={"email": is_email}, validate_formats=True, pattern_options=_PATTERNS, offline=True
        ),
    )


def is_pattern(pattern: str) -> bool:
    """Say whether a pattern can be used."""
    try:
        rs.Draft7Validator({"pattern": pattern}, pattern_options=_PATTERNS, offline=True)
    except ValueError:
        return False
    return True


def with_ecma_patterns(schema: JSONObject) -> JSONObject:
    """Rewrite in one object what Go's RE2, and so Kratos, spells otherwise: leading flags, named groups."""
    pattern, properties = schema.get("pattern"), schema.get("patternProperties")
    if isinstance(pattern, str):
        schema["pattern"] = _ecma(pattern)
    if isinstance(properties, dict):
        schema["patternProperties"] = {_ecma(key): inner for key, inner in properties.items()}
    return schema


def _ecma(pattern: str) -> str:
    pattern = _PIECE.sub(lambda piece: "(?<" if piece[0] == "(?P<" else piece[0], pattern)
    flags = _FLAGS.fullmatch(pattern)
    return f"(?{flags[1]}:{flags[2]})" if flags else pattern


def _problems_of(error: rs.ValidationError) -> Iterator[TraitProblem]:
    # By the kind and never by the message, which holds values.
    kind, paths = error.kind, [tuple(error.instance_path)]
    match kind:
        case Kind.Required(property=name):
            paths = [(*paths[0], name)]
        case Kind.AdditionalProperties(unexpected=names) | Kind.UnevaluatedProperties(unexpected=names):
            paths = [(*paths[0], name) for name in names]
        case Kind.PropertyNames(error=inner):
            kind = inner.kind
    limit = kind.value if isinstance(kind.value, int | float) and not isinstance(kind.value, bool) else None
    for path in paths:
        # A keyword at the root of the schema may complain of more than its traits.
        below = path[1:] if path[:1] == ("traits",) else ()
        found = _KINDS.get(kind.name, ProblemKind.OTHER) if below else ProblemKind.OTHER
        yield TraitProblem(path=below, kind=found, limit=None if found is ProblemKind.CONST else limit)


def _bare(uri: str) -> str:
    return uri.removeprefix("https://").removeprefix("http://").removesuffix("#")

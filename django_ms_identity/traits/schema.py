"""The identity schema of Kratos: which traits there are, what is wrong with some, what a form must ask.

Ory Kratos, embedx/identity_meta.schema.json and identity_extension.schema.json: a JSON Schema whose
``properties.traits`` describes the traits, with marks by ``ory.sh/kratos``. Nothing is fetched but the
schema itself, and each pattern takes time in proportion to the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from django_ms_identity.exceptions import MapperUnavailable, SchemaUnavailable
from django_ms_identity.jsonnet.json_values import JSONObject, clean
from django_ms_identity.jsonnet.source_urls import schema_url_fault

from .fields import TraitField, fields_for
from .json_schema import Document
from .mapping_result import Address, normalise_email
from .paths import TraitPath
from .problems import ProblemKind, TraitProblem, no_json, values_at
from .schema_document import read_document
from .schema_nodes import Mark, verification_marks

if TYPE_CHECKING:
    from django_ms_identity.jsonnet.sources import Sources

MAX_PROBLEMS = 100
KEPT = 16
"""Schemas that are kept parsed; a project has one."""

_HINT = "Check that this server reads it, that it is JSON in UTF-8, not too large, and that a pin fits."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IdentitySchema:
    """A schema without faults, made by ``parse_schema``."""

    verification: tuple[Mark, ...]
    """Traits that hold addresses to be verified."""
    _document: Document = field(repr=False)

    def problems(self, traits: JSONObject) -> tuple[TraitProblem, ...]:
        """Say what is wrong with traits, at most ``MAX_PROBLEMS`` and each once."""
        if broken := tuple(islice(no_json(traits), MAX_PROBLEMS)):
            return tuple(TraitProblem(path=path, kind=ProblemKind.WRONG_TYPE) for path in broken)
        found = self._document.problems({"traits": clean(traits)})
        return tuple(islice(dict.fromkeys(found), MAX_PROBLEMS))

    def fields(self, paths: Iterable[TraitPath]) -> tuple[TraitField, ...]:
        """Return what a form must ask for the traits at these paths, or raise ``TraitNotAskable``."""
        return fields_for(self._document, paths)

    def addresses(self, traits: JSONObject) -> tuple[Address, ...]:
        """Return the addresses among traits that are to be verified; only a mapper can vouch for them."""
        return tuple(
            dict.fromkeys(
                Address(via=mark.via, value=normalise_email(value) if mark.via == "email" else value)
                for mark in self.verification
                for value in values_at(traits, mark.path)
                if isinstance(value, str) and value
            )
        )


@lru_cache(maxsize=KEPT)
def parse_schema(text: str) -> IdentitySchema:
    """Read an identity schema, or raise ``SchemaInvalid`` with all its faults."""
    document = read_document(text)
    return IdentitySchema(_document=document, verification=verification_marks(document))


def load_schema(url: str, *, sources: Sources) -> IdentitySchema:
    """Read the identity schema behind a URL, of the same schemes and as fresh as a mapper's.

    Raises ``SchemaUnavailable`` or ``SchemaInvalid``.
    """
    if fault := schema_url_fault(url, allow_http=sources.allow_http):
        raise SchemaUnavailable(
            f"IDENTITY_SCHEMA_URL {fault}", hint="Correct IDENTITY_SCHEMA_URL in the settings."
        )
    try:
        text = sources.read(url)
    except MapperUnavailable as error:
        raise SchemaUnavailable(f"the identity schema: {error.detail}", hint=_HINT) from None
    return parse_schema(text)

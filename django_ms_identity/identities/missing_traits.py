"""What an identity lacks by the identity schema, and how what the visitor types joins what was mapped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django_ms_identity import runtime
from django_ms_identity.conf import Config
from django_ms_identity.exceptions import TraitsInvalid
from django_ms_identity.jsonnet.json_values import JSON, JSONObject
from django_ms_identity.traits.mapping_result import MappingResult
from django_ms_identity.traits.paths import display_path, format_path
from django_ms_identity.traits.problems import TraitProblem, merge

if TYPE_CHECKING:
    from django_ms_identity.traits.fields import TraitField


def problems_in(traits: JSONObject, config: Config) -> tuple[TraitProblem, ...]:
    """Return the identity schema's problems with traits; none where the project has no schema.

    Raises ``SchemaUnavailable`` and ``SchemaInvalid``.
    """
    schema = runtime.identity_schema(config)
    return schema.problems(traits) if schema else ()


def refuse_invalid(traits: JSONObject, config: Config) -> None:
    """Raise ``TraitsInvalid`` for traits that the identity schema refuses, where no form can be shown."""
    if problems := problems_in(traits, config):
        raise TraitsInvalid(*dict.fromkeys(display_path(problem.path) for problem in problems))


def form_fields_for(problems: tuple[TraitProblem, ...], config: Config) -> tuple[TraitField, ...]:
    """Return the form fields that correct these problems, or raise ``TraitNotAskable``."""
    schema = runtime.identity_schema(config)
    return schema.fields(problem.path for problem in problems) if schema else ()


def with_typed(mapping: MappingResult, typed: Mapping[tuple[str, ...], JSON]) -> MappingResult:
    """Return a mapping with what the visitor typed merged into its traits."""
    return mapping.with_traits(merge(mapping.traits, typed), self_asserted=tuple(map(format_path, typed)))

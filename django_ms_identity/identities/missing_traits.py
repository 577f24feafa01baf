"""What an identity lacks by the identity schema, and how what a visitor types joins what was mapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from django_ms_identity import runtime
from django_ms_identity.exceptions import TraitsInvalid
from django_ms_identity.jsonnet.json_values import JSON, JSONObject
from django_ms_identity.traits.mapping_result import MappingResult
from django_ms_identity.traits.paths import display_path, format_path
from django_ms_identity.traits.problems import TraitProblem, merge

if TYPE_CHECKING:
    from django_ms_identity.traits.schema import TraitField


def problems_in(traits: JSONObject) -> tuple[TraitProblem, ...]:
    """Say what the identity schema has against traits; nothing where the project has no schema.

    Raises ``SchemaUnavailable`` or ``SchemaInvalid``.
    """
    schema = runtime.identity_schema()
    return schema.problems(traits) if schema else ()


def refuse_invalid(traits: JSONObject) -> None:
    """Raise ``TraitsInvalid`` for traits that the identity schema refuses, where nobody can be asked."""
    if problems := problems_in(traits):
        raise TraitsInvalid(*dict.fromkeys(display_path(problem.path) for problem in problems))


def fields_for(problems: tuple[TraitProblem, ...]) -> tuple[TraitField, ...]:
    """Return what a form must ask to mend these problems, or raise ``TraitNotAskable``."""
    schema = runtime.identity_schema()
    return schema.fields(problem.path for problem in problems) if schema else ()


def with_typed(mapped: MappingResult, typed: Mapping[tuple[str, ...], JSON]) -> MappingResult:
    """Return what was mapped with what the visitor typed; their word vouches for nothing else."""
    return replace(
        mapped,
        traits=merge(mapped.traits, typed),
        replaced_traits=mapped.mapper_traits,
        self_asserted=tuple(dict.fromkeys((*mapped.self_asserted, *map(format_path, typed)))),
    )

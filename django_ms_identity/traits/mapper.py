"""From a verified payload to a mapped identity: claims, source, sandbox, result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django_ms_identity.jsonnet import worker_pool
from django_ms_identity.jsonnet.json_values import JSON
from django_ms_identity.jsonnet.source_urls import display_url

from . import mapping_result
from .mapper_claims import mapper_claims

if TYPE_CHECKING:
    from django_ms_identity.jsonnet.sources import Sources

EMPTY_IDENTITY: Mapping[str, JSON] = {
    "traits": {},
    "metadata_public": {},
    "metadata_admin": {},
    "self_asserted": [],
}
"""What a mapper sees in ``std.extVar('identity')`` while somebody registers."""


def map_claims(
    *,
    mapper_url: str,
    payload: Mapping[str, object],
    subject: str,
    identity: Mapping[str, JSON],
    sources: Sources,
    timeout: float,
    explain: bool = False,
) -> mapping_result.MappingResult:
    """Run the operator's mapper over the claims of a verified token.

    ``identity`` is what is stored now, or ``EMPTY_IDENTITY``; ``timeout`` is in seconds; ``explain`` puts
    the engine's own words, which may hold claims, into the hint of an error. Raises ``ClaimsInvalid`` or a
    leaf of ``MapperFailed``.
    """
    claims = mapper_claims(payload, subject=subject)
    source = sources.read(mapper_url)
    output = worker_pool.evaluate(
        source,
        name=display_url(mapper_url),
        claims=claims,
        identity=identity,
        timeout=timeout,
        explain=explain,
    )
    return mapping_result.parse(output)

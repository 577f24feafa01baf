"""From a verified payload to a mapped identity: claims, source, sandbox, result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import result, sandbox, sources
from .claims import mapper_claims
from .json_text import JSON
from .mapper_urls import shown

if TYPE_CHECKING:
    from django_ms_identity.transport import Transport

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
    transport: Transport,
    timeout: float,
    allow_http: bool = False,
    explain: bool = False,
) -> result.Mapped:
    """Run the operator's mapper over the claims of a verified token.

    ``identity`` is what is stored now, or ``EMPTY_IDENTITY``; ``timeout`` is in seconds; ``explain`` puts
    the engine's own words, which may hold claims, into the hint of an error. Raises ``ClaimsInvalid`` or a
    leaf of ``MapperFailed``.
    """
    claims = mapper_claims(payload, subject=subject)
    source = sources.read(mapper_url, transport=transport, allow_http=allow_http)
    output = sandbox.evaluate(
        source, name=shown(mapper_url), claims=claims, identity=identity, timeout=timeout, explain=explain
    )
    return result.parse(output)

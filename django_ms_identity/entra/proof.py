"""From Microsoft's code to a verified person: redeem, verify, and name the subject."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import client, graph, keys, tokens
from .documents import Documents
from .providers import Provider, SubjectSource
from .tokens import Claims

if TYPE_CHECKING:
    from django_ms_identity.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Who somebody is, proved by Microsoft at this moment."""

    provider: Provider
    claims: Claims
    subject: str = field(repr=False)


def prove(
    provider: Provider,
    *,
    code: str,
    state: str,
    nonce: str,
    verifier: str,
    redirect_uri: str,
    transport: Transport,
    documents: Documents,
) -> Proof:
    """Exchange the code and verify what comes for it; two requests at most, keys aside.

    Raises the refusal that Microsoft's answer stands for, ``TokenRejected``, ``TenantNotAllowed``, or what
    the transport raises.
    """
    received = client.redeem(
        provider,
        code=code,
        state=state,
        nonce=nonce,
        verifier=verifier,
        redirect_uri=redirect_uri,
        transport=transport,
    )
    claims = tokens.verify(
        received.id_token,
        provider=provider,
        tenant=keys.configured_tenant(provider, documents),
        nonce=nonce,
        key_for=lambda kid: keys.signing_key(provider, kid, documents),
    )
    if provider.subject_source is SubjectSource.ME:
        subject = graph.me(received.access_token, claims=claims, cloud=provider.cloud, transport=transport)
    else:
        subject = tokens.subject_of(claims, provider.subject_source)
    return Proof(provider=provider, claims=claims, subject=subject)

"""From Microsoft's code to a verified person: redeem, verify, and name the subject."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django_ms_identity.net.remote_documents import RemoteDocuments

from . import client, graph, jwks
from . import id_token as tokens
from .id_token import Claims
from .providers import Provider, SubjectSource

if TYPE_CHECKING:
    from django_ms_identity.net.http import HttpClient


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLogin:
    """Who somebody is, proved by Microsoft at this moment."""

    provider: Provider
    claims: Claims
    subject: str = field(repr=False)


def exchange(
    provider: Provider,
    *,
    code: str,
    state: str,
    nonce: str,
    verifier: str,
    redirect_uri: str,
    transport: HttpClient,
    documents: RemoteDocuments,
) -> VerifiedLogin:
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
        tenant=jwks.configured_tenant(provider, documents),
        nonce=nonce,
        key_for=lambda kid: jwks.signing_key(provider, kid, documents),
    )
    if provider.subject_source is SubjectSource.ME:
        subject = graph.me(received.access_token, claims=claims, cloud=provider.cloud, transport=transport)
    else:
        subject = tokens.subject_of(claims, provider.subject_source)
    return VerifiedLogin(provider=provider, claims=claims, subject=subject)

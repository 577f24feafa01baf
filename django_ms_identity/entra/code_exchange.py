"""Turn Microsoft's authorization code into a verified login: redeem, verify, and name the subject."""

from __future__ import annotations

from dataclasses import dataclass, field

from django_ms_identity.net.http import HttpClient
from django_ms_identity.net.remote_documents import RemoteDocuments

from . import graph, id_token, jwks, token_endpoint
from .id_token import Claims
from .providers import Provider, SubjectSource


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLogin:
    """Who has just signed in at Microsoft, verified."""

    provider: Provider
    claims: Claims
    subject: str = field(repr=False)
    """Identifies the person at this provider, as its ``subject_source`` says."""


def exchange(
    provider: Provider,
    *,
    code: str,
    nonce: str,
    verifier: str,
    redirect_uri: str,
    http: HttpClient,
    documents: RemoteDocuments,
) -> VerifiedLogin:
    """Exchange the code and verify the ID token; one request, and one to Graph for ``me``.

    ``nonce``, ``verifier`` and ``redirect_uri`` are those that the sign-in started with.
    Raises what ``token_endpoint.redeem``, ``id_token.verify`` and ``graph.me`` raise.
    """
    tokens = token_endpoint.redeem(
        provider, code=code, verifier=verifier, redirect_uri=redirect_uri, http=http
    )
    claims = id_token.verify(
        tokens.id_token,
        provider=provider,
        tenant=jwks.configured_tenant(provider, documents),
        nonce=nonce,
        key_for=lambda kid: jwks.signing_key(provider, kid, documents),
    )
    if provider.subject_source is SubjectSource.ME:
        subject = graph.me(tokens.access_token, claims=claims, cloud=provider.cloud, http=http)
    else:
        subject = id_token.subject_of(claims, provider.subject_source)
    return VerifiedLogin(provider=provider, claims=claims, subject=subject)

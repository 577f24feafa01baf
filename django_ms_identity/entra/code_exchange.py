"""Turn Microsoft's authorization code into a verified login: redeem, verify, and name the subject."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from django_ms_identity.exceptions import MicrosoftAnswerInvalid, MicrosoftUnavailable, SubjectMissing
from django_ms_identity.net.http import HttpClient, parse_object
from django_ms_identity.net.remote_documents import RemoteDocuments

from . import graph, id_token, jwks
from .authentication_context import AAL, aal_of
from .errors import error_for
from .id_token import Claims
from .providers import Provider, SubjectSource


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLogin:
    """Who has just signed in at Microsoft, verified."""

    provider: Provider
    claims: Claims
    subject: str = field(repr=False)
    """Identifies the person at this provider, as its ``subject_source`` says."""

    @property
    def aal(self) -> AAL:
        """The level of the sign-in, by what the provider counts as a second factor."""
        return aal_of(self.provider, self.claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What Microsoft gave for the code; the ID token is not verified yet."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    """Empty where none came."""


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
    Raises what ``redeem``, ``id_token.verify`` and ``graph.me`` raise, or ``SubjectMissing``.
    """
    tokens = redeem(provider, code=code, verifier=verifier, redirect_uri=redirect_uri, http=http)
    claims = id_token.verify(
        tokens.id_token,
        provider=provider,
        tenant=jwks.configured_tenant(provider, documents),
        nonce=nonce,
        key_for=partial(jwks.signing_key, provider, documents=documents),
    )
    match provider.subject_source:
        case SubjectSource.ME:
            subject = graph.me(tokens.access_token, claims=claims, cloud=provider.cloud, http=http)
        case SubjectSource.OID:
            subject = claims.oid
        case SubjectSource.USERINFO:
            subject = claims.sub
    if not subject:
        raise SubjectMissing("the ID token has no oid", hint="oid needs the scope 'profile'.")
    return VerifiedLogin(provider=provider, claims=claims, subject=subject)


def redeem(provider: Provider, *, code: str, verifier: str, redirect_uri: str, http: HttpClient) -> Tokens:
    """Exchange the code for tokens: one POST, never repeated, because a code works once.

    Raises what ``error_for`` makes of an error answer, ``MicrosoftUnavailable`` or
    ``MicrosoftAnswerInvalid``. RFC 6749 section 4.1.3, with the secret in the body (section 2.3.1).
    """
    response = http.post(
        provider.token_url,
        data={
            "grant_type": "authorization_code",
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_uri,
            "scope": provider.scope_parameter,
        },
        headers={"Accept": "application/json"},
    )
    if response.status == 429 or response.status >= 500:
        raise MicrosoftUnavailable(f"the token endpoint answered {response.status}")
    answer = parse_object(response.body)
    if "error" in answer:
        raise error_for(answer["error"], answer.get("error_description"))
    if response.status != 200:
        raise MicrosoftAnswerInvalid(f"the token endpoint answered {response.status} and no OAuth answer")
    id_token, access_token = answer.get("id_token"), answer.get("access_token", "")
    if not (isinstance(id_token, str) and id_token and isinstance(access_token, str)):
        raise MicrosoftAnswerInvalid("the token endpoint sent no ID token", hint="Is 'openid' consented to?")
    return Tokens(id_token=id_token, access_token=access_token)

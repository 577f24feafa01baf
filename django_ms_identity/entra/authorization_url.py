"""Build the URL of Microsoft's authorize endpoint, where a sign-in starts. No request is made."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from urllib.parse import urlencode

from django_ms_identity.net.http import rewrite

from .providers import Provider

PROMPTS = frozenset({"login", "select_account", "consent", "create"})
"""Values of ``prompt`` that a visitor's link may ask for; ``none`` would show no page at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The URL to redirect to, and the secrets that the callback needs."""

    url: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    """The PKCE code verifier (RFC 7636)."""


def authorize(
    provider: Provider,
    *,
    redirect_uri: str,
    prompt: str,
    emulator_url: str,
    max_age: int | None = None,
    id_token_claims: Mapping[str, object] = MappingProxyType({}),
) -> Authorization:
    """Prepare the redirect to Microsoft, with a new state, nonce and PKCE verifier.

    ``max_age`` is in seconds; ``id_token_claims`` are requested beside the provider's own.
    OpenID Connect Core 3.1.2.1, RFC 7636 section 4; Microsoft: v2-oauth2-auth-code-flow.
    """
    # 128 bits each; the verifier has 256, which RFC 7636 section 4.1 recommends.
    state, nonce, verifier = secrets.token_urlsafe(16), secrets.token_urlsafe(16), secrets.token_urlsafe(32)
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    repeated = _encode_query(
        client_id=provider.client_id,
        response_type="code",
        response_mode=provider.response_mode.value,
        redirect_uri=redirect_uri,
        scope=provider.scope_parameter,
        code_challenge_method="S256",
        prompt=provider.prompt or prompt,
        domain_hint=provider.domain_hint,
        claims=_claims_parameter(provider, id_token_claims),
        max_age="" if max_age is None else str(max_age),
    )
    # In the alphabet of base64url, which needs no encoding.
    fresh = f"state={state}&nonce={nonce}&code_challenge={challenge}"
    endpoint = rewrite(provider.authorize_url, emulator_url)
    return Authorization(url=f"{endpoint}?{repeated}&{fresh}", state=state, nonce=nonce, verifier=verifier)


@lru_cache(maxsize=64)
def _encode_query(**parameters: str) -> str:
    """Encode the parameters that have a value; the same for most sign-ins, so it is done once."""
    return urlencode({name: value for name, value in parameters.items() if value})


def _claims_parameter(provider: Provider, id_token_claims: Mapping[str, object]) -> str:
    """Return the ``claims`` parameter (OpenID Connect Core 5.5), or an empty text."""
    if not id_token_claims:
        return provider.requested_claims
    claims = json.loads(provider.requested_claims or "{}")
    configured = claims.get("id_token")
    claims["id_token"] = (configured if isinstance(configured, dict) else {}) | dict(id_token_claims)
    return json.dumps(claims, separators=(",", ":"))

"""Read signing keys and tenant ids from Microsoft's documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from django_ms_identity.exceptions import MicrosoftAnswerInvalid, TokenRejected
from django_ms_identity.net.http import parse_object
from django_ms_identity.net.remote_documents import RemoteDocuments

from .clouds import CONSUMER_TENANT, GUID, TenantKind
from .providers import Provider

MIN_KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of Microsoft, and whose tokens it may sign."""

    key: RSAPublicKey
    issuer: str | None
    """The only issuer whose tokens it may sign; may hold ``{tenantid}``. None where the set names none."""


@lru_cache(maxsize=32)
def parse_keys(text: str) -> Mapping[str, SigningKey]:
    """Parse a JWK set (RFC 7517) to keys by ``kid``; entries that cannot verify RS256 are left out.

    Raises ``MicrosoftAnswerInvalid`` without a usable key.
    """
    entries = parse_object(text).get("keys")
    if not isinstance(entries, list):
        raise MicrosoftAnswerInvalid("the key set has no list of keys")
    keys = {}
    for entry in entries:
        if isinstance(entry, dict) and (key := _signing_key(entry)):
            keys[str(entry["kid"])] = key
    if not keys:
        raise MicrosoftAnswerInvalid("the key set has no usable key")
    return keys


def _signing_key(entry: dict[str, object]) -> SigningKey | None:
    kid, use, issuer = entry.get("kid"), entry.get("use", "sig"), entry.get("issuer")
    if not (isinstance(kid, str) and kid and use == "sig" and isinstance(issuer, str | None)):
        return None
    try:
        key = jwt.PyJWK(entry, algorithm="RS256").key
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        return None
    # A key set that holds a private or short key is not Microsoft's.
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        return None
    return SigningKey(key, issuer)


def signing_key(provider: Provider, kid: str, documents: RemoteDocuments) -> SigningKey:
    """Return the provider's key ``kid``, or raise ``TokenRejected``.

    An unknown ``kid`` fetches the set again, at most every 5 minutes (Microsoft: signing-key-rollover).
    """
    url = provider.keys_url
    key = documents.read(url, parse_keys).get(kid)
    if key is None:
        newer = documents.refetch(url, parse_keys, requested_by=provider.id)
        key = newer.get(kid) if newer else None
    if key is None:
        raise TokenRejected("signed with a key that is not in Microsoft's key set")
    return key


def configured_tenant(provider: Provider, documents: RemoteDocuments) -> str:
    """Return the GUID of a single-tenant provider; a domain is resolved once.

    Only the GUID is taken from a domain's metadata: its endpoints are derived.
    """
    if provider.tenant.kind is not TenantKind.DOMAIN:
        return provider.tenant.value
    parse = partial(_parse_tenant, issuer_template=provider.issuer_template)
    return documents.read(provider.metadata_url, parse)


def _parse_tenant(text: str, *, issuer_template: str) -> str:
    issuer = str(parse_object(text).get("issuer"))
    before, after = issuer_template.split("{tenantid}")
    tid = issuer.removeprefix(before).removesuffix(after)
    if not GUID.fullmatch(tid) or issuer != f"{before}{tid}{after}":
        raise MicrosoftAnswerInvalid("the tenant's metadata names no issuer of this cloud")
    if tid == CONSUMER_TENANT:
        # Every personal account would count as a member of one trusted organisation.
        raise MicrosoftAnswerInvalid(
            "the domain belongs to personal accounts", hint="Set microsoft_tenant to 'consumers'."
        )
    return tid

"""Verify ID tokens: signature, issuer, audience, times, nonce and tenant. No network of its own."""

from __future__ import annotations

import base64
import hmac
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import jwt

from django_ms_identity.exceptions import TenantNotAllowed, TokenRejected

from .clouds import CONSUMER_TENANT, GUID, TenantKind
from .jwks import SigningKey
from .providers import Provider

ALGORITHMS = ["RS256"]  # Never taken from the token.
LEEWAY = 120
"""Seconds by which Microsoft's clock and this server's may differ."""
REQUIRED = ["aud", "exp", "iat", "iss", "nbf", "nonce", "sub", "tid", "ver"]
MAX_TOKEN = 128 * 1024
"""Characters of an ID token; the largest real ones (200 groups) have about 12,000."""
_UNSTORABLE = re.compile("[\ud800-\udfff\0]")
"""What databases refuse: NUL, and half a surrogate pair, which JSON can hold."""
_BIDI = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_TEXT_CLAIMS = ("aud", "iss", "nonce", "sub", "tid", "ver")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The verified claims of one person."""

    tid: str
    sub: str
    oid: str
    """Empty where Microsoft sent no GUID."""
    payload: Mapping[str, object] = field(repr=False)
    """Everything in the token."""

    @property
    def is_guest(self) -> bool:
        """Whether the account's home is another tenant (``acct``, another ``idp``)."""
        own = (self.payload.get("iss"), f"https://sts.windows.net/{self.tid}/", None)
        return self.payload.get("acct") in (1, "1") or self.payload.get("idp") not in own

    @property
    def denies_address(self) -> bool:
        """Whether Microsoft says that the e-mail's domain is not verified (``xms_edov``)."""
        return str(self.payload.get("xms_edov", "")).lower() in ("false", "0")

    @property
    def account_name(self) -> str:
        """What Microsoft calls the account, for people to tell two apart; never to find an identity by."""
        return display_text(self.text("preferred_username") or self.text("email"))[:320]

    @property
    def amr(self) -> list[str]:
        """The authentication methods (RFC 8176); Microsoft's v2.0 tokens rarely name any."""
        return self._texts("amr")

    @property
    def acrs(self) -> list[str]:
        """The Conditional Access authentication contexts that the sign-in satisfied."""
        return self._texts("acrs")

    @property
    def auth_time(self) -> float | None:
        """When the person last authenticated, in seconds since the epoch; None if unknown."""
        value = self.payload.get("auth_time")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        # NaN would be neither older nor newer than anything.
        return float(value) if abs(value) <= sys.float_info.max else None

    def text(self, name: str) -> str:
        """Return a text claim, fit to be stored; empty if it is absent or not text."""
        value = self.payload.get(name)
        return _replace_unstorable(value) if isinstance(value, str) else ""

    def _texts(self, name: str) -> list[str]:
        value = self.payload.get(name)
        values = value if isinstance(value, list) else [value]
        return [_replace_unstorable(text) for text in values if isinstance(text, str)]


def verify(
    token: str,
    *,
    provider: Provider,
    tenant: str,
    nonce: str,
    key_for: Callable[[str], SigningKey],
) -> Claims:
    """Return the claims of a genuine ID token.

    ``tenant`` is the provider's tenant with a domain resolved to its GUID, ``nonce`` the one that the
    sign-in started with; ``key_for`` returns the signing key of a ``kid``, or raises ``TokenRejected``.
    Raises ``TokenRejected`` or ``TenantNotAllowed``.
    OpenID Connect Core 3.1.3.7; Microsoft: access-tokens, claims-validation.
    """
    payload = _decode(token, provider.client_id, key := key_for(_kid(token)))
    _check_types(payload)
    tid, iss = str(payload["tid"]), payload["iss"]
    if not GUID.fullmatch(tid):
        raise TokenRejected("tid is not a lower-case GUID")
    if iss != provider.issuer_template.replace("{tenantid}", tid):
        raise TokenRejected("iss is not the issuer of tid")
    if key.issuer is None:
        # Only the key set of a single tenant may leave out the issuer of its keys.
        if not provider.tenant.single:
            raise TokenRejected("the signing key names no issuer")
    elif key.issuer.replace("{tenantid}", tid) != iss:
        raise TokenRejected("the signing key belongs to another issuer")
    if payload["ver"] != "2.0":
        raise TokenRejected(
            "ver is not 2.0", hint="Set accessTokenAcceptedVersion to 2 in the app's manifest."
        )
    if not hmac.compare_digest(str(payload["nonce"]).encode("utf-8", "replace"), nonce.encode()):
        raise TokenRejected("nonce does not belong to this sign-in")
    if payload.get("azp", provider.client_id) != provider.client_id:
        raise TokenRejected("azp is another client")
    check_tenant(tid, provider=provider, tenant=tenant)
    oid = payload.get("oid")
    return Claims(
        tid=tid,
        sub=str(payload["sub"]),
        oid=oid if isinstance(oid, str) and GUID.fullmatch(oid) else "",
        payload=MappingProxyType(payload),
    )


def is_subject(text: str) -> bool:
    """Say whether a text has the form of a subject; any other could not be hashed or stored."""
    # OpenID Connect Core section 2.
    return 0 < len(text) <= 255 and text.isascii() and text.isprintable()


def display_text(text: str) -> str:
    """Return text without what would deceive its reader: control characters, and changes of direction."""
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if unicodedata.category(c) != "Cc" and c not in _BIDI)


def _replace_unstorable(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)


def _kid(token: str) -> str:
    if len(token) > MAX_TOKEN:
        raise TokenRejected("the ID token is too large")
    first = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise TokenRejected("the ID token's header cannot be read")
    # Another type is another kind of token, and must not pass as an ID token (RFC 8725 section 3.11).
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise TokenRejected("typ is not JWT")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise TokenRejected("the ID token names no key")
    return kid


def _decode(token: str, client_id: str, key: SigningKey) -> dict[str, object]:
    try:
        return dict(
            jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS,
                audience=client_id,
                leeway=LEEWAY,
                options={"require": REQUIRED, "strict_aud": True, "enforce_minimum_key_length": True},
            )
        )
    except jwt.MissingRequiredClaimError as error:
        fault = f"the claim {error.claim} is missing"
    except jwt.PyJWTError as error:
        # The library's messages can quote claims; the class says what failed.
        fault = f"verification failed: {type(error).__name__}"
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        fault = f"cannot be read: {type(error).__name__}"
    # Outside the except block, so that ``__context__`` carries no claims.
    raise TokenRejected(fault)


def _check_types(payload: Mapping[str, object]) -> None:
    for name in _TEXT_CLAIMS:
        if not isinstance(payload[name], str) or not payload[name]:
            raise TokenRejected(f"{name} is not text or is empty")
    for name in ("exp", "iat", "nbf"):
        # PyJWT takes numeric text and booleans too (RFC 7519 section 2: NumericDate is a number).
        if type(payload[name]) not in (int, float):
            raise TokenRejected(f"{name} is not a number")
    if not is_subject(str(payload["sub"])):
        raise TokenRejected("sub is not ASCII text of at most 255 characters")


def check_tenant(tid: str, *, provider: Provider, tenant: str) -> None:
    """Raise ``TenantNotAllowed`` unless the provider signs people of the verified tenant ``tid`` in."""
    match provider.tenant.kind:
        case TenantKind.GUID | TenantKind.DOMAIN:
            allowed = tid == tenant
        case TenantKind.CONSUMERS:
            allowed = tid == CONSUMER_TENANT
        case TenantKind.ORGANIZATIONS:
            allowed = tid != CONSUMER_TENANT
        case TenantKind.COMMON:
            allowed = True
    if not allowed:
        raise TenantNotAllowed(f"tenant {tid} is not what microsoft_tenant lets in")
    if provider.allowed_tenants is not None and tid not in provider.allowed_tenants:
        raise TenantNotAllowed(
            f"tenant {tid} is not in allowed_tenants",
            hint=f"If it should come in, add '{tid}' to allowed_tenants of provider '{provider.id}'.",
        )

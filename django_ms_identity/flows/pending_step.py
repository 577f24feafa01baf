"""A sign-in that waits for its visitor: for traits to be typed, or a link to be confirmed.

One per browser. It is kept sealed in the session, and opens only with a cookie that this host alone can set:
a session that an attacker planted in a browser brings no step with it that its visitor could finish. Logging
out, or in as another user, empties the session and so drops it.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from django.http import HttpRequest, HttpResponse

from django_ms_identity import runtime
from django_ms_identity.conf import Config
from django_ms_identity.crypto import SealBroken
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.entra.id_token import Claims, check_tenant
from django_ms_identity.entra.jwks import configured_tenant
from django_ms_identity.exceptions import PendingMissing
from django_ms_identity.sign_in_context import Intent, SignInContext
from django_ms_identity.traits.mapping_result import MappingResult

from . import cookie_header, return_urls

logger = logging.getLogger("django_ms_identity")

LIFESPAN = 10 * 60
"""Seconds that a step waits."""
SESSION_KEY = "_ms_identity_pending"
# "token" in its name keeps its value out of Django's error reports, whose filter goes by names.
_COOKIE = "ms_identity_pending_token"


class StepKind(StrEnum):
    """What a sign-in waits for."""

    COMPLETE = "complete"
    CONFIRM_LINK = "confirm_link"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingStep:
    """A verified login that waits for its visitor."""

    kind: StepKind
    context: SignInContext
    mapping: MappingResult = field(repr=False)
    owners: tuple[str, ...] = ()
    """Keys of the users that the account may be linked to, as text; none for a registration."""
    created_at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStep:
    """Where the visitor goes next, and the secret that binds their browser to the step."""

    kind: StepKind
    browser_secret: str = field(repr=False)


def store(
    context: SignInContext, kind: StepKind, mapping: MappingResult, *, owners: tuple[str, ...] = ()
) -> StoredStep:
    """Store a step in the session, in place of another; its cookie must be set by ``set_cookie``.

    The session's key changes: an attacker who planted the session must not share it.
    """
    request, browser_secret = context.request, secrets.token_urlsafe(24)
    claims = context.claims
    plain = {
        "kind": kind.value,
        "provider": context.provider.id,
        "claims": [claims.tid, claims.sub, claims.oid, dict(claims.payload)],
        "subject": context.subject,
        "mapping": mapping.as_dict(),
        "return_to": context.return_to,
        "intent": context.intent.value,
        "owners": owners,
        "created_at": time.time(),
    }
    request.session.cycle_key()
    request.session[SESSION_KEY] = runtime.keyring().seal_json(
        plain, kind="pending", context=(_digest(browser_secret),)
    )
    logger.info(
        "A sign-in by provider %s (tid %s, oid %s) waits for the step %s",
        context.provider.id,
        claims.tid,
        claims.oid,
        kind,
    )
    return StoredStep(kind=kind, browser_secret=browser_secret)


def set_cookie(request: HttpRequest, config: Config, response: HttpResponse, step: StoredStep) -> None:
    """Give the browser the cookie without which the step cannot continue."""
    secure = return_urls.has_secure_cookies(request, config=config)
    response.set_cookie(
        _cookie(secure=secure),
        step.browser_secret,
        max_age=LIFESPAN,
        secure=secure,
        httponly=True,
        samesite="Lax",
    )


def load(request: HttpRequest, config: Config, kind: StepKind) -> PendingStep:
    """Return the step of this kind that waits for this browser, if the settings still admit the person.

    Raises ``PendingMissing``, ``ProviderUnknown`` or ``TenantNotAllowed``; a tenant given by its domain may
    have to be fetched.
    """
    sealed, browser_secret = request.session.get(SESSION_KEY), _browser_secret(request, config)
    if not isinstance(sealed, str) or not browser_secret:
        raise PendingMissing("no step waits in this session, or its cookie is missing or came twice")
    try:
        plain = runtime.keyring().open_json(sealed, kind="pending", context=(_digest(browser_secret),))
        stored, mapping = StepKind(plain["kind"]), MappingResult.from_dict(plain["mapping"])
        created_at, owners = float(plain["created_at"]), tuple(plain["owners"])
        context = _restored(request, config, plain)
    except (SealBroken, KeyError, TypeError, ValueError):  # All but SealBroken: another release sealed it.
        raise PendingMissing("the step in this session does not belong to this browser's cookie") from None
    if not created_at <= time.time() < created_at + LIFESPAN:
        raise PendingMissing("the step has expired")
    if stored is not kind:
        raise PendingMissing(f"another step waits: {stored}")
    tenant = configured_tenant(context.provider, runtime.documents(config))
    check_tenant(context.claims.tid, provider=context.provider, tenant=tenant)
    return PendingStep(kind=stored, context=context, mapping=mapping, owners=owners, created_at=created_at)


def form_token(request: HttpRequest, config: Config) -> str:
    """Return a token for the step's form, so that a form left open in another tab is refused."""
    return _digest(f"form:{_browser_secret(request, config)}")[:32]


def clear(request: HttpRequest) -> None:
    """Drop the step: it was used, or must not be."""
    request.session.pop(SESSION_KEY, None)


def _cookie(*, secure: bool) -> str:
    return f"{cookie_header.PREFIX[secure]}{_COOKIE}"


def _browser_secret(request: HttpRequest, config: Config) -> str:
    secure = return_urls.has_secure_cookies(request, config=config)
    values = cookie_header.values_of(request.META.get("HTTP_COOKIE", ""), _cookie(secure=secure))
    return values[0] if len(values) == 1 else ""


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def _restored(
    request: HttpRequest,
    config: Config,
    plain: dict[str, Any],  # Any: another release's raises.
) -> SignInContext:
    tid, sub, oid, payload = plain["claims"]
    login = VerifiedLogin(
        # By its id: the settings may have changed meanwhile.
        provider=config.provider(plain["provider"]),
        claims=Claims(tid=tid, sub=sub, oid=oid, payload=MappingProxyType(payload)),
        subject=plain["subject"],
    )
    return SignInContext(
        request=request,
        config=config,
        login=login,
        return_to=plain["return_to"],
        intent=Intent(plain["intent"]),
    )

"""A sign-in that waits for its visitor: for traits to be typed, or a link to be confirmed; DESIGN 5.6, 5.9.

One per browser. It lies sealed in the session, and opens only with a cookie that this host alone can set: a
session planted in somebody's browser brings no step with it that they could finish. Logging out, or in as
somebody else, empties the session and so drops it.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from django.http import HttpRequest, HttpResponse

from django_ms_identity import conf, runtime
from django_ms_identity.crypto import SealBroken
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.exceptions import PendingMissing
from django_ms_identity.traits.mapping_result import Address, MappedUser, MappingResult

from . import cookies, return_urls

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
    """Somebody whom Microsoft has proved, and who is not let in yet."""

    step: StepKind
    provider: str
    """Its id: the settings may change meanwhile."""
    claims: Claims
    subject: str = field(repr=False)
    mapped: MappingResult = field(repr=False)
    return_to: str
    owners: tuple[str, ...] = ()
    """Keys of the users that the account may be linked to, as text; none for a registration."""
    created_at: float = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStep:
    """A step was kept: where the visitor goes on, and what binds their browser to it."""

    step: StepKind
    binder: str = field(repr=False)


def store(request: HttpRequest, pending: PendingStep) -> StoredStep:
    """Keep a step in the session, in place of another; its cookie must be set by ``bind``.

    The session's key changes: whoever planted the session would else share it, and could sign in to it.
    """
    binder = secrets.token_urlsafe(24)
    request.session.cycle_key()
    request.session[SESSION_KEY] = runtime.keyring().seal(
        json.dumps(_as_dict(pending) | {"created_at": time.time()}).encode(),
        kind="pending",
        context=(_digest(binder),),
    )
    logger.info(
        "A sign-in by provider %s (tid %s, oid %s) waits for the step %s",
        pending.provider,
        pending.claims.tid,
        pending.claims.oid,
        pending.step,
    )
    return StoredStep(step=pending.step, binder=binder)


def set_cookie(request: HttpRequest, response: HttpResponse, waiting: StoredStep) -> None:
    """Give the browser the cookie without which the step cannot go on."""
    secure = return_urls.has_secure_cookies(request, config=conf.get_config())
    response.set_cookie(
        _cookie(secure=secure),
        waiting.binder,
        max_age=LIFESPAN,
        secure=secure,
        httponly=True,
        samesite="Lax",
    )


def load(request: HttpRequest, *steps: StepKind) -> PendingStep:
    """Return what waits for this browser in one of these steps, or raise ``PendingMissing``."""
    sealed = request.session.get(SESSION_KEY)
    binder = _browser_secret(request)
    if not isinstance(sealed, str) or not binder:
        raise PendingMissing("nothing waits in this session, or its cookie is missing or came twice")
    try:
        opened = runtime.keyring().open(sealed, kind="pending", context=(_digest(binder),))
        pending = _from_dict(json.loads(opened))
    except (SealBroken, KeyError, TypeError, ValueError):  # The latter: sealed by another release.
        raise PendingMissing("what waits in this session does not belong to this browser's cookie") from None
    if not pending.created_at <= time.time() < pending.created_at + LIFESPAN:
        raise PendingMissing("what waited is past its time")
    if pending.step not in steps:
        raise PendingMissing(f"what waits is the step {pending.step}")
    return pending


def form_token(request: HttpRequest) -> str:
    """Name what waits, for the form that finishes it: in another tab something else may wait by then."""
    return _digest(f"form:{_browser_secret(request)}")[:32]


def clear(request: HttpRequest) -> None:
    """Forget what waits: it was used, or must not be."""
    request.session.pop(SESSION_KEY, None)


def _cookie(*, secure: bool) -> str:
    return f"{cookies.prefix(secure=secure)}{_COOKIE}"


def _browser_secret(request: HttpRequest) -> str:
    secure = return_urls.has_secure_cookies(request, config=conf.get_config())
    values = cookies.values_of(request.META.get("HTTP_COOKIE", ""), _cookie(secure=secure))
    return values[0] if len(values) == 1 else ""


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def _as_dict(pending: PendingStep) -> dict[str, object]:
    claims, mapped = pending.claims, pending.mapped
    user = mapped.user
    return {
        "step": pending.step.value,
        "provider": pending.provider,
        "claims": {
            "tid": claims.tid,
            "sub": claims.sub,
            "oid": claims.oid,
            "payload": dict(claims.payload),
        },
        "subject": pending.subject,
        "mapped": {
            "traits": mapped.traits,
            "metadata_public": mapped.metadata_public,
            "metadata_admin": mapped.metadata_admin,
            "verified_addresses": [asdict(address) for address in mapped.verified_addresses],
            "user": user and {"fields": dict(user.fields), "groups": user.groups},
            "replaced_traits": mapped.replaced_traits,
            "self_asserted": mapped.self_asserted,
        },
        "return_to": pending.return_to,
        "owners": pending.owners,
    }


def _from_dict(told: Any) -> PendingStep:  # Any: what we sealed ourselves; another release's raises.
    mapped, user = told["mapped"], told["mapped"]["user"]
    addresses = tuple(Address(**address) for address in mapped["verified_addresses"])
    fields = user and MappedUser(
        fields=user["fields"], groups=None if user["groups"] is None else tuple(user["groups"])
    )
    rest = {
        "verified_addresses": addresses,
        "user": fields,
        "self_asserted": tuple(mapped["self_asserted"]),
    }
    return PendingStep(
        step=StepKind(told["step"]),
        provider=told["provider"],
        claims=Claims(**told["claims"]),
        subject=told["subject"],
        mapped=MappingResult(**mapped | rest),
        return_to=told["return_to"],
        owners=tuple(told["owners"]),
        created_at=told["created_at"],
    )

"""The request that was sent to Microsoft and is not answered yet: kept in an encrypted cookie per state.

Nothing is stored on the server for visitors who never come back, two tabs do not disturb each other, and any
node can handle the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import TypeVar

from django_ms_identity.crypto import Keyring, SealBroken
from django_ms_identity.exceptions import CallbackInvalid, FlowExpired, FlowInvalid, FlowMissing
from django_ms_identity.sign_in_context import Intent

from . import cookies as raw_cookies

MAX_COOKIE = 800
"""Bytes of one flow cookie, name and value."""
MAX_COOKIES = 4096
"""Bytes of all flow cookies of one browser."""
MAX_ANSWER = 4096
"""Bytes of the cookie with the answer of a form_post: browsers take no more."""
ANSWER_SECONDS = 60
"""How long the answer of a form_post waits for the GET that picks it up."""

_FLOW = "ms_identity_flow_"
_ANSWER = "ms_identity_answer_"
_STATE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A sign-in that was started and not finished."""

    provider: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str
    return_to: str
    expires_at: int
    """Seconds since the epoch."""
    intent: Intent = Intent.LOGIN
    user: str = ""
    """The key of the user who started it, as text; for every intent but login."""
    binding: str = field(default="", repr=False)
    """A random value that the starter's session holds too; for every intent but login."""
    started_at: int = 0
    """Seconds since the epoch; for every intent but login."""

    def __post_init__(self) -> None:
        # What was sealed comes back as text.
        object.__setattr__(self, "intent", Intent(self.intent))
        if self.intent is not Intent.LOGIN and not (self.user and self.binding):
            raise ValueError(f"a flow to {self.intent} belongs to somebody")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """What Microsoft sent back to the callback: a code or an error."""

    code: str = field(default="", repr=False)
    error: str = ""
    description: str = field(default="", repr=False)
    expires_at: int = 0
    """Seconds since the epoch; for the one that waits in a cookie."""


_Shape = TypeVar("_Shape", AuthorizationRequest, AuthorizationResponse)


def request_cookie(state: str, *, secure: bool) -> str:
    """Name the cookie of the flow that ``state`` belongs to."""
    return _name(_FLOW, state, secure=secure)


def response_cookie(state: str, *, secure: bool) -> str:
    """Name the cookie that carries a form_post's answer to the GET callback."""
    return _name(_ANSWER, state, secure=secure)


def seal_request(request: AuthorizationRequest, keyring: Keyring, *, secure: bool) -> str:
    """Encrypt a request for its cookie; without its return_to where that would not fit."""
    name = request_cookie(request.state, secure=secure)
    for return_to in (request.return_to, ""):
        plain = _as_dict(request) | {"return_to": return_to}
        value = keyring.seal_json(plain, kind="flow", context=(name, request.provider))
        if len(name) + len(value) < MAX_COOKIE:
            break
    return value


def load_request(
    cookies: str, *, state: str, provider: str, secure: bool, keyring: Keyring, now: float
) -> AuthorizationRequest:
    """Return the flow of ``state`` from a raw Cookie header, or refuse it.

    Raises ``CallbackInvalid`` for a state that we could not have made, ``FlowMissing`` without a cookie,
    ``FlowInvalid`` for one that is duplicated or not ours for this provider, ``FlowExpired``.
    """
    if not is_state(state):
        raise CallbackInvalid("state is missing or malformed")
    name = request_cookie(state, secure=secure)
    value = _only(cookies, name)
    if value is None:
        raise FlowMissing(
            "no flow cookie for this state",
            hint="The visitor's browser blocks cookies, the sign-in took longer than FLOW_LIFESPAN, or it "
            "started on another host name than it ended on.",
        )
    flow = _unseal(AuthorizationRequest, keyring, value, kind="flow", name=name, provider=provider)
    if flow.expires_at < now:
        raise FlowExpired("the flow cookie is past its time")
    return flow


def seal_response(
    answer: AuthorizationResponse, keyring: Keyring, *, state: str, provider: str, secure: bool
) -> str:
    """Encrypt the answer of a form_post for its cookie; with less of the description if need be."""
    name = response_cookie(state, secure=secure)
    for description in (answer.description, answer.description[:256]):
        plain = _as_dict(answer) | {"description": description}
        value = keyring.seal_json(plain, kind="answer", context=(name, provider))
        if len(name) + len(value) < MAX_ANSWER:
            break
    return value


def load_response(
    cookies: str, *, state: str, provider: str, secure: bool, keyring: Keyring, now: float
) -> AuthorizationResponse:
    """Return the answer that a form_post left, or raise as ``recall`` does."""
    name = response_cookie(state, secure=secure)
    value = _only(cookies, name)
    if value is None:
        raise FlowMissing("no answer cookie for this state")
    answer = _unseal(AuthorizationResponse, keyring, value, kind="answer", name=name, provider=provider)
    if answer.expires_at < now:
        raise FlowExpired("the answer cookie is past its time")
    return answer


def cookies_to_evict(cookies: str, *, room_for: int, secure: bool) -> list[str]:
    """Name the flow cookies to drop, oldest first, so that ``room_for`` more bytes fit.

    Browsers send cookies of one path in the order of their creation (RFC 6265 section 5.4).
    """
    prefix = raw_cookies.prefix(secure=secure) + _FLOW
    sizes = [
        (name, len(name) + len(value))
        for name, value in raw_cookies.pairs(cookies)
        if name.startswith(prefix)
    ]
    excess = sum(size for _, size in sizes) + room_for - MAX_COOKIES
    dropped = []
    for name, size in sizes:
        if excess <= 0:
            break
        dropped.append(name)
        excess -= size
    return dropped


def is_state(text: str) -> bool:
    """Say whether a state could be one of ours."""
    return _STATE.fullmatch(text) is not None


def digest(state: str) -> str:
    """Name a state without revealing it."""
    return sha256(state.encode()).hexdigest()[:32]


def _name(kind: str, state: str, *, secure: bool) -> str:
    return f"{raw_cookies.prefix(secure=secure)}{kind}{digest(state)[:16]}"


def _only(cookies: str, name: str) -> str | None:
    values = raw_cookies.values_of(cookies, name)
    if len(values) > 1:
        raise FlowInvalid("the flow cookie came twice")
    return values[0] if values else None


def _as_dict(value: AuthorizationRequest | AuthorizationResponse) -> dict[str, str | int]:
    # Without what is as always: a cookie is small.
    named: Mapping[str, str | int] = {each.name: getattr(value, each.name) for each in fields(value)}
    return {each.name: named[each.name] for each in fields(value) if named[each.name] != each.default}


def _unseal(
    shape: type[_Shape], keyring: Keyring, value: str, *, kind: str, name: str, provider: str
) -> _Shape:
    # The flow of another provider has another context, so it cannot be finished here (mix-up).
    try:
        return shape(**keyring.open_json(value, kind=kind, context=(name, provider)))
    except (SealBroken, TypeError, ValueError):  # Sealed by a release with other fields or intents.
        raise FlowInvalid(
            "the flow cookie cannot be opened",
            hint="It belongs to another provider, SECRET_KEY changed without SECRET_KEY_FALLBACKS, or "
            "somebody tampered with it.",
        ) from None

"""The unfinished sign-in: text in, text out. Cookies are read from the raw header; see DESIGN 5.1."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import TypeVar

from .crypto import Keyring, SealBroken
from .exceptions import CallbackInvalid, FlowExpired, FlowInvalid, FlowMissing

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
class Flow:
    """A sign-in that was started and not finished."""

    provider: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str
    return_to: str
    expires_at: int
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Microsoft sent back to the callback: a code or an error."""

    code: str = field(default="", repr=False)
    error: str = ""
    description: str = field(default="", repr=False)
    expires_at: int = 0
    """Seconds since the epoch; for the one that waits in a cookie."""


_Shape = TypeVar("_Shape", Flow, Answer)


def flow_cookie(state: str, *, secure: bool) -> str:
    """Name the cookie of the flow that ``state`` belongs to."""
    return _name(_FLOW, state, secure=secure)


def answer_cookie(state: str, *, secure: bool) -> str:
    """Name the cookie that carries a form_post's answer to the GET callback."""
    return _name(_ANSWER, state, secure=secure)


def seal(flow: Flow, keyring: Keyring, *, secure: bool) -> str:
    """Encrypt ``flow`` for its cookie; without its return_to where that would not fit."""
    name = flow_cookie(flow.state, secure=secure)
    for return_to in (flow.return_to, ""):
        plain = json.dumps(asdict(flow) | {"return_to": return_to}, separators=(",", ":")).encode()
        value = keyring.seal(plain, kind="flow", context=(name, flow.provider))
        if len(name) + len(value) < MAX_COOKIE:
            break
    return value


def recall(cookies: str, *, state: str, provider: str, secure: bool, keyring: Keyring, now: float) -> Flow:
    """Return the flow of ``state`` from a raw Cookie header, or refuse it.

    Raises ``CallbackInvalid`` for a state that we could not have made, ``FlowMissing`` without a cookie,
    ``FlowInvalid`` for one that is duplicated or not ours for this provider, ``FlowExpired``.
    """
    if not is_state(state):
        raise CallbackInvalid("state is missing or malformed")
    name = flow_cookie(state, secure=secure)
    value = _only(cookies, name)
    if value is None:
        raise FlowMissing(
            "no flow cookie for this state",
            hint="The visitor's browser blocks cookies, the sign-in took longer than FLOW_LIFESPAN, or it "
            "started on another host name than it ended on.",
        )
    flow = _unseal(Flow, keyring, value, kind="flow", name=name, provider=provider)
    if flow.expires_at < now:
        raise FlowExpired("the flow cookie is past its time")
    return flow


def seal_answer(answer: Answer, keyring: Keyring, *, state: str, provider: str, secure: bool) -> str:
    """Encrypt the answer of a form_post for its cookie; with less of the description if need be."""
    name = answer_cookie(state, secure=secure)
    for description in (answer.description, answer.description[:256]):
        plain = json.dumps(asdict(answer) | {"description": description}).encode()
        value = keyring.seal(plain, kind="answer", context=(name, provider))
        if len(name) + len(value) < MAX_ANSWER:
            break
    return value


def recall_answer(
    cookies: str, *, state: str, provider: str, secure: bool, keyring: Keyring, now: float
) -> Answer:
    """Return the answer that a form_post left, or raise as ``recall`` does."""
    name = answer_cookie(state, secure=secure)
    value = _only(cookies, name)
    if value is None:
        raise FlowMissing("no answer cookie for this state")
    answer = _unseal(Answer, keyring, value, kind="answer", name=name, provider=provider)
    if answer.expires_at < now:
        raise FlowExpired("the answer cookie is past its time")
    return answer


def crowded_out(cookies: str, *, room_for: int, secure: bool) -> list[str]:
    """Name the flow cookies to drop, oldest first, so that ``room_for`` more bytes fit.

    Browsers send cookies of one path in the order of their creation (RFC 6265 section 5.4).
    """
    prefix = _prefix(secure) + _FLOW
    sizes = [(name, len(name) + len(value)) for name, value in _pairs(cookies) if name.startswith(prefix)]
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
    return f"{_prefix(secure)}{kind}{digest(state)[:16]}"


def _prefix(secure: bool) -> str:
    # Only this host, over https, can set a cookie of this prefix (RFC 6265bis section 4.1.3.2).
    return "__Host-" if secure else ""


def _only(cookies: str, name: str) -> str | None:
    values = [value for key, value in _pairs(cookies) if key == name]
    if len(values) > 1:
        # A sibling domain can toss a second cookie of the same name; neither is believed.
        raise FlowInvalid("the flow cookie came twice")
    return values[0] if values else None


def _pairs(cookies: str) -> Iterator[tuple[str, str]]:
    # Django's parser strips Unicode space from names, which turns look-alikes into the real name.
    for part in cookies.split(";"):
        name, equals, value = part.strip(" \t").partition("=")
        if equals:
            yield name, value


def _unseal(
    shape: type[_Shape], keyring: Keyring, value: str, *, kind: str, name: str, provider: str
) -> _Shape:
    # The flow of another provider has another context, so it cannot be finished here (mix-up).
    try:
        return shape(**json.loads(keyring.open(value, kind=kind, context=(name, provider))))
    except (SealBroken, TypeError):  # TypeError: sealed by a release with other fields.
        raise FlowInvalid(
            "the flow cookie cannot be opened",
            hint="It belongs to another provider, SECRET_KEY changed without SECRET_KEY_FALLBACKS, or "
            "somebody tampered with it.",
        ) from None

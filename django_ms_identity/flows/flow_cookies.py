"""A sign-in under way: what was asked of Microsoft and what came back, in encrypted cookies of its state.

Nothing is stored on the server for visitors who never come back, two tabs do not disturb each other, and any
node can handle the answer. Cookies are read from the raw header by exact bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from typing import TypeVar

from django.http import QueryDict

from django_ms_identity.crypto import Keyring, SealBroken
from django_ms_identity.exceptions import CallbackInvalid, FlowExpired, FlowInvalid, FlowMissing
from django_ms_identity.sign_in_context import Intent

from . import cookie_header

MAX_CODE = 2800
"""Characters of a code that fit into a cookie (4,096 bytes) once sealed; Microsoft's have about 1,200."""
PARAMETERS = ("state", "code", "error", "error_description")
"""What Microsoft sends, each at most once (RFC 6749 section 3.1)."""
MAX_COOKIE = 800
"""Bytes of one request's cookie, name and value."""
MAX_COOKIES = 4096
"""Bytes of all requests' cookies of one browser."""
MAX_RESPONSE = 4096
"""Bytes of the cookie with the answer of a form_post: browsers take no more."""

_REQUEST = "ms_identity_flow_"
_RESPONSE = "ms_identity_answer_"
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
            raise ValueError(f"a flow to {self.intent} belongs to a user and a session")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """What Microsoft sent back to the callback: a code or an error."""

    code: str = field(default="", repr=False)
    error: str = ""
    description: str = field(default="", repr=False)
    expires_at: int = 0
    """Seconds since the epoch; for the one that waits in a cookie."""

    @classmethod
    def parse(cls, query: QueryDict) -> AuthorizationResponse:
        """Read the code or the error, or raise ``CallbackInvalid``."""
        code, error = query.get("code", ""), query.get("error", "")
        if code and error:
            raise CallbackInvalid("code and error came together")
        # RFC 6749 appendix A.11; also what the cookie's size counts on.
        if len(code) > MAX_CODE or not (code.isascii() and code.isprintable()):
            raise CallbackInvalid("the code is too long or holds characters that no code has")
        return cls(code=code, error=error[:64], description=query.get("error_description", "")[:1024])


_Shape = TypeVar("_Shape", AuthorizationRequest, AuthorizationResponse)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCookies:
    """The cookies of one sign-in under way, named by its state and sealed for its provider.

    Raises ``CallbackInvalid`` for a state that this app cannot have made.
    """

    state: str = field(repr=False)
    provider: str
    """Its id. Another provider's cookie cannot be opened, so no flow ends where it did not start (mix-up)."""
    secure: bool
    """Whether they are for https only, and so bound to this host."""
    keyring: Keyring = field(repr=False)

    def __post_init__(self) -> None:
        if not _STATE.fullmatch(self.state):
            raise CallbackInvalid("state is missing or malformed")

    @property
    def digest(self) -> str:
        """A name of the state that does not reveal it."""
        return sha256(self.state.encode()).hexdigest()[:32]

    @property
    def request_name(self) -> str:
        return f"{cookie_header.PREFIX[self.secure]}{_REQUEST}{self.digest[:16]}"

    @property
    def response_name(self) -> str:
        return f"{cookie_header.PREFIX[self.secure]}{_RESPONSE}{self.digest[:16]}"

    def seal_request(self, request: AuthorizationRequest) -> str:
        """Return the value of the request's cookie; without its return_to where that would not fit."""
        for return_to in (request.return_to, ""):
            value = self._seal(replace(request, return_to=return_to), self.request_name, "flow")
            if len(self.request_name) + len(value) < MAX_COOKIE:
                break
        return value

    def load_request(self, header: str, *, now: float) -> AuthorizationRequest:
        """Return the request from a raw Cookie header.

        ``now`` is in seconds since the epoch. Raises ``FlowMissing`` without a cookie, ``FlowInvalid`` for
        one that is duplicated or cannot be opened, ``FlowExpired``.
        """
        return self._load(AuthorizationRequest, header, self.request_name, "flow", now)

    def seal_response(self, response: AuthorizationResponse) -> str:
        """Return the value of the cookie for a form_post's answer; with less description if need be."""
        for description in (response.description, response.description[:256]):
            value = self._seal(replace(response, description=description), self.response_name, "answer")
            if len(self.response_name) + len(value) < MAX_RESPONSE:
                break
        return value

    def load_response(self, header: str, *, now: float) -> AuthorizationResponse:
        """Return the answer that a form_post left, or raise as ``load_request`` does."""
        return self._load(AuthorizationResponse, header, self.response_name, "answer", now)

    def names_to_evict(self, header: str, *, room_for: int) -> list[str]:
        """Name the requests' cookies to delete, oldest first, so that ``room_for`` more bytes fit.

        Browsers send cookies of one path in the order of their creation (RFC 6265 section 5.4).
        """
        prefix = f"{cookie_header.PREFIX[self.secure]}{_REQUEST}"
        sizes = [
            (name, len(name) + len(value))
            for name, value in cookie_header.pairs(header)
            if name.startswith(prefix)
        ]
        excess = sum(size for _, size in sizes) + room_for - MAX_COOKIES
        evicted = []
        for name, size in sizes:
            if excess <= 0:
                break
            evicted.append(name)
            excess -= size
        return evicted

    def _seal(self, value: AuthorizationRequest | AuthorizationResponse, name: str, kind: str) -> str:
        # Without what has its default: a cookie is small.
        plain = {
            each.name: given for each in fields(value) if (given := getattr(value, each.name)) != each.default
        }
        return self.keyring.seal_json(plain, kind=kind, context=(name, self.provider))

    def _load(self, shape: type[_Shape], header: str, name: str, kind: str, now: float) -> _Shape:
        values = cookie_header.values_of(header, name)
        if not values:
            raise FlowMissing(
                f"no {kind} cookie for this state",
                hint="The visitor's browser blocks cookies, the sign-in took longer than FLOW_LIFESPAN, or "
                "it started on another host name than it ended on.",
            )
        if len(values) > 1:
            raise FlowInvalid(f"the {kind} cookie came twice")
        try:
            loaded = shape(**self.keyring.open_json(values[0], kind=kind, context=(name, self.provider)))
        except (SealBroken, TypeError, ValueError):  # Sealed by a release with other fields or intents.
            raise FlowInvalid(
                f"the {kind} cookie cannot be opened",
                hint="It belongs to another provider, SECRET_KEY changed without SECRET_KEY_FALLBACKS, or "
                "it was tampered with.",
            ) from None
        if loaded.expires_at < now:
            raise FlowExpired(f"the {kind} cookie has expired")
        return loaded

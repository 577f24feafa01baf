"""What the emulator remembers: the codes and access tokens that it handed out. In memory, bounded."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from .errors import CODE_EXPIRED, CODE_INVALID, CODE_REDEEMED, Refused
from .personas import Persona
from .tenants import CONSUMERS, Authority, Tenant

CODE_LIFETIME = 10 * 60
TOKEN_LIFETIME = 60 * 60
LIMIT = 1000
"""Of each kind; the oldest is dropped for the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What somebody agreed to at the authorize endpoint."""

    client_id: str
    redirect_uri: str
    scope: tuple[str, ...]
    nonce: str
    challenge: str
    authority: Authority
    persona: Persona
    tenant: Tenant
    """The tenant signed in to: for a guest not the home tenant."""
    auth_time: int
    """When the person signed in, in seconds since the epoch."""
    auth_contexts: tuple[str, ...]
    """Those that were asked for and met."""
    sid: str = field(repr=False)
    """Microsoft's own session: whoever knows it can end it."""

    @property
    def guest(self) -> bool:
        return self.persona.is_guest_of(self.tenant)

    @property
    def oid(self) -> str:
        return self.persona.oid_as(guest=self.guest)

    @property
    def graph_id(self) -> str:
        """``id`` at Graph: the object id, but only the digits that matter for a personal account."""
        return self.oid.replace("-", "")[16:] if self.tenant == CONSUMERS else self.oid


@dataclass(slots=True)
class _Code:
    authorization: Authorization
    expires_at: float
    redeemed: bool = False


@dataclass(slots=True)
class Grants:
    """Codes and tokens of one emulator; safe to share between threads."""

    _codes: dict[str, _Code] = field(default_factory=dict, repr=False)
    _tokens: dict[str, tuple[Authorization, float]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def issue_code(self, authorization: Authorization, now: float) -> str:
        code = f"1.{secrets.token_urlsafe(96)}"
        with self._lock:
            self._codes[code] = _Code(authorization, now + CODE_LIFETIME)
            _drop_oldest(self._codes)
        return code

    def redeem_code(self, code: str, now: float) -> Authorization:
        """Take a code, once; whatever the caller finds wrong afterwards, it is used up."""
        with self._lock:
            entry = self._codes.get(code)
            if entry is None:
                raise Refused(CODE_INVALID)
            if entry.redeemed:
                raise Refused(CODE_REDEEMED)
            entry.redeemed = True
        if now >= entry.expires_at:
            raise Refused(CODE_EXPIRED)
        return entry.authorization

    def issue_token(self, authorization: Authorization, now: float) -> str:
        token = f"EwB.{secrets.token_urlsafe(96)}"
        with self._lock:
            self._tokens[token] = (authorization, now + TOKEN_LIFETIME)
            _drop_oldest(self._tokens)
        return token

    def authorization_for(self, token: str, now: float) -> Authorization | None:
        """Return what an access token stands for; nothing if it is unknown, forgotten or expired."""
        with self._lock:
            authorization, expires_at = self._tokens.get(token, (None, 0.0))
        return authorization if now < expires_at else None


def _drop_oldest(entries: dict[str, _Code] | dict[str, tuple[Authorization, float]]) -> None:
    while len(entries) > LIMIT:
        del entries[next(iter(entries))]

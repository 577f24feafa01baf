"""The codes and access tokens that the emulator issued. In memory, bounded."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from .errors import Refused
from .personas import Persona
from .tenants import CONSUMERS, Authority, Tenant

CODE_LIFETIME = 10 * 60
TOKEN_LIFETIME = 60 * 60
LIMIT = 1000
"""Of codes, and of tokens; the oldest is dropped for the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What a persona agreed to at the authorize endpoint."""

    client_id: str
    redirect_uri: str
    scope: tuple[str, ...]
    nonce: str
    challenge: str
    authority: Authority
    persona: Persona
    home: Tenant
    tenant: Tenant
    """The tenant signed in to: for a guest not the home tenant."""
    auth_time: int
    """When the person signed in, in seconds since the epoch."""
    auth_contexts: tuple[str, ...]
    """The authentication contexts that were asked for and met."""
    sid: str = field(repr=False)
    """The session at Microsoft. Secret, because knowing it is enough to end the session."""

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
class _Grant:
    authorization: Authorization
    expires_at: float
    redeemed: bool = False


@dataclass(slots=True)
class Grants:
    """Codes and tokens of one emulator; safe to share between threads."""

    _codes: dict[str, _Grant] = field(default_factory=dict, repr=False)
    _tokens: dict[str, _Grant] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def issue_code(self, authorization: Authorization, now: float) -> str:
        return self._issue(self._codes, "1.", _Grant(authorization, now + CODE_LIFETIME))

    def issue_token(self, authorization: Authorization, now: float) -> str:
        return self._issue(self._tokens, "EwB.", _Grant(authorization, now + TOKEN_LIFETIME))

    def redeem_code(self, code: str, now: float) -> Authorization:
        """Use up a code, even if the caller refuses the request afterwards.

        Raises ``Refused`` for a code that is unknown, used or expired.
        """
        with self._lock:
            grant = self._codes.get(code)
            if grant is None:
                raise Refused("invalid_grant", 70000, "The provided value for 'code' is not valid.")
            if grant.redeemed:
                text = "OAuth2 Authorization code was already redeemed, please retry with a new valid code."
                raise Refused("invalid_grant", 54005, text)
            grant.redeemed = True
        if now >= grant.expires_at:
            raise Refused("invalid_grant", 70008, "The provided authorization code has expired.")
        return grant.authorization

    def authorization_for(self, token: str, now: float) -> Authorization | None:
        """Return what an access token was issued for; ``None`` if it is unknown, dropped or expired."""
        grant = self._tokens.get(token)
        return grant.authorization if grant and now < grant.expires_at else None

    def _issue(self, grants: dict[str, _Grant], prefix: str, grant: _Grant) -> str:
        value = f"{prefix}{secrets.token_urlsafe(96)}"
        with self._lock:
            grants[value] = grant
            if len(grants) > LIMIT:
                del grants[next(iter(grants))]
        return value

"""What was asked of Microsoft, and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.http import QueryDict

from django_ms_identity.exceptions import CallbackInvalid
from django_ms_identity.sign_in_context import Intent

MAX_CODE = 2800
"""Characters of a code that fit into a cookie (4,096 bytes) once sealed; Microsoft's have about 1,200."""
PARAMETERS = ("state", "code", "error", "error_description")
"""What Microsoft sends, each at most once (RFC 6749 section 3.1)."""


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

"""The one value that a sign-in carries through the app."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from django.http import HttpRequest

from .conf import Config
from .entra.code_exchange import VerifiedLogin
from .entra.id_token import Claims
from .entra.providers import Provider


class Intent(StrEnum):
    """What a visitor was sent to Microsoft for."""

    LOGIN = "login"
    LINK = "link"
    """To connect a Microsoft account to the user who is signed in."""
    REAUTHENTICATE = "reauthenticate"
    """To authenticate once more."""
    STEP_UP = "step_up"
    """To authenticate with a second factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInContext:
    """A verified login with its request, configuration, return URL and intent.

    Made once at the callback, or restored from a pending step, and passed whole.
    """

    request: HttpRequest = field(repr=False)
    """An empty one in a dry run."""
    config: Config
    login: VerifiedLogin
    return_to: str = ""
    """As the visitor asked for it; checked again before it is used."""
    intent: Intent = Intent.LOGIN

    @property
    def provider(self) -> Provider:
        return self.login.provider

    @property
    def claims(self) -> Claims:
        return self.login.claims

    @property
    def subject(self) -> str:
        return self.login.subject

    @property
    def is_privileged(self) -> bool:
        """Whether the tenant may grant this person groups and staff status."""
        return self.provider.is_privileged(self.claims.tid, guest=self.claims.is_guest)

    @property
    def is_member(self) -> bool:
        """Whether this is a member of the single tenant that the provider is for.

        Any other tenant's administrators can write any address into it (nOAuth).
        """
        return self.provider.tenant.single and not self.claims.is_guest

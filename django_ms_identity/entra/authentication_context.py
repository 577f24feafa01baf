"""Request and recognise a second factor, and a fresh authentication.

The claim ``acrs`` is Microsoft's own: learn.microsoft.com, "Developer guide to Conditional Access
authentication context".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from django_ms_identity.exceptions import ReauthenticationFailed

from .id_token import Claims
from .providers import Provider

AUTH_TIME_LEEWAY = 10
"""Seconds by which this server's clock may be ahead of Microsoft's at a re-authentication."""


class AAL(StrEnum):
    """An authenticator assurance level, as Kratos names them (NIST SP 800-63B)."""

    ONE = "aal1"
    TWO = "aal2"


def aal_of(provider: Provider, claims: Claims) -> AAL:
    """Return the level that a sign-in reached, by what the provider counts as a second factor.

    Ory Kratos, selfservice/strategy/oidc/provider_config.go: AALForClaims.
    """
    acr = claims.payload.get("acr")
    # An empty acr never counts, even where the configuration lists it.
    reached = (
        (bool(acr) and acr in provider.aal2_acr_values)
        or not set(provider.aal2_amr_values).isdisjoint(claims.amr)
        or not set(provider.aal2_auth_contexts).isdisjoint(claims.acrs)
    )
    return AAL.TWO if reached else AAL.ONE


def refuse_stale(claims: Claims, *, started_at: float) -> None:
    """Raise ``ReauthenticationFailed`` unless the person authenticated after ``started_at`` (seconds).

    OpenID Connect Core 3.1.2.1: ``max_age``; a prompt alone proves nothing, since a visitor can remove it.
    """
    auth_time = claims.auth_time
    if auth_time is None:
        raise ReauthenticationFailed(
            "the ID token has no auth_time",
            hint="Add the optional claim auth_time to ID tokens: Entra, Token configuration.",
        )
    if auth_time < started_at - AUTH_TIME_LEEWAY:
        raise ReauthenticationFailed(
            f"auth_time is {started_at - auth_time:.0f} s older than the request for it",
            hint="Microsoft let an earlier sign-in count, or this server's clock is fast.",
        )


def second_factor_claims(provider: Provider) -> Mapping[str, object]:
    """Return the claims to request so that the ID token shows a second factor; empty if none would count.

    OpenID Connect Core 5.5.1.
    """
    wanted = {
        "acrs": provider.aal2_auth_contexts,
        "acr": tuple(value for value in provider.aal2_acr_values if value),
        "amr": provider.aal2_amr_values,
    }
    return {name: _essential(values) for name, values in wanted.items() if values}


AUTH_TIME_CLAIMS: Mapping[str, object] = {"auth_time": {"essential": True}}
"""The claims to request so that the ID token shows when the person authenticated."""


def _essential(values: tuple[str, ...]) -> dict[str, object]:
    # Microsoft's pages show `value` for one; `values` is the standard's form for several.
    wanted: dict[str, object] = {"value": values[0]} if len(values) == 1 else {"values": list(values)}
    return {"essential": True} | wanted

"""Send a signed-in person to authenticate once more, or with a second factor."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import assert_never

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse

from django_ms_identity import sessions
from django_ms_identity.conf import Config
from django_ms_identity.entra.authentication_context import second_factor_claims
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import ReauthenticationFailed, StepUpFailed
from django_ms_identity.flows import return_urls
from django_ms_identity.identities.linking.matching import identity_of
from django_ms_identity.sign_in_context import Intent

from . import responses
from .base import public_page, refuse_embedded
from .start import to_microsoft

_SENT_AT = "_ms_identity_sent_at"
_AT_ONCE = 10
"""Seconds. Signing in by hand takes longer, so an earlier return was an automatic redirect."""


class Need(StrEnum):
    """What a page asks for beyond a session."""

    RECENT = "recent"
    AAL2 = "aal2"


@public_page("GET", "HEAD")
def step_up(request: HttpRequest, config: Config) -> HttpResponse:
    """Send the person to Microsoft for what ``need`` names, and then to ``next``.

    This is where the decorators send people. Anonymous visitors go to LOGIN_URL.
    """
    refuse_embedded(request)
    if request.GET.get("need") not in set(Need):
        raise Http404
    need = Need(request.GET["need"])
    return_to = return_urls.safe_return_to(request, request.GET.get("next", ""), config=config)
    user = sessions.user_of(request)
    if user is None:
        return redirect_to_login(return_to or return_urls.default_return_to())
    # The page that redirected here has checked how recent the sign-in is.
    if need is Need.AAL2 and sessions.has_second_factor(request):
        return responses.redirect_to_next(request, config, return_to)
    return send_to_authenticate(request, need=need, user=user, config=config, return_to=return_to)


def send_to_authenticate(
    request: HttpRequest, *, need: Need, user: AbstractBaseUser, config: Config, return_to: str
) -> HttpResponse:
    """Redirect to where the person can prove what is needed: to Microsoft if an account is connected.

    Raises ``StepUpFailed`` where no connected account can show a second factor.
    """
    provider = next(iter(_usable_providers(request, need, user, config)), None)
    match need:
        case Need.AAL2:
            if provider is None:
                raise StepUpFailed(
                    "no connected account can show a second factor",
                    hint='Set "aal2_auth_contexts" in the provider, and connect the Microsoft account.',
                )
            intent = Intent.STEP_UP
        case Need.RECENT:
            if provider is None:
                return _to_login(request, return_to)
            intent = Intent.REAUTHENTICATE
        case _:
            assert_never(need)
    return to_microsoft(request, provider, config=config, return_to=return_to, intent=intent, starter=user)


def _usable_providers(
    request: HttpRequest, need: Need, user: AbstractBaseUser, config: Config
) -> list[Provider]:
    identity = identity_of(user)
    used = request.session.get(sessions.PROVIDER)
    connected = set(identity.credentials.values_list("provider", flat=True)) if identity else set()
    providers = [
        provider
        for provider in config.providers
        if provider.id in connected and (need is Need.RECENT or second_factor_claims(provider))
    ]
    return sorted(providers, key=lambda provider: provider.id != used)


def _to_login(request: HttpRequest, return_to: str) -> HttpResponse:
    sent_at = request.session.get(_SENT_AT)
    if isinstance(sent_at, float) and 0 <= time.time() - sent_at < _AT_ONCE:
        del request.session[_SENT_AT]
        raise ReauthenticationFailed(
            "the page at LOGIN_URL sends people back who are signed in",
            hint="Leave redirect_authenticated_user of LoginView off, or let it ask for the password again.",
        )
    request.session[_SENT_AT] = time.time()
    return redirect_to_login(return_to or return_urls.default_return_to())

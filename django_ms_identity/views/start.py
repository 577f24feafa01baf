"""The start of a sign-in: the redirect to Microsoft."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from http.cookies import CookieError
from typing import assert_never
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from django_ms_identity import runtime, sessions
from django_ms_identity.conf import Config
from django_ms_identity.entra.authentication_context import AUTH_TIME_CLAIMS, second_factor_claims
from django_ms_identity.entra.authorization_url import PROMPTS, authorize
from django_ms_identity.entra.providers import Provider, ResponseMode
from django_ms_identity.flows import return_urls
from django_ms_identity.flows.flow_cookies import AuthorizationRequest, FlowCookies
from django_ms_identity.sign_in_context import Intent

from .base import public_page, refuse_embedded, refuse_unreadable

_HOPPED = "ms_identity_hop"


@public_page("GET", "POST")
def start(request: HttpRequest, config: Config, provider: str) -> HttpResponse:
    """Send the visitor to Microsoft with a new flow in a cookie of its own.

    ``next`` is where to go afterwards, ``prompt`` one of a few values. A visitor who is already signed in
    goes straight to ``next``, unless ``prompt`` asks for another account.
    """
    chosen = config.provider(provider)
    refuse_embedded(request)
    refuse_unreadable(request)
    asked = request.POST if request.method == "POST" else request.GET
    return_to = return_urls.safe_return_to(request, asked.get("next", ""), config=config)
    prompt = asked.get("prompt", "") if asked.get("prompt", "") in PROMPTS else ""
    if request.user.is_authenticated and not prompt:
        return HttpResponseRedirect(return_to or return_urls.default_return_to())
    if _is_elsewhere(request, config):
        return _hop(config, provider, next_url=asked.get("next", ""), prompt=prompt)
    return to_microsoft(request, chosen, config=config, return_to=return_to, prompt=prompt)


def to_microsoft(
    request: HttpRequest,
    provider: Provider,
    *,
    config: Config,
    return_to: str,
    prompt: str = "",
    intent: Intent = Intent.LOGIN,
    starter: AbstractBaseUser | None = None,
) -> HttpResponse:
    """Redirect to Microsoft with a new flow; any intent but login is bound to the session of its starter."""
    redirect_uri = return_urls.redirect_uri(provider.id, config=config, request=request)
    secure = return_urls.is_secure(redirect_uri)
    now = int(time.time())
    begun = authorize(
        provider,
        redirect_uri=redirect_uri,
        prompt=prompt,
        emulator_url=config.emulator_url,
        max_age=0 if intent is Intent.REAUTHENTICATE else None,
        id_token_claims=_asked_claims(
            provider, intent, aal2=bool(starter) and sessions.has_second_factor(request)
        ),
    )
    started = AuthorizationRequest(
        provider=provider.id,
        state=begun.state,
        nonce=begun.nonce,
        verifier=begun.verifier,
        redirect_uri=redirect_uri,
        return_to=return_to,
        expires_at=int(now + config.flow_lifespan),
        intent=intent,
        user=sessions.user_key(starter) if starter else "",
        binding=sessions.binding(request) if starter else "",
        started_at=now if starter else 0,
    )
    cookies = FlowCookies(state=begun.state, provider=provider.id, secure=secure, keyring=runtime.keyring())
    name, value = cookies.request_name, cookies.seal_request(started)
    response = HttpResponseRedirect(begun.url)
    header = request.META.get("HTTP_COOKIE", "")
    for old in cookies.names_to_evict(header, room_for=len(name) + len(value)) if header else ():
        # A name that http.cookies refuses is not one of this app's.
        with suppress(CookieError):
            response.delete_cookie(old)
    response.set_cookie(
        name,
        value,
        max_age=int(config.flow_lifespan),
        secure=secure,
        httponly=True,
        # The answer of a form_post is a cross-site POST, which carries no Lax cookie.
        samesite="None" if provider.response_mode is ResponseMode.FORM_POST else "Lax",
    )
    return response


def _asked_claims(provider: Provider, intent: Intent, *, aal2: bool) -> Mapping[str, object]:
    match intent:
        case Intent.LOGIN | Intent.LINK:
            return {}
        case Intent.REAUTHENTICATE:
            # A session with a second factor must not lose it by showing the first once more.
            return {**AUTH_TIME_CLAIMS, **(second_factor_claims(provider) if aal2 else {})}
        case Intent.STEP_UP:
            return {**AUTH_TIME_CLAIMS, **second_factor_claims(provider)}
    assert_never(intent)


def _is_elsewhere(request: HttpRequest, config: Config) -> bool:
    if not config.base_redirect_uri or _HOPPED in request.GET:
        return False
    base = urlsplit(config.base_redirect_uri)
    return (request.scheme, request.get_host().lower()) != (base.scheme, base.netloc.lower())


def _hop(config: Config, provider: str, *, next_url: str, prompt: str) -> HttpResponse:
    # The flow cookie must be set on the host where the callback will arrive, and over https if it is Secure.
    # One hop only: a proxy that hides either from us would otherwise send the visitor round for ever.
    url = return_urls.start_url(provider, next_url=next_url, prompt=prompt)
    joint = "&" if "?" in url else "?"
    return HttpResponseRedirect(f"{config.base_redirect_uri}{url}{joint}{urlencode({_HOPPED: '1'})}")

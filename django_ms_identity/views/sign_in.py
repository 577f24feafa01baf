"""The page with the buttons, and the start of a sign-in."""

from __future__ import annotations

import time
from contextlib import suppress
from http.cookies import CookieError
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from django_ms_identity import conf, flow, links, wiring
from django_ms_identity.conf import Config
from django_ms_identity.entra import client
from django_ms_identity.entra.providers import Provider, ResponseMode
from django_ms_identity.exceptions import EmbeddedRefused

from .pages import public_page

_HOPPED = "ms_identity_hop"


@public_page("GET", "HEAD")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show a button per provider; usable as LOGIN_URL."""
    config = conf.get_config()
    next_url = links.safe_return_to(request, request.GET.get("next", ""), config=config)
    # Who is signed in and sent here lacks a right; only another account can help.
    prompt = "select_account" if request.user.is_authenticated else ""
    buttons = [
        {
            "id": provider.id,
            "label": provider.label,
            "url": links.start_url(provider.id, next_url=next_url, prompt=prompt),
        }
        for provider in config.providers
    ]
    hint = 'MS_IDENTITY["PROVIDERS"] is empty: run `manage.py check`.' if settings.DEBUG else ""
    context = {"providers": buttons, "next": next_url, "debug_hint": hint}
    return render(request, "ms_identity/sign_in.html", context)


@public_page("GET", "POST")
def start(request: HttpRequest, provider: str) -> HttpResponse:
    """Send the visitor to Microsoft with a new flow in a cookie of its own.

    ``next`` is where to go afterwards, ``prompt`` one of a few values. Who is signed in already goes
    straight to ``next`` unless a prompt asks for another account.
    """
    config = conf.get_config()
    chosen = config.provider(provider)
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        raise EmbeddedRefused("Sec-Fetch-Dest is not document")
    asked = request.POST if request.method == "POST" else request.GET
    return_to = links.safe_return_to(request, asked.get("next", ""), config=config)
    prompt = asked.get("prompt", "") if asked.get("prompt", "") in client.PROMPTS else ""
    if request.user.is_authenticated and not prompt:
        return HttpResponseRedirect(return_to or links.default_return_to())
    if _is_elsewhere(request, config):
        return _hop(config, provider, next_url=asked.get("next", ""), prompt=prompt)
    return _to_microsoft(request, chosen, config=config, return_to=return_to, prompt=prompt)


def _to_microsoft(
    request: HttpRequest, provider: Provider, *, config: Config, return_to: str, prompt: str
) -> HttpResponse:
    redirect_uri = links.redirect_uri(provider.id, config=config, request=request)
    secure = links.is_secure(redirect_uri)
    begun = client.begin(provider, redirect_uri=redirect_uri, prompt=prompt, emulator_url=config.emulator_url)
    started = flow.Flow(
        provider=provider.id,
        state=begun.state,
        nonce=begun.nonce,
        verifier=begun.verifier,
        redirect_uri=redirect_uri,
        return_to=return_to,
        expires_at=int(time.time() + config.flow_lifespan),
    )
    name = flow.flow_cookie(begun.state, secure=secure)
    value = flow.seal(started, wiring.keyring(), secure=secure)
    response = HttpResponseRedirect(begun.url)
    cookies = request.META.get("HTTP_COOKIE", "")
    for old in flow.crowded_out(cookies, room_for=len(name) + len(value), secure=secure):
        # A name that http.cookies refuses is not one of ours.
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


def _is_elsewhere(request: HttpRequest, config: Config) -> bool:
    if not config.base_redirect_uri or _HOPPED in request.GET:
        return False
    base = urlsplit(config.base_redirect_uri)
    return (request.scheme, request.get_host().lower()) != (base.scheme, base.netloc.lower())


def _hop(config: Config, provider: str, *, next_url: str, prompt: str) -> HttpResponse:
    # The flow cookie must be set on the host where the callback will arrive, and over https if it is Secure.
    # One hop only: a proxy that hides either from us would otherwise send the visitor round for ever.
    url = links.start_url(provider, next_url=next_url, prompt=prompt)
    joint = "&" if "?" in url else "?"
    return HttpResponseRedirect(f"{config.base_redirect_uri}{url}{joint}{urlencode({_HOPPED: '1'})}")

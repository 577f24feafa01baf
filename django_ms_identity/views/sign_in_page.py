"""The page with the buttons."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from django_ms_identity import conf
from django_ms_identity.flows import return_urls

from .base import public_page


@public_page("GET", "HEAD")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show a button per provider; usable as LOGIN_URL."""
    config = conf.get_config()
    next_url = return_urls.safe_return_to(request, request.GET.get("next", ""), config=config)
    # Who is signed in and sent here lacks a right; only another account can help.
    prompt = "select_account" if request.user.is_authenticated else ""
    buttons = [
        {
            "id": provider.id,
            "label": provider.label,
            "url": return_urls.start_url(provider.id, next_url=next_url, prompt=prompt),
        }
        for provider in config.providers
    ]
    hint = 'MS_IDENTITY["PROVIDERS"] is empty: run `manage.py check`.' if settings.DEBUG else ""
    context = {"providers": buttons, "next": next_url, "debug_hint": hint}
    return render(request, "ms_identity/sign_in.html", context)

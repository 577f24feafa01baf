"""The page with the buttons."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from django_ms_identity.conf import Config
from django_ms_identity.flows import return_urls

from .base import public_page


@public_page("GET", "HEAD")
def sign_in_page(request: HttpRequest, config: Config) -> HttpResponse:
    """Show a button per provider; usable as LOGIN_URL."""
    next_url = return_urls.safe_return_to(request, request.GET.get("next", ""), config=config)
    # A signed-in user who is sent here lacks a permission; only another account can help.
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

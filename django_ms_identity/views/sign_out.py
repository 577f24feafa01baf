"""The end of a session."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url

from .pages import public_page


@public_page("POST")
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the local session and go to LOGOUT_REDIRECT_URL."""
    logout(request)
    return HttpResponseRedirect(resolve_url(settings.LOGOUT_REDIRECT_URL or "/"))

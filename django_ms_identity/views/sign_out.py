"""The end of a session."""

from __future__ import annotations

from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url

from django_ms_identity import sessions
from django_ms_identity.conf import Config
from django_ms_identity.exceptions import ProviderUnknown
from django_ms_identity.flows import return_urls
from django_ms_identity.net.http import rewrite

from .base import public_page


@public_page("POST", csrf=True, despite_faults=True)
def sign_out(request: HttpRequest, config: Config) -> HttpResponse:
    """End the local session and go to LOGOUT_REDIRECT_URL; by way of Microsoft if the form has ``microsoft``.

    Microsoft then ends its own session, with those of every app that it opened (OpenID Connect RP-Initiated
    Logout 1.0), and sends back only whom a registered redirect URI covers.
    """
    provider, hint = request.session.get(sessions.PROVIDER), request.session.get(sessions.LOGOUT_HINT)
    # First: whatever happens at Microsoft, the session here has ended.
    logout(request)
    target = resolve_url(settings.LOGOUT_REDIRECT_URL or "/")
    if request.POST.get("microsoft") and isinstance(provider, str):
        target = _by_way_of_microsoft(request, config, provider, str(hint or ""), target) or target
    return HttpResponseRedirect(target)


def _by_way_of_microsoft(
    request: HttpRequest, config: Config, provider_id: str, hint: str, target: str
) -> str:
    try:
        provider = config.provider(provider_id)
    except ProviderUnknown:
        # Removed from the settings, or they are faulty: the local session has ended all the same.
        return ""
    query = {"post_logout_redirect_uri": return_urls.absolute(request, target, config=config)}
    if hint:
        query["logout_hint"] = hint
    url = f"{provider.end_session_url}?{urlencode(query)}"
    return rewrite(url, config.emulator_url)

"""The page of the Microsoft accounts that are connected to the signed-in user."""

from __future__ import annotations

import secrets
import time
from urllib.parse import urlencode

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from django_ms_identity import sessions
from django_ms_identity.conf import Config
from django_ms_identity.flows import return_urls
from django_ms_identity.identities.linking.confirmation import disconnect
from django_ms_identity.identities.linking.credentials import may_unlink
from django_ms_identity.identities.linking.matching import identity_of
from django_ms_identity.sign_in_context import Intent

from . import flash_messages
from .base import private_page
from .flash_messages import Message
from .start import to_microsoft
from .step_up import Need, send_to_authenticate

RESUME_SECONDS = 10 * 60
"""How long an action waits for the person to authenticate again."""
_RESUME = "_ms_identity_resume"


@private_page("GET", "HEAD")
def connections(request: HttpRequest, config: Config) -> HttpResponse:
    """Show what is connected, and resume an action that waited for the person to authenticate again."""
    user = _user(request)
    if (resumed := _resume(request, config, user)) is not None:
        return resumed
    identity = identity_of(user)
    labels = {provider.id: provider.label for provider in config.providers}
    connected = identity.credentials.with_last_use().order_by("created_at") if identity else ()
    rows = [
        {
            "id": credential.pk,
            "label": labels.get(credential.provider, credential.provider),
            "account": credential.account,
            "tenant": credential.tenant,
            "created_at": credential.created_at,
            "last_used_at": getattr(credential, "last_used_at", None),
            "usable": credential.provider in labels,
            "may_unlink": may_unlink(request, config, credential),
        }
        for credential in connected
    ]
    providers = [{"id": provider.id, "label": provider.label} for provider in config.providers]
    context = {
        "local_account": user.get_username(),
        "connections": rows,
        "providers": providers,
        "notice": flash_messages.take(request),
        "back_url": return_urls.default_return_to(),
    }
    return render(request, "ms_identity/connections.html", context)


@private_page("POST", csrf=True)
def link(request: HttpRequest, config: Config, provider: str) -> HttpResponse:
    """Send the person to Microsoft to connect another account."""
    user = _user(request)
    chosen = config.provider(provider)
    if not _is_recent(request, config):
        return _reauthenticate_first(request, config, user, "link", provider)
    return _link(request, config, user, chosen.id)


@private_page("POST", csrf=True)
def unlink(request: HttpRequest, config: Config, credential: int) -> HttpResponse:
    """Disconnect an account; the sessions that it opened end."""
    user = _user(request)
    if not _is_recent(request, config):
        return _reauthenticate_first(request, config, user, "unlink", credential)
    return _unlink(request, config, user, credential)


def _link(request: HttpRequest, config: Config, user: AbstractBaseUser, provider: str) -> HttpResponse:
    return to_microsoft(
        request,
        config.provider(provider),
        config=config,
        return_to=reverse("ms_identity:connections"),
        # Microsoft would silently take the account that is connected already.
        prompt="select_account",
        intent=Intent.LINK,
        starter=user,
    )


def _unlink(request: HttpRequest, config: Config, user: AbstractBaseUser, credential: int) -> HttpResponse:
    disconnect(request, config, user, credential)
    page = reverse("ms_identity:connections")
    if sessions.user_of(request) is None:
        # It was the account that had opened this session.
        return redirect_to_login(page)
    flash_messages.leave(request, Message.UNLINKED)
    return HttpResponseRedirect(page)


def _reauthenticate_first(
    request: HttpRequest, config: Config, user: AbstractBaseUser, action: str, target: str | int
) -> HttpResponse:
    # Posted with a CSRF token by this very person, so it needs no second click afterwards. Only the redirect
    # back knows the ticket: opening the page later resumes nothing.
    ticket = secrets.token_urlsafe(16)
    request.session[_RESUME] = [action, target, sessions.user_key(user), time.time(), ticket]
    page = f"{reverse('ms_identity:connections')}?{urlencode({'resume': ticket})}"
    return send_to_authenticate(request, need=Need.RECENT, user=user, config=config, return_to=page)


def _resume(request: HttpRequest, config: Config, user: AbstractBaseUser) -> HttpResponse | None:
    if request.method != "GET" or "resume" not in request.GET:
        return None
    match request.session.pop(_RESUME, None):
        case [str(action), str() | int() as target, str(owner), float(began), str(ticket)]:
            proved = sessions.signed_in_after(request, began) and _is_recent(request, config)
            expected = (sessions.user_key(user), request.GET["resume"])
            if proved and (owner, ticket) == expected and time.time() <= began + RESUME_SECONDS:
                return _act(request, config, user, action, target)
    return HttpResponseRedirect(reverse("ms_identity:connections"))


def _act(
    request: HttpRequest, config: Config, user: AbstractBaseUser, action: str, target: str | int
) -> HttpResponse:
    if action == "link":
        return _link(request, config, user, str(target))
    return _unlink(request, config, user, int(target))


def _is_recent(request: HttpRequest, config: Config) -> bool:
    return sessions.is_recent(request, seconds=config.privileged_session_max_age)


def _user(request: HttpRequest) -> AbstractBaseUser:
    user = sessions.user_of(request)
    assert user is not None  # noqa: S101  # private_page requires a user
    return user

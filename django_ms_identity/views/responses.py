"""Where visitors go after Microsoft has proved who they are, and what the pages of a step share."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import assert_never

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from django_ms_identity import runtime
from django_ms_identity.conf import Config
from django_ms_identity.entra.clouds import CONSUMER_TENANT
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.entra.id_token import check_tenant
from django_ms_identity.entra.jwks import configured_tenant
from django_ms_identity.exceptions import PendingMissing
from django_ms_identity.flows import pending_step, return_urls
from django_ms_identity.flows.pending_step import PendingStep, StepKind, StoredStep
from django_ms_identity.identities.sign_in import Arrived
from django_ms_identity.identities.user_fields import account_name, display_text
from django_ms_identity.models import Credential

from . import flash_messages
from .base import public_page
from .flash_messages import Notice


def step_page() -> Callable[[Callable[[HttpRequest], HttpResponse]], Callable[[HttpRequest], HttpResponse]]:
    """Make a page of a step that waits: GET to see it, POST with CSRF to go on."""

    def decorate(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
        return public_page("GET", "HEAD", "POST", csrf=True)(view)

    return decorate


def verified_login_of(step: PendingStep, *, config: Config) -> VerifiedLogin:
    """Return what Microsoft proved, if the settings still let such a person in.

    Raises ``ProviderUnknown`` or ``TenantNotAllowed``; a tenant given by its domain may have to be asked for.
    """
    provider = config.provider(step.provider)
    tenant = configured_tenant(provider, runtime.documents())
    check_tenant(step.claims.tid, provider=provider, tenant=tenant)
    return VerifiedLogin(provider=provider, claims=step.claims, subject=step.subject)


def check_form_token(request: HttpRequest) -> None:
    """Raise ``PendingMissing`` for the form of another step than the one that waits now."""
    if not hmac.compare_digest(
        request.POST.get("ticket", "").encode("utf-8", "replace"), pending_step.form_token(request).encode()
    ):
        raise PendingMissing("the form belongs to another step, from another tab perhaps")


def account_context(step: PendingStep, proof: VerifiedLogin) -> dict[str, object]:
    """Say whose Microsoft account it is, for the visitor to recognise."""
    claims = proof.claims
    return {
        "name": display_text(claims.text("name")),
        "account": account_name(claims),
        "tenant": claims.tid,
        "personal": claims.tid == CONSUMER_TENANT,
        "provider_label": proof.provider.label,
    }


def respond(
    request: HttpRequest, outcome: Arrived | StoredStep, *, provider: str, return_to: str, config: Config
) -> HttpResponse:
    """Answer a sign-in that arrived, or that waits for another step."""
    if isinstance(outcome, StoredStep):
        return redirect_to_step(request, outcome)
    if outcome is Arrived.REGISTERED:
        return registered(request, provider, return_to=return_to)
    return redirect_to_next(request, return_to, config=config)


def respond_to_link(
    request: HttpRequest, connected: Credential | StoredStep, return_to: str, *, config: Config
) -> HttpResponse:
    """Answer a link that was made, or that waits for another step."""
    if isinstance(connected, StoredStep):
        return redirect_to_step(request, connected)
    flash_messages.leave(request, Notice.LINKED)
    return redirect_to_next(request, return_to, config=config)


def redirect_to_step(request: HttpRequest, waiting: StoredStep) -> HttpResponse:
    """Redirect to the page of a step, and bind the browser to it."""
    match waiting.step:
        case StepKind.COMPLETE:
            page = "complete"
        case StepKind.CONFIRM_LINK:
            page = "confirm_link"
        case _:
            assert_never(waiting.step)
    response = HttpResponseRedirect(reverse(f"ms_identity:{page}"))
    pending_step.set_cookie(request, response, waiting)
    return response


def redirect_to_next(request: HttpRequest, return_to: str, *, config: Config) -> HttpResponse:
    """Redirect to where the visitor wanted to go."""
    # Checked when stored too, but the settings or the host may have changed since.
    target = return_urls.safe_return_to(request, return_to, config=config)
    return HttpResponseRedirect(target or return_urls.default_return_to())


def registered(request: HttpRequest, provider: str, *, return_to: str) -> HttpResponse:
    """Say that there is an account now and that its session is still to be opened."""
    # Whoever else is signed in here, the visitor has just proved to be another person.
    if request.user.is_authenticated:
        logout(request)
    url = return_urls.start_url(provider, next_url=return_to)
    return render(request, "ms_identity/registered.html", {"sign_in_url": url})

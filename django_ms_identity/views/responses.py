"""How a verified login is answered, and what the pages of a pending step share."""

from __future__ import annotations

import hmac
from typing import assert_never

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from django_ms_identity.conf import Config
from django_ms_identity.entra.clouds import CONSUMER_TENANT
from django_ms_identity.entra.id_token import display_text
from django_ms_identity.exceptions import PendingMissing
from django_ms_identity.flows import pending_step, return_urls
from django_ms_identity.flows.pending_step import StepKind, StoredStep
from django_ms_identity.identities.sign_in_result import ResultKind, SignInResult
from django_ms_identity.sign_in_context import SignInContext

from . import flash_messages
from .flash_messages import Message


def respond(context: SignInContext, result: SignInResult) -> HttpResponse:
    """Answer a verified login by how it ended."""
    match result.kind:
        case ResultKind.SIGNED_IN:
            return redirect_to_next(context.request, context.config, context.return_to)
        case ResultKind.LINKED:
            flash_messages.leave(context.request, Message.LINKED)
            return redirect_to_next(context.request, context.config, context.return_to)
        case ResultKind.REGISTERED:
            return _registered(context)
        case ResultKind.PENDING:
            assert result.pending is not None  # noqa: S101  # for the types: the kind says so
            return _redirect_to_step(context, result.pending)
    assert_never(result.kind)


def redirect_to_next(request: HttpRequest, config: Config, return_to: str) -> HttpResponse:
    """Redirect to where the visitor wanted to go."""
    # Checked when stored too, but the settings or the host may have changed since.
    target = return_urls.safe_return_to(request, return_to, config=config)
    return HttpResponseRedirect(target or return_urls.default_return_to())


def account_context(context: SignInContext) -> dict[str, object]:
    """Return the template's context that shows whose Microsoft account it is."""
    claims = context.claims
    return {
        "name": display_text(claims.text("name")),
        "account": claims.account_name,
        "tenant": claims.tid,
        "personal": claims.tid == CONSUMER_TENANT,
        "provider_label": context.provider.label,
    }


def check_form_token(request: HttpRequest, config: Config) -> None:
    """Raise ``PendingMissing`` for the form of another step than the one that waits now."""
    given = request.POST.get("ticket", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, pending_step.form_token(request, config).encode()):
        raise PendingMissing("the form belongs to another step, perhaps of another tab")


def _redirect_to_step(context: SignInContext, step: StoredStep) -> HttpResponse:
    match step.kind:
        case StepKind.COMPLETE:
            page = "complete"
        case StepKind.CONFIRM_LINK:
            page = "confirm_link"
        case _:
            assert_never(step.kind)
    response = HttpResponseRedirect(reverse(f"ms_identity:{page}"))
    pending_step.set_cookie(context.request, context.config, response, step)
    return response


def _registered(context: SignInContext) -> HttpResponse:
    # The new user gets no session. If another user is signed in, end that session.
    if context.request.user.is_authenticated:
        logout(context.request)
    url = return_urls.start_url(context.provider.id, next_url=context.return_to)
    return render(context.request, "ms_identity/registered.html", {"sign_in_url": url})

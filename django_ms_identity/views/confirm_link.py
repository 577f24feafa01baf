"""The page where a visitor connects the Microsoft account whose address an existing user has."""

from __future__ import annotations

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from django_ms_identity import sessions
from django_ms_identity.conf import Config
from django_ms_identity.exceptions import LinkMismatch
from django_ms_identity.flows import pending_step
from django_ms_identity.flows.pending_step import PendingStep, StepKind
from django_ms_identity.identities.linking.confirmation import finish_linking
from django_ms_identity.identities.linking.matching import users_with_any
from django_ms_identity.identities.trusted_addresses import trusted_addresses

from . import responses
from .base import public_page


@public_page("GET", "HEAD", "POST", csrf=True)
def confirm_link(request: HttpRequest, config: Config) -> HttpResponse:
    """Ask for a sign-in to the existing account, then whether to connect the two; only a POST does."""
    step = pending_step.load(request, config, StepKind.CONFIRM_LINK)
    page = responses.account_context(step.context) | {"login_url": "", "other_url": ""}
    user = sessions.user_of(request)
    if user is None or not sessions.signed_in_after(request, step.created_at):
        # An older session proves nothing: it may have been planted, or left open.
        page["login_url"] = redirect_to_login(reverse("ms_identity:confirm_link")).url
        return render(request, "ms_identity/confirm_link.html", page)
    _require_address_owner(request, sessions.user_key(user), step)
    if request.method == "POST":
        responses.check_form_token(request, config)
        return responses.respond(step.context, finish_linking(step.context, user, step.mapping))
    page |= {"local_account": user.get_username(), "ticket": pending_step.form_token(request, config)}
    return render(request, "ms_identity/confirm_link.html", page)


def _require_address_owner(request: HttpRequest, user: str, step: PendingStep) -> None:
    # The user had a trusted address when the sign-in found it, and has it still.
    emails = trusted_addresses(step.context, step.mapping).emails
    owners = set(step.owners) & set(map(sessions.user_key, users_with_any(emails)))
    if user not in owners:
        pending_step.clear(request)
        raise LinkMismatch("the user who signed in has none of the trusted addresses")

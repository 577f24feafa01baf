"""The page where somebody connects the Microsoft account that met their existing account; DESIGN 5.6."""

from __future__ import annotations

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from django_ms_identity import conf, sessions
from django_ms_identity.exceptions import LinkMismatch
from django_ms_identity.flows import pending_step
from django_ms_identity.flows.pending_step import PendingStep, StepKind
from django_ms_identity.identities.linking import confirmation
from django_ms_identity.identities.registration import users_with_any
from django_ms_identity.identities.user_fields import trusted_emails

from . import responses


@responses.step_page()
def confirm_link(request: HttpRequest) -> HttpResponse:
    """Ask for a sign-in to the existing account, then whether to connect the two; only a POST does."""
    config = conf.get_config()
    step = pending_step.load(request, StepKind.CONFIRM_LINK)
    proof = responses.verified_login_of(step, config=config)
    context = responses.account_context(step, proof) | {"login_url": "", "other_url": ""}
    user = sessions.user_of(request)
    if user is None or not sessions.signed_in_after(request, step.created_at):
        # A session that was there before proves nothing: it may have been planted, or left open.
        context["login_url"] = redirect_to_login(reverse("ms_identity:confirm_link")).url
        return render(request, "ms_identity/confirm_link.html", context)
    emails = trusted_emails(proof.provider, proof.claims, step.mapped)
    _refuse_another(request, sessions.user_key(user), step, emails)
    if request.method == "POST":
        responses.check_form_token(request)
        connected = confirmation.finish(
            request, user=user, proof=proof, mapped=step.mapped, return_to=step.return_to
        )
        return responses.respond_to_link(request, connected, step.return_to, config=config)
    context |= {"local_account": user.get_username(), "ticket": pending_step.form_token(request)}
    return render(request, "ms_identity/confirm_link.html", context)


def _refuse_another(request: HttpRequest, user: str, step: PendingStep, emails: tuple[str, ...]) -> None:
    # Whose the address was when the sign-in met them, and whose it is still.
    owners = set(step.owners) & set(map(sessions.user_key, users_with_any(emails)))
    if user not in owners:
        pending_step.clear(request)
        raise LinkMismatch("the user who signed in has none of the trusted addresses")

"""The page where somebody connects the Microsoft account that met their existing account; DESIGN 5.6."""

from __future__ import annotations

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from django_ms_identity import conf, connecting, pending, sessions
from django_ms_identity.accounts import trusted_emails
from django_ms_identity.exceptions import LinkMismatch
from django_ms_identity.pending import Pending, Step
from django_ms_identity.registration import users_with_any

from . import waiting


@waiting.page()
def confirm_link(request: HttpRequest) -> HttpResponse:
    """Ask for a sign-in to the existing account, then whether to connect the two; only a POST does."""
    config = conf.get_config()
    step = pending.recall(request, Step.CONFIRM_LINK)
    proof = waiting.proof_of(step, config=config)
    context = waiting.whose(step, proof) | {"login_url": "", "other_url": ""}
    user = sessions.user_of(request)
    if user is None or not sessions.signed_in_after(request, step.created_at):
        # A session that was there before proves nothing: it may have been planted, or left open.
        context["login_url"] = redirect_to_login(reverse("ms_identity:confirm_link")).url
        return render(request, "ms_identity/confirm_link.html", context)
    emails = trusted_emails(proof.provider, proof.claims, step.mapped)
    _refuse_another(request, sessions.user_key(user), step, emails)
    if request.method == "POST":
        waiting.refuse_another_ticket(request)
        connected = connecting.finish(
            request, user=user, proof=proof, mapped=step.mapped, return_to=step.return_to
        )
        return waiting.after_linking(request, connected, step.return_to, config=config)
    context |= {"local_account": user.get_username(), "ticket": pending.ticket(request)}
    return render(request, "ms_identity/confirm_link.html", context)


def _refuse_another(request: HttpRequest, user: str, step: Pending, emails: tuple[str, ...]) -> None:
    # Whose the address was when the sign-in met them, and whose it is still.
    owners = set(step.owners) & set(map(sessions.user_key, users_with_any(emails)))
    if user not in owners:
        pending.drop(request)
        raise LinkMismatch("the user who signed in has none of the trusted addresses")

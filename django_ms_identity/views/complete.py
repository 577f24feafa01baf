"""The page that asks for the traits which the mapper could not supply; DESIGN 5.9."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from django_ms_identity import conf, sessions
from django_ms_identity.exceptions import PendingMissing
from django_ms_identity.flows import pending_step, return_urls
from django_ms_identity.flows.pending_step import PendingStep, StepKind
from django_ms_identity.identities import sign_in
from django_ms_identity.identities.linking import confirmation

from . import forms, responses


@responses.step_page()
def complete(request: HttpRequest) -> HttpResponse:
    """Ask for what is missing or invalid, then go on as if Microsoft had said it."""
    config = conf.get_config()
    step = pending_step.load(request, StepKind.COMPLETE)
    _refuse_stranger(request, step)
    proof = responses.verified_login_of(step, config=config)
    posted = request.method == "POST"
    if posted:
        responses.check_form_token(request)
    form, completed = forms.ask(step.mapped, request.POST if posted else None)
    if completed is None:
        context = responses.account_context(step, proof) | {
            "form": form,
            "ticket": pending_step.form_token(request),
            "other_url": return_urls.start_url(
                step.provider, next_url=step.return_to, prompt="select_account"
            ),
        }
        return render(request, "ms_identity/complete.html", context)
    user = sessions.user_of(request)
    if user is not None:
        connected = confirmation.finish(
            request, user=user, proof=proof, mapped=completed, return_to=step.return_to
        )
        return responses.respond_to_link(request, connected, step.return_to, config=config)
    outcome = sign_in.resume_sign_in(request, proof=proof, mapped=completed, return_to=step.return_to)
    return responses.respond(
        request, outcome, provider=step.provider, return_to=step.return_to, config=config
    )


def _refuse_stranger(request: HttpRequest, step: PendingStep) -> None:
    user = sessions.user_of(request)
    # Nobody was signed in when somebody new came; whoever is now is somebody else.
    if (user is None) if step.owners else (user is not None):
        pending_step.clear(request)
        raise PendingMissing("somebody else signed in, or out, meanwhile")
    if user is not None and sessions.user_key(user) not in step.owners:
        pending_step.clear(request)
        raise PendingMissing("what waits belongs to another user")

"""The page that asks for the traits which the mapper could not supply."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from django_ms_identity import sessions
from django_ms_identity.conf import Config
from django_ms_identity.exceptions import PendingMissing
from django_ms_identity.flows import pending_step, return_urls
from django_ms_identity.flows.pending_step import PendingStep, StepKind
from django_ms_identity.identities.linking.confirmation import finish_linking
from django_ms_identity.identities.sign_in import resume_sign_in

from . import forms, responses
from .base import public_page


@public_page("GET", "HEAD", "POST", csrf=True)
def complete(request: HttpRequest, config: Config) -> HttpResponse:
    """Ask for what is missing or invalid, then continue as if Microsoft had said it."""
    step = pending_step.load(request, config, StepKind.COMPLETE)
    _require_step_owner(request, step)
    context = step.context
    posted = request.method == "POST"
    if posted:
        responses.check_form_token(request, config)
    form, completed = forms.ask_for_traits(step.mapping, config, request.POST if posted else None)
    if completed is None:
        page = responses.account_context(context) | {
            "form": form,
            "ticket": pending_step.form_token(request, config),
            "other_url": return_urls.start_url(
                context.provider.id, next_url=context.return_to, prompt="select_account"
            ),
        }
        return render(request, "ms_identity/complete.html", page)
    user = sessions.user_of(request)
    result = resume_sign_in(context, completed) if user is None else finish_linking(context, user, completed)
    return responses.respond(context, result)


def _require_step_owner(request: HttpRequest, step: PendingStep) -> None:
    user = sessions.user_of(request)
    # A registration belongs to a session without a user, a link to the session of its owner.
    if (user is None) if step.owners else (user is not None):
        pending_step.clear(request)
        raise PendingMissing("another user signed in, or out, meanwhile")
    if user is not None and sessions.user_key(user) not in step.owners:
        pending_step.clear(request)
        raise PendingMissing("the step belongs to another user")

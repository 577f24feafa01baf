"""The page that asks for the traits which the mapper could not supply; DESIGN 5.9."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from django_ms_identity import conf, connecting, links, pending, sessions, sign_in
from django_ms_identity.exceptions import PendingMissing
from django_ms_identity.pending import Pending, Step

from . import trait_form, waiting


@waiting.page()
def complete(request: HttpRequest) -> HttpResponse:
    """Ask for what is missing or invalid, then go on as if Microsoft had said it."""
    config = conf.get_config()
    step = pending.recall(request, Step.COMPLETE)
    _refuse_stranger(request, step)
    proof = waiting.proof_of(step, config=config)
    posted = request.method == "POST"
    if posted:
        waiting.refuse_another_ticket(request)
    form, completed = trait_form.ask(step.mapped, request.POST if posted else None)
    if completed is None:
        context = waiting.whose(step, proof) | {
            "form": form,
            "ticket": pending.ticket(request),
            "other_url": links.start_url(step.provider, next_url=step.return_to, prompt="select_account"),
        }
        return render(request, "ms_identity/complete.html", context)
    user = sessions.user_of(request)
    if user is not None:
        connected = connecting.finish(
            request, user=user, proof=proof, mapped=completed, return_to=step.return_to
        )
        return waiting.after_linking(request, connected, step.return_to, config=config)
    outcome = sign_in.arrive_again(request, proof=proof, mapped=completed, return_to=step.return_to)
    return waiting.after(request, outcome, provider=step.provider, return_to=step.return_to, config=config)


def _refuse_stranger(request: HttpRequest, step: Pending) -> None:
    user = sessions.user_of(request)
    # Nobody was signed in when somebody new came; whoever is now is somebody else.
    if (user is None) if step.owners else (user is not None):
        pending.drop(request)
        raise PendingMissing("somebody else signed in, or out, meanwhile")
    if user is not None and sessions.user_key(user) not in step.owners:
        pending.drop(request)
        raise PendingMissing("what waits belongs to another user")

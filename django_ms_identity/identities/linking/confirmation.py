"""Somebody who is signed in connects another Microsoft account, or disconnects one. Dispatch only."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import router
from django.dispatch import Signal
from django.http import HttpRequest

from django_ms_identity import conf, runtime, sessions
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.exceptions import CredentialTaken
from django_ms_identity.flows import pending_step
from django_ms_identity.flows.pending_step import PendingStep, StepKind, StoredStep
from django_ms_identity.identities import missing_traits
from django_ms_identity.models import Credential, Identity
from django_ms_identity.traits.mapper import EMPTY_IDENTITY, map_claims
from django_ms_identity.traits.mapping_result import MappingResult

from . import credentials

after_settings = Signal()
"""request, identity, credential, linked. For ``HOOKS`` alone, whose refusals count."""


def connect(
    request: HttpRequest, *, user: AbstractBaseUser, proof: VerifiedLogin, return_to: str
) -> Credential | StoredStep:
    """Connect a proved Microsoft account to the user who asked for it.

    Waits where the user has no identity yet and the identity schema wants more than the claims say. Raises
    ``CredentialTaken``, a leaf of ``MapperFailed``, or what ``linking.link`` raises.
    """
    known = Credential.objects.using(router.db_for_write(Credential)).find(proof.provider.id, proof.subject)
    if known is not None and known.identity.user.pk == user.pk:
        return known
    if known is not None:
        raise CredentialTaken(f"the Microsoft account belongs to identity {known.identity.pk}")
    return finish(request, user=user, proof=proof, mapped=map_newcomer(proof), return_to=return_to)


def finish(
    request: HttpRequest,
    *,
    user: AbstractBaseUser,
    proof: VerifiedLogin,
    mapped: MappingResult,
    return_to: str,
) -> Credential | StoredStep:
    """Connect with what was mapped, or wait for what the identity schema misses in it."""
    if credentials.identity_of(user) is None and (problems := missing_traits.problems_in(mapped.traits)):
        missing_traits.fields_for(problems)
        step = PendingStep(
            step=StepKind.COMPLETE,
            provider=proof.provider.id,
            claims=proof.claims,
            subject=proof.subject,
            mapped=mapped,
            return_to=return_to,
            owners=(sessions.user_key(user),),
        )
        return pending_step.store(request, step)
    credential = credentials.link_credential(request, user=user, proof=proof, mapped=mapped)
    pending_step.clear(request)
    after_settings.send(
        Identity, request=request, identity=credential.identity, credential=credential, linked=True
    )
    return credential


def disconnect(request: HttpRequest, *, user: AbstractBaseUser, credential: int) -> None:
    """Disconnect a Microsoft account of the user; raises as ``linking.unlink``."""
    identity = credentials.identity_of(user)
    removed = credentials.unlink_credential(request, identity=identity, credential=credential)
    after_settings.send(
        Identity, request=request, identity=removed.identity, credential=removed, linked=False
    )


def map_newcomer(proof: VerifiedLogin) -> MappingResult:
    """Run the provider's mapper for somebody who is not known yet."""
    return map_claims(
        mapper_url=proof.provider.mapper_url,
        payload=proof.claims.payload,
        subject=proof.subject,
        identity=EMPTY_IDENTITY,
        sources=runtime.sources(),
        timeout=conf.get_config().mapper_timeout,
    )

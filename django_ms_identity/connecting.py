"""Somebody who is signed in connects another Microsoft account, or disconnects one. Dispatch only."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import router
from django.dispatch import Signal
from django.http import HttpRequest

from . import completing, conf, linking, pending, sessions, wiring
from .entra.proof import Proof
from .exceptions import CredentialTaken
from .mapping.mapper import EMPTY_IDENTITY, map_claims
from .mapping.result import Mapped
from .models import Credential, Identity
from .pending import Pending, Step, Waiting

after_settings = Signal()
"""request, identity, credential, linked. For ``HOOKS`` alone, whose refusals count."""


def connect(
    request: HttpRequest, *, user: AbstractBaseUser, proof: Proof, return_to: str
) -> Credential | Waiting:
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
    request: HttpRequest, *, user: AbstractBaseUser, proof: Proof, mapped: Mapped, return_to: str
) -> Credential | Waiting:
    """Connect with what was mapped, or wait for what the identity schema misses in it."""
    if linking.identity_of(user) is None and (problems := completing.problems_of(mapped.traits)):
        completing.fields_for(problems)
        step = Pending(
            step=Step.COMPLETE,
            provider=proof.provider.id,
            claims=proof.claims,
            subject=proof.subject,
            mapped=mapped,
            return_to=return_to,
            owners=(sessions.user_key(user),),
        )
        return pending.keep(request, step)
    credential = linking.link(request, user=user, proof=proof, mapped=mapped)
    pending.drop(request)
    after_settings.send(
        Identity, request=request, identity=credential.identity, credential=credential, linked=True
    )
    return credential


def disconnect(request: HttpRequest, *, user: AbstractBaseUser, credential: int) -> None:
    """Disconnect a Microsoft account of the user; raises as ``linking.unlink``."""
    identity = linking.identity_of(user)
    removed = linking.unlink(request, identity=identity, credential=credential)
    after_settings.send(
        Identity, request=request, identity=removed.identity, credential=removed, linked=False
    )


def map_newcomer(proof: Proof) -> Mapped:
    """Run the provider's mapper for somebody who is not known yet."""
    return map_claims(
        mapper_url=proof.provider.mapper_url,
        payload=proof.claims.payload,
        subject=proof.subject,
        identity=EMPTY_IDENTITY,
        transport=wiring.transport(),
        timeout=conf.get_config().mapper_timeout,
        allow_http=wiring.allows_http(),
    )

"""Connect an account for a user who is signed in and wants it, or disconnect one."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from django_ms_identity import hooks, runtime, sessions
from django_ms_identity.conf import Config
from django_ms_identity.exceptions import CredentialTaken
from django_ms_identity.flows import pending_step
from django_ms_identity.flows.pending_step import StepKind
from django_ms_identity.identities import missing_traits
from django_ms_identity.identities.credential_lookup import credential_of
from django_ms_identity.identities.sign_in_result import ResultKind, SignInResult
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.mapping_result import MappingResult

from .credentials import link_credential, unlink_credential
from .matching import identity_of

_LINKED = SignInResult(kind=ResultKind.LINKED)


def connect_account(context: SignInContext, user: AbstractBaseUser) -> SignInResult:
    """Connect a verified Microsoft account to the user who asked for it.

    Pending where the user has no identity yet and the identity schema wants more than the claims say. Raises
    ``CredentialTaken``, a subclass of ``MapperFailed``, or what ``link_credential`` raises.
    """
    known = credential_of(context)
    if known is not None and known.identity.user.pk == user.pk:
        return _LINKED
    if known is not None:
        raise CredentialTaken(f"the Microsoft account belongs to identity {known.identity.pk}")
    return finish_linking(context, user, runtime.map_claims(context))


def finish_linking(context: SignInContext, user: AbstractBaseUser, mapping: MappingResult) -> SignInResult:
    """Connect with what was mapped, or ask first for what the identity schema misses in it."""
    if identity_of(user) is None and (problems := missing_traits.problems_in(mapping.traits, context.config)):
        # Raises TraitNotAskable where a form cannot ask.
        missing_traits.form_fields_for(problems, context.config)
        step = pending_step.store(context, StepKind.COMPLETE, mapping, owners=(sessions.user_key(user),))
        return SignInResult(kind=ResultKind.PENDING, pending=step)
    credential = link_credential(context, user, mapping)
    pending_step.clear(context.request)
    hooks.after_settings(context.request, context.config, credential, linked=True)
    return _LINKED


def disconnect(request: HttpRequest, config: Config, user: AbstractBaseUser, credential: int) -> None:
    """Disconnect a Microsoft account of the user; raises as ``unlink_credential``."""
    removed = unlink_credential(request, config, identity=identity_of(user), credential=credential)
    hooks.after_settings(request, config, removed, linked=False)

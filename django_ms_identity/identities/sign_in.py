"""Route a verified login: sign in, register, ask for traits, link, or refuse."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from django.contrib.auth import logout
from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError

from django_ms_identity import hooks, runtime, sessions
from django_ms_identity.entra.authentication_context import AAL
from django_ms_identity.entra.providers import UpdateOnLogin
from django_ms_identity.exceptions import (
    AccountExists,
    IdentityInactive,
    ReauthenticationFailed,
    StepUpFailed,
)
from django_ms_identity.flows import pending_step
from django_ms_identity.flows.pending_step import StepKind
from django_ms_identity.models import Credential, Identity
from django_ms_identity.sign_in_context import Intent, SignInContext
from django_ms_identity.signals import identity_registered, identity_signed_in, identity_signing_in
from django_ms_identity.traits.mapping_result import MappingResult
from django_ms_identity.traits.problems import TraitProblem

from . import credential_updates, missing_traits, registration, trait_updates
from .credential_lookup import credential_of
from .linking import credentials
from .linking.automatic import automatic_owner
from .linking.matching import identity_of, users_with_any
from .registration import SubjectTaken
from .sign_in_decision import Action, Decision, decide
from .sign_in_result import ResultKind, SignInResult
from .trusted_addresses import TrustedAddresses, trusted_addresses

logger = logging.getLogger(__name__)


def sign_in(context: SignInContext) -> SignInResult:
    """Sign in the person of a verified login, and register them if they are new.

    Raises a subclass of ``MSIdentityError`` for every refusal.
    """
    credential = credential_of(context)
    if credential is None:
        return _route_newcomer(context, runtime.map_claims(context))
    return _open(context, credential)


def resume_sign_in(context: SignInContext, mapping: MappingResult) -> SignInResult:
    """Continue after the visitor filled in a form: all that was checked before it is checked again."""
    credential = credential_of(context)
    if credential is None:
        return _route_newcomer(context, mapping)
    # Registered meanwhile, in another tab.
    pending_step.clear(context.request)
    return _open(context, credential)


def reauthenticate(context: SignInContext, user: AbstractBaseUser) -> SignInResult:
    """Open a new session of the user who is signed in, if Microsoft names the same person.

    Raises ``ReauthenticationFailed`` for anyone else, ``StepUpFailed`` where a second factor was asked for
    and not shown, and what a sign-in raises.
    """
    credential = credential_of(context)
    if credential is None or credential.identity.user.pk != user.pk:
        raise ReauthenticationFailed(
            "Microsoft names another person than the one who is signed in",
            hint="The visitor chose another Microsoft account than one that is connected to theirs.",
        )
    if context.intent is Intent.STEP_UP:
        _require_second_factor(context, credential)
    return _open(context, credential)


def sign_in_credential(context: SignInContext, credential: Credential, *, registered: bool) -> None:
    """Open the session of a known credential, unless something speaks against it."""
    decision = decide(context, credential=credential)
    if decision.refusals:
        raise decision.refusals[0]
    if context.provider.update_identity_on_login is UpdateOnLogin.AUTOMATIC and not registered:
        trait_updates.update_identity(context, credential)
    arguments = hooks.arguments(context, credential)
    identity_signing_in.send(Identity, **arguments)
    if not registered:
        # Before the session, as in Kratos: a hook that refuses must not find a session open.
        hooks.after_login(context, credential)
    if not credential.tenant:
        # Only now: a person who was refused must not decide whose credential it is.
        credential_updates.settle_tenant(credential, context.claims)
        if refusals := decide(context, credential=credential).refusals:
            raise refusals[0]
    if (name := context.claims.account_name) != credential.account:
        credential_updates.store_account_name(credential, name)
    try:
        sessions.open_session(context, credential)
    except DatabaseError:
        if credential_updates.exists(credential):
            raise
        # The session is half open.
        logout(context.request)
        raise IdentityInactive("the credential was deleted while it signed in") from None
    _log("Signed in", context, credential)
    # Django logs a receiver that fails.
    identity_signed_in.send_robust(Identity, **arguments, registered=registered)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Newcomer:
    """An unknown subject, and what was found about it here."""

    mapping: MappingResult = field(repr=False)
    trusted: TrustedAddresses
    problems: tuple[TraitProblem, ...]
    linked_at_once: AbstractBaseUser | None = field(repr=False)
    decision: Decision


def _route_newcomer(context: SignInContext, mapping: MappingResult) -> SignInResult:
    try:
        newcomer = _look_up_newcomer(context, mapping)
        if newcomer.decision.action is Action.REGISTER and hooks.asks_before_registration(context.config):
            changed = hooks.before_registration(context, mapping)
            missing_traits.refuse_invalid(changed.traits, context.config)
            # Another server has changed the mapping, and may have taken its time.
            again = _look_up_newcomer(context, changed)
            # What it made of a registration is not for an existing user who appeared meanwhile.
            is_new = again.decision.action is Action.REGISTER
            newcomer = again if is_new else replace(again, mapping=mapping)
        return _carry_out(context, newcomer)
    except AccountExists as collision:
        if not collision.users:
            raise
        # Another person with the same address was registered at the same moment.
        return _wait(context, StepKind.CONFIRM_LINK, mapping, owners=collision.users)
    except SubjectTaken:
        winner = credential_of(context)
        if winner is None:
            raise IdentityInactive("the identity was deleted while it signed in") from None
        pending_step.clear(context.request)
        return _open(context, winner)


def _look_up_newcomer(context: SignInContext, mapping: MappingResult) -> _Newcomer:
    registration.refuse_unstorable(mapping)
    trusted = trusted_addresses(context, mapping)
    owners = users_with_any(trusted.emails) if trusted.emails else ()
    if owners and registration.is_registered(context.provider, context.subject):
        raise SubjectTaken
    owner = automatic_owner(context, trusted, owners) if owners else None
    # No traits are needed for a link that is confirmed first, nor while registration is off.
    is_new = not owners and context.config.registration_enabled
    needs_traits = is_new or (owner is not None and identity_of(owner) is None)
    problems = missing_traits.problems_in(mapping.traits, context.config) if needs_traits else ()
    if problems:
        owner = None
    return _Newcomer(
        mapping=mapping,
        trusted=trusted,
        problems=problems,
        linked_at_once=owner,
        decision=decide(context, credential=None, owners=owners, linked_at_once=owner, problems=problems),
    )


def _carry_out(context: SignInContext, newcomer: _Newcomer) -> SignInResult:
    decision, mapping = newcomer.decision, newcomer.mapping
    if newcomer.linked_at_once is not None:
        linked = credentials.link_credential(context, newcomer.linked_at_once, mapping, automatic=True)
        pending_step.clear(context.request)
        return _open(context, linked)
    match decision.action:
        case Action.CONFIRM_LINK:
            return _wait(context, StepKind.CONFIRM_LINK, mapping, owners=decision.owners)
        case Action.COMPLETE:
            # Raises TraitNotAskable where a form cannot ask.
            missing_traits.form_fields_for(newcomer.problems, context.config)
            return _wait(context, StepKind.COMPLETE, mapping)
        case Action.REGISTER:
            return _register(context, newcomer)
        case _:
            raise decision.refusals[0]


def _register(context: SignInContext, newcomer: _Newcomer) -> SignInResult:
    plan = registration.plan_registration(context, newcomer.mapping, newcomer.trusted)
    credential = registration.register(context, plan)
    _log("Registered", context, credential)
    pending_step.clear(context.request)
    identity_registered.send_robust(Identity, **hooks.arguments(context, credential))
    if not hooks.after_registration(context, credential):
        # A hook of the project may have called login() itself.
        is_signed_in = sessions.is_of(context.request, credential.identity)
        return SignInResult(kind=ResultKind.SIGNED_IN if is_signed_in else ResultKind.REGISTERED)
    sign_in_credential(context, credential, registered=True)
    return SignInResult(kind=ResultKind.SIGNED_IN)


def _open(context: SignInContext, credential: Credential) -> SignInResult:
    sign_in_credential(context, credential, registered=False)
    return SignInResult(kind=ResultKind.SIGNED_IN)


def _wait(
    context: SignInContext,
    kind: StepKind,
    mapping: MappingResult,
    *,
    owners: tuple[AbstractBaseUser, ...] = (),
) -> SignInResult:
    # Another person's session, or one that was planted so that its owner would be linked.
    if context.request.user.is_authenticated:
        logout(context.request)
    step = pending_step.store(context, kind, mapping, owners=tuple(map(sessions.user_key, owners)))
    return SignInResult(kind=ResultKind.PENDING, pending=step)


def _require_second_factor(context: SignInContext, credential: Credential) -> None:
    if context.login.aal is not AAL.TWO:
        raise StepUpFailed(
            "the ID token shows no second factor",
            hint="Entra needs a Conditional Access policy for the authentication context in "
            "aal2_auth_contexts.",
        )
    if not credential.mfa_trusted:
        raise StepUpFailed(
            f"credential {credential.pk} was connected without a second factor, so it cannot show one",
            hint="Let the person disconnect it, sign in with a second factor and connect it again. If you "
            "know whose account it is, the admin has an action for it.",
        )


def _log(event: str, context: SignInContext, credential: Credential) -> None:
    logger.info(
        "%s identity %s by provider %s (tid %s, oid %s)",
        event,
        credential.identity.pk,
        context.provider.id,
        context.claims.tid,
        context.claims.oid,
    )

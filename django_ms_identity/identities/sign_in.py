"""A verified person arrives: found, registered, asked for more, or refused. Dispatch only; DESIGN 4."""

from __future__ import annotations

import logging
from enum import StrEnum

from django.contrib.auth import logout
from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, router
from django.db.models import QuerySet
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils import timezone

from django_ms_identity import sessions
from django_ms_identity.entra.authentication_context import AAL, aal_of
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.entra.providers import Provider, UpdateOnLogin
from django_ms_identity.exceptions import (
    AccountExists,
    IdentityInactive,
    ReauthenticationFailed,
    StepUpFailed,
    TenantChanged,
    UserInactive,
)
from django_ms_identity.flows import pending_step
from django_ms_identity.flows.pending_step import PendingStep, StepKind, StoredStep
from django_ms_identity.hooks import web_hook
from django_ms_identity.models import Credential, Identity
from django_ms_identity.signals import identity_registered, identity_signed_in, identity_signing_in
from django_ms_identity.traits.mapping_result import MappingResult

from . import missing_traits, registration, trait_updates
from .credential_lookup import find_credential
from .linking import automatic as automatic_linking
from .linking import confirmation, credentials
from .user_fields import account_name

logger = logging.getLogger(__name__)

after_registration = Signal()
"""As ``identity_registered``, after its receivers; for ``HOOKS`` alone, whose refusals count."""

after_login = Signal()
"""As ``identity_signing_in``, after its receivers; for ``HOOKS`` alone, whose refusals count."""


class Arrived(StrEnum):
    """How a sign-in ended that waits for nothing."""

    SIGNED_IN = "signed_in"
    REGISTERED = "registered"
    """Without a session: the hook ``session`` is not there."""


def sign_in(request: HttpRequest, *, proof: VerifiedLogin, return_to: str) -> Arrived | StoredStep:
    """Sign in the person whom ``proof`` names, registering them if they are new.

    Raises a leaf of ``MSIdentityError`` for every refusal.
    """
    credential = _find(proof)
    if credential is None:
        return register(request, proof=proof, mapped=confirmation.map_newcomer(proof), return_to=return_to)
    return _open(request, proof, credential)


def register(
    request: HttpRequest, *, proof: VerifiedLogin, mapped: MappingResult, return_to: str
) -> Arrived | StoredStep:
    """Register somebody new with what was mapped; or wait, for traits or for a link to be confirmed."""
    try:
        registration.check_registration(proof.provider, proof.claims, mapped, subject=proof.subject)
        if problems := missing_traits.problems_in(mapped.traits):
            missing_traits.fields_for(problems)
            return _wait(request, StepKind.COMPLETE, proof, mapped, return_to)
        credential = _register(request, proof, mapped)
    except AccountExists as collision:
        if not collision.users:
            raise
        return _collide(request, proof, mapped, collision.users, return_to)
    except registration.SubjectTaken:
        winner = _find(proof)
        if winner is None:
            raise IdentityInactive("the identity was deleted while it signed in") from None
        pending_step.clear(request)
        return _open(request, proof, winner)
    return Arrived.SIGNED_IN if sessions.is_of(request, credential.identity) else Arrived.REGISTERED


def resume_sign_in(
    request: HttpRequest, *, proof: VerifiedLogin, mapped: MappingResult, return_to: str
) -> Arrived | StoredStep:
    """Go on with somebody who was asked for something: all that was checked before is checked again."""
    credential = _find(proof)
    if credential is None:
        return register(request, proof=proof, mapped=mapped, return_to=return_to)
    # Registered meanwhile, in another tab.
    pending_step.clear(request)
    return _open(request, proof, credential)


def reauthenticate(
    request: HttpRequest, *, user: AbstractBaseUser, proof: VerifiedLogin, second_factor: bool = False
) -> None:
    """Open a new session of the user who is signed in, if Microsoft names the same person.

    Raises ``ReauthenticationFailed`` for anybody else, ``StepUpFailed`` where a second factor is asked for
    and not shown, and what a sign-in raises.
    """
    credential = _find(proof)
    if credential is None or credential.identity.user.pk != user.pk:
        raise ReauthenticationFailed(
            "Microsoft names another person than the one who is signed in",
            hint="The visitor chose another Microsoft account than one that is connected to theirs.",
        )
    if second_factor and aal_of(proof.provider, proof.claims) is not AAL.TWO:
        raise StepUpFailed(
            "the ID token shows no second factor",
            hint="Entra needs a Conditional Access policy for the authentication context in "
            "aal2_auth_contexts.",
        )
    if second_factor and not credential.assured:
        raise StepUpFailed(
            f"credential {credential.pk} was connected without a second factor, so it cannot show one",
            hint="Let the person connect it anew after signing in with a second factor. If you know whose "
            "account it is, the admin has an action for it.",
        )
    _open(request, proof, credential)


def open_session(
    request: HttpRequest, *, provider: Provider, credential: Credential, claims: Claims, registered: bool
) -> None:
    """Open the session of a known credential, unless something speaks against it."""
    identity = credential.identity
    if credential.tenant:
        _refuse_another_tenant(credential, claims)
    if not identity.is_active:
        raise IdentityInactive(f"identity {identity.pk} is inactive", hint="Activate it in the admin.")
    if not identity.user.is_active:
        raise UserInactive(f"the user of identity {identity.pk} has is_active off")
    if provider.update_identity_on_login is UpdateOnLogin.AUTOMATIC and not registered:
        identity = trait_updates.update_identity(
            request, provider=provider, credential=credential, claims=claims
        )
    facts = {
        "request": request,
        "provider": provider,
        "identity": identity,
        "credential": credential,
        "claims": claims,
    }
    identity_signing_in.send(Identity, **facts)
    # Before the session, as in Kratos: a hook that keeps somebody out must find nobody in.
    after_login.send(Identity, **facts, registered=registered)
    if not credential.tenant:
        # Only now: whoever was kept out must not have decided whose credential it is.
        registration.settle_tenant(credential, claims)
        _refuse_another_tenant(credential, claims)
    _rename(credential, claims)
    try:
        sessions.open_session(
            request, identity=identity, credential=credential, provider=provider, claims=claims
        )
    except DatabaseError:
        if _is_there(credential):
            raise
        # Their session is half open.
        logout(request)
        raise IdentityInactive("the credential was deleted while it signed in") from None
    logger.info(
        "Signed in identity %s by provider %s (tid %s, oid %s)",
        identity.pk,
        provider.id,
        claims.tid,
        claims.oid,
    )
    # Django logs a receiver that fails.
    identity_signed_in.send_robust(Identity, **facts, registered=registered)


def _refuse_another_tenant(credential: Credential, claims: Claims) -> None:
    # The same subject from another tenant is not the same person; DESIGN 5.6.
    if credential.tenant != claims.tid:
        raise TenantChanged(
            f"credential {credential.pk} belongs to tenant {credential.tenant}, not {claims.tid}"
        )


def _open(request: HttpRequest, proof: VerifiedLogin, credential: Credential) -> Arrived:
    open_session(
        request, provider=proof.provider, credential=credential, claims=proof.claims, registered=False
    )
    return Arrived.SIGNED_IN


def _register(request: HttpRequest, proof: VerifiedLogin, mapped: MappingResult) -> Credential:
    provider, claims = proof.provider, proof.claims
    if web_hook.asked_before_registration():
        mapped = web_hook.changed(request, provider=provider, mapped=mapped)
        # What another server made of it nobody has checked yet, and it may have taken its time.
        missing_traits.refuse_invalid(mapped.traits)
        registration.check_registration(provider, claims, mapped, subject=proof.subject)
    credential = registration.register(
        request, provider=provider, claims=claims, subject=proof.subject, mapped=mapped
    )
    identity = credential.identity
    logger.info(
        "Registered identity %s by provider %s (tid %s, oid %s)",
        identity.pk,
        provider.id,
        claims.tid,
        claims.oid,
    )
    facts = {
        "request": request,
        "provider": provider,
        "identity": identity,
        "credential": credential,
        "claims": claims,
    }
    pending_step.clear(request)
    identity_registered.send_robust(Identity, **facts)
    after_registration.send(Identity, **facts)
    return credential


def _collide(
    request: HttpRequest,
    proof: VerifiedLogin,
    mapped: MappingResult,
    users: tuple[AbstractBaseUser, ...],
    return_to: str,
) -> Arrived | StoredStep:
    owner = automatic_linking.automatic_owner(proof, mapped, users)
    if owner is not None and (
        credentials.identity_of(owner) or not missing_traits.problems_in(mapped.traits)
    ):
        credential = credentials.link_credential(
            request, user=owner, proof=proof, mapped=mapped, automatic=True
        )
        return _open(request, proof, credential)
    return _wait(request, StepKind.CONFIRM_LINK, proof, mapped, return_to, owners=users)


def _wait(
    request: HttpRequest,
    step: StepKind,
    proof: VerifiedLogin,
    mapped: MappingResult,
    return_to: str,
    *,
    owners: tuple[AbstractBaseUser, ...] = (),
) -> StoredStep:
    # Whoever is signed in here: another person perhaps, or the one who planted this session to be linked to.
    if request.user.is_authenticated:
        logout(request)
    return pending_step.store(
        request,
        PendingStep(
            step=step,
            provider=proof.provider.id,
            claims=proof.claims,
            subject=proof.subject,
            mapped=mapped,
            return_to=return_to,
            owners=tuple(map(sessions.user_key, owners)),
        ),
    )


def _rename(credential: Credential, claims: Claims) -> None:
    name = account_name(claims)
    if name != credential.account:
        credential.account = name
        # Not save(), which raises where another request deleted it.
        _rows(credential).update(account=name, updated_at=timezone.now())


def _is_there(credential: Credential) -> bool:
    return _rows(credential).filter(identity__user=credential.identity.user.pk).exists()


def _rows(credential: Credential) -> QuerySet[Credential]:
    return Credential.objects.using(router.db_for_write(Credential, instance=credential)).filter(
        pk=credential.pk
    )


def _find(proof: VerifiedLogin) -> Credential | None:
    return find_credential(proof.provider.id, proof.subject, using=router.db_for_write(Credential))

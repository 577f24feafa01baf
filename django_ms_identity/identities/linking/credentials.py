"""Connect Microsoft accounts to existing users, and disconnect them: the transactions.

The caller of ``link_credential`` makes sure that the user wants it: signing in alone never links.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, get_user_model, logout
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser
from django.db import DataError, IntegrityError, router, transaction
from django.http import HttpRequest
from django.utils.module_loading import import_string

from django_ms_identity import sessions
from django_ms_identity.backends import IdentityBackend
from django_ms_identity.conf import Config
from django_ms_identity.exceptions import (
    CredentialMissing,
    CredentialTaken,
    IdentityInactive,
    LastCredential,
    UserInactive,
    UserInvalid,
)
from django_ms_identity.identities.registration import (
    new_credential,
    new_identity,
    refuse_unstorable,
    write_addresses,
)
from django_ms_identity.identities.trusted_addresses import trusted_addresses
from django_ms_identity.models import Credential, Identity, SignIn
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.signals import credential_linked, credential_unlinked
from django_ms_identity.traits.mapping_result import Address, MappingResult
from django_ms_identity.transactions import retry_on_deadlock

from .matching import users_with_any

logger = logging.getLogger(__name__)

OTHERS_LINKS = ("social_auth", "socialaccount_set")
"""Where python-social-auth and allauth keep a user's links, by which they can sign in too."""


def link_credential(
    context: SignInContext, user: AbstractBaseUser, mapping: MappingResult, *, automatic: bool = False
) -> Credential:
    """Connect a verified Microsoft account to a user, and return the credential; repeating it is harmless.

    The user's traits stay as they are; only a user without an identity is given what was mapped. Unless the
    link is ``automatic``, an account beside others shows no second factor from then on that this session
    did not have. Ends the user's other sessions that are known. Raises ``CredentialTaken``,
    ``IdentityInactive``, ``UserInactive``, ``UserInvalid`` or ``MapperResultInvalid``.
    """
    refuse_unstorable(mapping)
    request, database = context.request, router.db_for_write(Identity)
    addresses = _free(trusted_addresses(context, mapping).verified, user)
    mfa_trusted = automatic or sessions.has_second_factor(request)
    try:
        credential, created = _connect(context, user, mapping, addresses, database, mfa_trusted=mfa_trusted)
    except (IntegrityError, Identity.DoesNotExist):
        # The reference is checked when the transaction ends; before that, the user is simply not found.
        raise UserInactive("the user was deleted meanwhile") from None
    except DataError:
        raise UserInvalid(
            "the database refuses a value", hint="The claims or what the mapper emits hold U+0000."
        ) from None
    identity = credential.identity
    if created:
        logger.info(
            "Linked provider %s (tid %s, oid %s) to identity %s",
            context.provider.id,
            context.claims.tid,
            context.claims.oid,
            identity.pk,
        )
        sessions.end_other_sessions(request, identity)
        credential_linked.send_robust(Credential, request=request, identity=identity, credential=credential)
    return credential


def unlink_credential(
    request: HttpRequest, config: Config, *, identity: Identity | None, credential: int
) -> Credential:
    """Disconnect a credential of an identity, and end the sessions that it opened, this one too.

    Returns what was deleted; the addresses that it vouched for go with it. Raises ``CredentialMissing``,
    ``IdentityInactive``, and ``LastCredential`` for the only way that the person can sign in by.
    """
    if identity is None:
        raise CredentialMissing("the user has no identity")
    if not identity.is_active:
        # Else the Microsoft account could register again, and be active.
        raise IdentityInactive(f"identity {identity.pk} is inactive", hint="Activate it in the admin.")
    database = router.db_for_write(Identity, instance=identity)
    # Without another way in, one of the other credentials has to be usable.
    usable = None if _signs_in_otherwise(request, identity.user) else _usable_providers(config)
    removed, opened = _disconnect(identity, credential, database, needs_one_of=usable)
    logger.info("Unlinked provider %s from identity %s", removed.provider, identity.pk)
    credential_unlinked.send_robust(Credential, request=request, identity=identity, credential=removed)
    sessions.end_sessions_by_key(opened, using=database)
    if request.session.get(sessions.SIGN_IN) in opened:
        logout(request)
    return removed


def may_unlink(request: HttpRequest, config: Config, credential: Credential) -> bool:
    """Say whether the person could still sign in without this credential, as things are now."""
    identity = credential.identity
    others = identity.credentials.exclude(pk=credential.pk).values_list("provider", flat=True)
    return not _usable_providers(config).isdisjoint(others) or _signs_in_otherwise(request, identity.user)


@retry_on_deadlock
def _connect(
    context: SignInContext,
    user: AbstractBaseUser,
    mapping: MappingResult,
    addresses: tuple[Address, ...],
    database: str,
    *,
    mfa_trusted: bool,
) -> tuple[Credential, bool]:
    with transaction.atomic(using=database):
        identity, is_new = _locked_identity(user, mapping, database)
        wanted = new_credential(context, identity, mfa_trusted=mfa_trusted or is_new)
        credential, created = _get_or_create(wanted, database)
        # With the user, and as it is now.
        credential.identity = identity
        if created:
            write_addresses(identity, addresses, credential=credential, database=database)
    return credential, created


@retry_on_deadlock
def _disconnect(
    identity: Identity, credential: int, database: str, *, needs_one_of: set[str] | None
) -> tuple[Credential, list[int]]:
    """Delete the credential; return it and the keys of the sign-ins whose sessions it opened."""
    with transaction.atomic(using=database):
        # Two at once would each find the other's credential left.
        Identity.objects.using(database).filter(pk=identity.pk).lock()
        # A sign-in by it at this moment waits, and finds it gone: its row must not refer to a missing one.
        rows = Credential.objects.using(database).select_for_update().filter(identity=identity)
        credentials = {each.pk: each for each in rows}
        removed = credentials.pop(credential, None)
        if removed is None:
            raise CredentialMissing(f"identity {identity.pk} has no credential {credential}")
        if needs_one_of is not None and needs_one_of.isdisjoint(
            each.provider for each in credentials.values()
        ):
            raise LastCredential(f"credential {credential} is the last way in of identity {identity.pk}")
        sign_ins = SignIn.objects.using(database).filter(credential=removed, ended_at=None)
        opened = list(sign_ins.values_list("pk", flat=True))
        removed.delete(using=database)
    # A signal's receiver may want to know which it was.
    removed.pk = credential
    return removed, opened


def _locked_identity(user: AbstractBaseUser, mapping: MappingResult, database: str) -> tuple[Identity, bool]:
    """Return the identity of a user, locked, and whether it was created for this."""
    rows = Identity.objects.using(database).filter(user=user.pk)
    is_new = not rows.lock()
    if is_new:
        try:
            with transaction.atomic(using=database):
                new_identity(user, mapping).save(using=database, force_insert=True)
        except IntegrityError:
            # Another request created it at the same moment, or the user is gone.
            if not rows.lock():
                raise
            is_new = False
    identity = rows.select_related("user").get()
    if not identity.is_active:
        raise IdentityInactive(f"identity {identity.pk} is inactive", hint="Activate it in the admin.")
    if not identity.user.is_active:
        raise UserInactive(f"the user of identity {identity.pk} has is_active off")
    return identity, is_new


def _get_or_create(wanted: Credential, database: str) -> tuple[Credential, bool]:
    rows = Credential.objects.using(database)
    known = rows.filter(key=wanted.key).first()
    if known is None:
        try:
            with transaction.atomic(using=database):
                wanted.save(using=database, force_insert=True)
            return wanted, True
        except IntegrityError:
            known = rows.filter(key=wanted.key).first()
            if known is None:
                raise
    if known.identity_id != wanted.identity_id:
        raise CredentialTaken(f"the Microsoft account belongs to identity {known.identity_id}")
    return known, False


def _free(addresses: tuple[Address, ...], user: AbstractBaseUser) -> tuple[Address, ...]:
    return tuple(
        address
        for address in addresses
        if address.via != "email" or not users_with_any([address.value], besides=user)
    )


def _usable_providers(config: Config) -> set[str]:
    # As in Kratos: no one signs in by an account of a provider that was taken out of the settings.
    return {provider.id for provider in config.providers}


def _signs_in_otherwise(request: HttpRequest, user: AbstractBaseUser) -> bool:
    """Say whether the person can sign in without Microsoft, as far as can be told."""
    others = [path for path in settings.AUTHENTICATION_BACKENDS if not _is(path, IdentityBackend)]
    if others and user.has_usable_password():
        return True
    if any(_has_some(user, name) for name in OTHERS_LINKS if hasattr(get_user_model(), name)):
        return True
    # A backend of the project's own let this very session in, by something that is no password.
    here = request.session.get(BACKEND_SESSION_KEY, "")
    return here in others and not _is(here, ModelBackend)


def _has_some(user: AbstractBaseUser, related: str) -> bool:
    return bool(getattr(user, related).exists())


def _is(path: str, kind: type[object]) -> bool:
    backend = import_string(path)
    return isinstance(backend, type) and issubclass(backend, kind)

"""Connects Microsoft accounts to people who are here already, and disconnects them: transaction scripts.

Whoever calls ``link`` has made sure that the user wants it: signing in never links; DESIGN 5.6.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, get_user_model, logout
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser
from django.db import DataError, IntegrityError, router, transaction
from django.http import HttpRequest
from django.utils.module_loading import import_string

from django_ms_identity import conf, sessions
from django_ms_identity.backends import IdentityBackend
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.exceptions import (
    CredentialMissing,
    CredentialTaken,
    IdentityInactive,
    LastCredential,
    UserInactive,
    UserInvalid,
)
from django_ms_identity.identities.registration import address_rows, refuse_unstorable, users_with_any
from django_ms_identity.identities.user_fields import account_name
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress, credential_key
from django_ms_identity.signals import credential_linked, credential_unlinked
from django_ms_identity.traits.mapping_result import Address, MappingResult
from django_ms_identity.transactions import retry_on_deadlock

logger = logging.getLogger(__name__)

OTHERS_LINKS = ("social_auth", "socialaccount_set")
"""Where python-social-auth and allauth keep a user's links, by which they can sign in too."""


def link_credential(
    request: HttpRequest,
    *,
    user: AbstractBaseUser,
    proof: VerifiedLogin,
    mapped: MappingResult,
    automatic: bool = False,
) -> Credential:
    """Connect a proved Microsoft account to a user, and return the credential; once is enough.

    The user's traits stay as they are; only who has no identity yet is given what was mapped. Unless the
    link is ``automatic``, an account beside others shows no second factor from then on that this session
    did not have. Ends the user's other sessions that are known. Raises ``CredentialTaken``,
    ``IdentityInactive``, ``UserInactive``, ``UserInvalid`` or ``MapperResultInvalid``.
    """
    refuse_unstorable(mapped)
    database = router.db_for_write(Identity)
    addresses = _free(mapped.verified_addresses, user)
    try:
        credential, created = _connect(
            user,
            proof,
            mapped,
            addresses,
            database,
            assured=automatic or sessions.has_second_factor(request),
        )
    except (IntegrityError, Identity.DoesNotExist):
        # The reference is checked when the transaction ends; before that, nobody is found who is not there.
        raise UserInactive("the user was deleted meanwhile") from None
    except DataError:
        raise UserInvalid(
            "the database refuses a value", hint="The claims or what the mapper emits hold U+0000."
        ) from None
    identity = credential.identity
    if created:
        logger.info(
            "Linked provider %s (tid %s, oid %s) to identity %s",
            proof.provider.id,
            proof.claims.tid,
            proof.claims.oid,
            identity.pk,
        )
        sessions.end_other_sessions(request, identity)
        credential_linked.send_robust(Credential, request=request, identity=identity, credential=credential)
    return credential


def unlink_credential(request: HttpRequest, *, identity: Identity | None, credential: int) -> Credential:
    """Disconnect a credential of an identity, and end the sessions that it opened, this one too.

    Returns what was deleted; the addresses that it vouched for go with it. Raises ``CredentialMissing``,
    ``IdentityInactive``, and ``LastCredential`` for the only way that the person can sign in by.
    """
    if identity is None:
        raise CredentialMissing("the user has no identity")
    if not identity.is_active:
        # Else the Microsoft account could register anew, and be active.
        raise IdentityInactive(f"identity {identity.pk} is inactive", hint="Activate it in the admin.")
    database = router.db_for_write(Identity, instance=identity)
    signs_in_otherwise = _signs_in_otherwise(request, identity.user)
    removed, opened = _disconnect(identity, credential, database, needs_another=not signs_in_otherwise)
    logger.info("Unlinked provider %s from identity %s", removed.provider, identity.pk)
    credential_unlinked.send_robust(Credential, request=request, identity=identity, credential=removed)
    sessions.end_sessions_by_key(opened, using=database)
    if request.session.get(sessions.SIGN_IN) in opened:
        logout(request)
    return removed


def may_unlink(request: HttpRequest, *, identity: Identity, credential: Credential) -> bool:
    """Say whether the person could still sign in without this credential, as things are now."""
    others = identity.credentials.exclude(pk=credential.pk)
    return _usable(others) or _signs_in_otherwise(request, identity.user)


def identity_of(user: AbstractBaseUser) -> Identity | None:
    """Return the identity that a user has, if any."""
    return Identity.objects.using(router.db_for_write(Identity)).filter(user=user.pk).first()


@retry_on_deadlock
def _connect(
    user: AbstractBaseUser,
    proof: VerifiedLogin,
    mapped: MappingResult,
    addresses: tuple[Address, ...],
    database: str,
    *,
    assured: bool,
) -> tuple[Credential, bool]:
    with transaction.atomic(using=database):
        identity, is_new = _locked_identity(user, mapped, database)
        credential, created = _credential_of(identity, proof, database, assured=assured or is_new)
        # With the user, and as it is now.
        credential.identity = identity
        if created and (rows := address_rows(identity, addresses, credential=credential)):
            VerifiableAddress.objects.using(database).bulk_create(rows, ignore_conflicts=True)
    return credential, created


@retry_on_deadlock
def _disconnect(
    identity: Identity, credential: int, database: str, *, needs_another: bool
) -> tuple[Credential, list[int]]:
    """Delete the credential; return it and the keys of the sign-ins whose sessions it opened."""
    with transaction.atomic(using=database):
        # Two at once would each find the other's credential left.
        Identity.objects.using(database).filter(pk=identity.pk).lock()
        # Who signs in by it at this moment waits, and finds it gone: their row must not refer to nothing.
        rows = Credential.objects.using(database).select_for_update().filter(identity=identity)
        credentials = {each.pk: each for each in rows}
        removed = credentials.pop(credential, None)
        if removed is None:
            raise CredentialMissing(f"identity {identity.pk} has no credential {credential}")
        if needs_another and not _usable(credentials.values()):
            raise LastCredential(f"credential {credential} is the last way in of identity {identity.pk}")
        sign_ins = SignIn.objects.using(database).filter(credential=removed, ended_at=None)
        opened = list(sign_ins.values_list("pk", flat=True))
        removed.delete(using=database)
    # A signal's receiver may want to know which it was.
    removed.pk = credential
    return removed, opened


def _locked_identity(user: AbstractBaseUser, mapped: MappingResult, database: str) -> tuple[Identity, bool]:
    """Return the identity of a user, locked, and whether it was made for this."""
    rows = Identity.objects.using(database).filter(user=user.pk)
    is_new = not rows.lock()
    if is_new:
        try:
            with transaction.atomic(using=database):
                Identity.objects.using(database).create(
                    user=user,  # type: ignore[misc]  # AUTH_USER_MODEL, whatever it is
                    traits=mapped.traits,
                    metadata_public=mapped.metadata_public or {},
                    metadata_admin=mapped.metadata_admin or {},
                    self_asserted=list(mapped.self_asserted),
                )
        except IntegrityError:
            # Another request made it at the same moment, or the user is gone.
            if not rows.lock():
                raise
            is_new = False
    identity = rows.select_related("user").get()
    if not identity.is_active:
        raise IdentityInactive(f"identity {identity.pk} is inactive", hint="Activate it in the admin.")
    if not identity.user.is_active:
        raise UserInactive(f"the user of identity {identity.pk} has is_active off")
    return identity, is_new


def _credential_of(
    identity: Identity, proof: VerifiedLogin, database: str, *, assured: bool
) -> tuple[Credential, bool]:
    provider, claims = proof.provider, proof.claims
    credential, created = Credential.objects.using(database).get_or_create(
        key=credential_key(provider.id, proof.subject),
        defaults={
            "identity": identity,
            "provider": provider.id,
            "subject": proof.subject,
            "subject_source": provider.subject_source.value,
            "tenant": claims.tid,
            "object_id": claims.oid,
            "account": account_name(claims),
            "assured": assured,
        },
    )
    if credential.identity_id != identity.pk:
        raise CredentialTaken(f"the Microsoft account belongs to identity {credential.identity_id}")
    return credential, created


def _free(addresses: tuple[Address, ...], user: AbstractBaseUser) -> tuple[Address, ...]:
    return tuple(
        address
        for address in addresses
        if address.via != "email" or not users_with_any([address.value], besides=user)
    )


def _usable(credentials: Iterable[Credential]) -> bool:
    # As in Kratos: an account of a provider that was taken out of the settings signs nobody in.
    known = {provider.id for provider in conf.get_config().providers}
    return any(credential.provider in known for credential in credentials)


def _signs_in_otherwise(request: HttpRequest, user: AbstractBaseUser) -> bool:
    """Say whether the person can sign in without Microsoft, as far as anybody can tell."""
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

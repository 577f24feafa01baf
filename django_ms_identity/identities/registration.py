"""Register a new person: the transaction that writes user, identity, credential and addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.contrib.auth.models import AbstractBaseUser
from django.db import DataError, IntegrityError, router, transaction
from django.utils import timezone

from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import AccountExists, MapperResultInvalid, UserInvalid
from django_ms_identity.models import Credential, Identity, VerifiableAddress, credential_key, normalised
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.signals import identity_registering
from django_ms_identity.traits.mapping_result import Address, MappingResult
from django_ms_identity.transactions import retry_on_deadlock

from . import groups
from .linking.matching import users_with_any
from .trusted_addresses import TrustedAddresses
from .user_fields import UserFields, build_user, fields_for_new_user, username_is_email, with_suffix


class SubjectTaken(Exception):
    """Another request registered this subject at the same moment; sign in to what it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a registration writes."""

    mapping: MappingResult = field(repr=False)
    trusted: TrustedAddresses
    user: UserFields


def plan_registration(
    context: SignInContext, mapping: MappingResult, trusted: TrustedAddresses
) -> Registration:
    """Return what registering would write, or raise ``EmailUnverified``."""
    return Registration(mapping=mapping, trusted=trusted, user=fields_for_new_user(context, mapping, trusted))


def register(context: SignInContext, registration: Registration) -> Credential:
    """Create user, identity and credential in one transaction, and return the credential.

    Raises what a receiver of ``identity_registering`` refuses with, ``UserInvalid``, and after a lost race
    ``AccountExists`` or ``SubjectTaken``.
    """
    identity_registering.send(
        Identity,
        request=context.request,
        provider=context.provider,
        claims=context.claims,
        mapped=registration.mapping,
    )
    try:
        return _write_rows(context, registration, registration.user)
    except IntegrityError:
        _raise_conflict(context, registration)
    try:
        # The user name was taken: Microsoft's names and this project's are not the same namespace.
        return _write_rows(context, registration, with_suffix(registration.user))
    except IntegrityError:
        _raise_conflict(context, registration)
        raise UserInvalid(
            "the database refuses the user", hint="A unique field of the user model has this value already."
        ) from None


def new_identity(user: AbstractBaseUser, mapping: MappingResult) -> Identity:
    """Return the unsaved identity of a user, with what was mapped."""
    return Identity(
        user=user,  # type: ignore[misc]  # AUTH_USER_MODEL, whatever it is
        traits=mapping.traits,
        metadata_public=mapping.metadata_public or {},
        metadata_admin=mapping.metadata_admin or {},
        self_asserted=list(mapping.self_asserted),
    )


def new_credential(context: SignInContext, identity: Identity, *, mfa_trusted: bool = True) -> Credential:
    """Return the unsaved credential of a verified login."""
    provider, claims = context.provider, context.claims
    return Credential(
        identity=identity,
        provider=provider.id,
        subject=context.subject,
        subject_source=provider.subject_source.value,
        tenant=claims.tid,
        object_id=claims.oid,
        account=claims.account_name,
        mfa_trusted=mfa_trusted,
        key=credential_key(provider.id, context.subject),
    )


def write_addresses(
    identity: Identity, addresses: Iterable[Address], *, credential: Credential, database: str
) -> None:
    """Record addresses as verified now by this credential, once per normalised value."""
    if rows := address_rows(identity, addresses, credential=credential):
        # Some collations take two of them for one, and another sign-in may have added some: the first stays.
        VerifiableAddress.objects.using(database).bulk_create(rows, ignore_conflicts=True)


def address_rows(
    identity: Identity, addresses: Iterable[Address], *, credential: Credential | None
) -> list[VerifiableAddress]:
    """Return unsaved rows for addresses, one per normalised value, as verified now by this credential."""
    now = timezone.now()
    rows = {
        (address.via, normalised(address.value)): VerifiableAddress(
            identity=identity,
            credential=credential,
            via=address.via,
            value=address.value,
            normalised=normalised(address.value),
            verified_at=now,
        )
        for address in addresses
    }
    return list(rows.values())


def refuse_unstorable(mapping: MappingResult) -> None:
    """Raise ``MapperResultInvalid`` for an address that is longer than its column."""
    for address in mapping.verified_addresses:
        if len(address.via) > 16 or max(len(address.value), len(normalised(address.value))) > 320:
            raise MapperResultInvalid("identity.verified_addresses holds a value that is too long")


def account_exists_error(users: tuple[AbstractBaseUser, ...]) -> AccountExists:
    """Return the refusal of a new person whose address belongs to existing users.

    Without ``users``, only the user name shows it, which is an address itself.
    """
    keys = ", ".join(str(user.pk) for user in users)
    return AccountExists(
        f"a trusted address belongs to the existing user {keys}"
        if users
        else "the user name, which is an address, belongs to an existing user",
        users=users,
        hint="People are found by their Microsoft account, never by e-mail.",
    )


@retry_on_deadlock
def _write_rows(context: SignInContext, registration: Registration, fields: UserFields) -> Credential:
    user = build_user(fields)
    mapping = registration.mapping
    database = router.db_for_write(Identity)
    try:
        with transaction.atomic(using=database):
            user.save(using=database, force_insert=True)
            identity = new_identity(user, mapping)
            changes = groups.group_changes(
                identity, fields.groups, database, create=context.config.create_groups
            )
            identity.granted_groups = list(changes.granted)
            identity.save(using=database, force_insert=True)
            credential = new_credential(context, identity)
            credential.save(using=database, force_insert=True)
            write_addresses(identity, registration.trusted.verified, credential=credential, database=database)
            groups.write(user, changes, database)
    except DataError:
        raise UserInvalid(
            "the database refuses a value",
            hint="A value that the mapper emits is longer than its column or holds U+0000.",
        ) from None
    return credential


def _raise_conflict(context: SignInContext, registration: Registration) -> None:
    if is_registered(context.provider, context.subject):
        raise SubjectTaken from None
    users = users_with_any(registration.trusted.emails)
    if users or username_is_email():
        raise account_exists_error(users) from None


def is_registered(provider: Provider, subject: str) -> bool:
    """Say whether a subject is known here by now."""
    rows = Credential.objects.using(router.db_for_write(Identity))
    return rows.for_subject(provider.id, subject).exists()

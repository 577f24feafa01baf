"""Writes new identities: the transaction script, and the look-up of collisions before it."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, Group, PermissionsMixin
from django.db import DataError, IntegrityError, router, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from . import conf
from .accounts import Account, account_for, build_user, trusted_emails, username_is_email, with_suffix
from .entra.providers import Provider
from .entra.tokens import Claims
from .exceptions import AccountExists, MapperResultInvalid, RegistrationDisabled, UserInvalid
from .mapping.result import Mapped
from .models import Credential, Identity, VerifiableAddress, credential_key, normalised
from .signals import identity_registering


class SubjectTaken(Exception):
    """Another request registered this subject at the same moment; sign in to what it made."""


def register(
    request: HttpRequest, *, provider: Provider, claims: Claims, subject: str, mapped: Mapped
) -> Credential:
    """Create user, identity and credential in one transaction, and return the credential.

    Raises ``AccountExists`` for a collision, ``RegistrationDisabled``, what ``identity_registering`` vetoes
    with, ``EmailUnverified``, ``UserInvalid``, ``MapperResultInvalid``, and ``SubjectTaken`` after a lost
    race.
    """
    _refuse_unstorable(mapped)
    emails = trusted_emails(provider, claims, mapped)
    if user_with_any(emails) is not None:
        _explain_conflict(provider, subject, emails)
    if not conf.get_config().registration_enabled:
        raise RegistrationDisabled("REGISTRATION_ENABLED is off and nobody here has this subject")
    account = account_for(provider, claims, mapped, subject=subject)
    identity_registering.send(Identity, request=request, provider=provider, claims=claims, mapped=mapped)
    try:
        return _write(account, provider=provider, claims=claims, subject=subject, mapped=mapped)
    except IntegrityError:
        _explain_conflict(provider, subject, emails)
    try:
        # The username was taken: Microsoft's names and this project's are different worlds.
        suffixed = with_suffix(account)
        return _write(suffixed, provider=provider, claims=claims, subject=subject, mapped=mapped)
    except IntegrityError:
        _explain_conflict(provider, subject, emails)
        raise UserInvalid(
            "the database refuses the user", hint="A unique field of the user model has this value already."
        ) from None


def user_with_any(emails: Iterable[str]) -> AbstractBaseUser | None:
    """Return a user who has one of these addresses, verified here or in the user model's own field.

    Compared after NFKC and case folding. The user model's field is searched in any case, which costs a scan
    where the project has no index on it; that happens when somebody registers, never when they sign in.
    """
    wanted = {normalised(email) for email in emails}
    if not wanted:
        return None
    database = router.db_for_write(Identity)
    rows = VerifiableAddress.objects.using(database).filter(via="email", normalised__in=wanted)
    if row := rows.select_related("identity__user").first():
        return row.identity.user
    field = getattr(get_user_model(), "EMAIL_FIELD", "")
    if not field:
        return None
    spelled = Q()
    for email in {*emails, *wanted}:
        spelled |= Q(**{f"{field}__iexact": email})
    # Some collations find more than they should.
    users = get_user_model()._default_manager.using(database).filter(spelled)[:10]
    return next((user for user in users if normalised(str(getattr(user, field) or "")) in wanted), None)


def _write(
    account: Account, *, provider: Provider, claims: Claims, subject: str, mapped: Mapped
) -> Credential:
    user = build_user(account)
    database = router.db_for_write(Identity)
    try:
        with transaction.atomic(using=database):
            user.save(using=database, force_insert=True)
            identity = Identity.objects.using(database).create(
                user=user,  # type: ignore[misc]  # AUTH_USER_MODEL, whatever it is
                traits=mapped.traits,
                metadata_public=mapped.metadata_public or {},
                metadata_admin=mapped.metadata_admin or {},
            )
            credential = Credential.objects.using(database).create(
                identity=identity,
                provider=provider.id,
                subject=subject,
                subject_source=provider.subject_source.value,
                tenant=claims.tid,
                object_id=claims.oid,
                key=credential_key(provider.id, subject),
            )
            _add_addresses(identity, mapped, database)
            _add_groups(user, account.groups, database)
    except DataError:
        raise UserInvalid(
            "the database refuses a value",
            hint="A value that the mapper emits is longer than its column or holds U+0000.",
        ) from None
    return credential


def _add_addresses(identity: Identity, mapped: Mapped, database: str) -> None:
    now = timezone.now()
    rows = {
        (address.via, normalised(address.value)): VerifiableAddress(
            identity=identity,
            via=address.via,
            value=address.value,
            normalised=normalised(address.value),
            verified_at=now,
        )
        for address in mapped.verified_addresses
    }
    if rows:
        VerifiableAddress.objects.using(database).bulk_create(rows.values())


def _add_groups(user: AbstractBaseUser, names: tuple[str, ...], database: str) -> None:
    # A project may have none, or a group model of its own.
    if names and isinstance(user, PermissionsMixin):
        user.groups.add(*Group.objects.using(database).filter(name__in=names))


def _explain_conflict(provider: Provider, subject: str, emails: Iterable[str]) -> None:
    database = router.db_for_write(Identity)
    if Credential.objects.using(database).for_subject(provider.id, subject).exists():
        raise SubjectTaken from None
    if username_is_email() or user_with_any(emails) is not None:
        raise AccountExists(
            "a trusted address belongs to an existing user",
            hint="People are found by their Microsoft account, never by e-mail.",
        ) from None


def _refuse_unstorable(mapped: Mapped) -> None:
    for address in mapped.verified_addresses:
        if len(address.via) > 16 or max(len(address.value), len(normalised(address.value))) > 320:
            raise MapperResultInvalid("identity.verified_addresses holds a value that is too long")

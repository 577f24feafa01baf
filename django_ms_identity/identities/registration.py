"""Writes new identities: the transaction script, and the look-up of collisions before it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import DataError, IntegrityError, router, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.http import HttpRequest
from django.utils import timezone

from django_ms_identity import conf
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import (
    AccountExists,
    IdentityInactive,
    MapperResultInvalid,
    RegistrationDisabled,
    UserInvalid,
)
from django_ms_identity.models import Credential, Identity, VerifiableAddress, credential_key, normalised
from django_ms_identity.signals import identity_registering
from django_ms_identity.traits.mapping_result import Address, MappingResult
from django_ms_identity.transactions import retry_on_deadlock

from . import groups as memberships
from .user_fields import (
    UserFields,
    account_name,
    build_user,
    fields_for_new_user,
    trusted_emails,
    username_is_email,
    with_suffix,
)

_MOST = 1000
"""Users with one address that are looked at, the oldest first: squatters must not crowd out the owner."""


class SubjectTaken(Exception):
    """Another request registered this subject at the same moment; sign in to what it made."""


def check_registration(provider: Provider, claims: Claims, mapped: MappingResult, *, subject: str) -> None:
    """Refuse whom registering is not open to; nothing is written, and it may be asked again.

    Raises ``MapperResultInvalid``, ``AccountExists`` with the users whose address it is, ``SubjectTaken``
    where it is the person's own since a moment ago, and ``RegistrationDisabled``: with registration off,
    people can still connect an account that they have.
    """
    refuse_unstorable(mapped)
    emails = trusted_emails(provider, claims, mapped)
    if users_with_any(emails):
        _explain_conflict(provider, subject, emails)
    if not conf.get_config().registration_enabled:
        raise RegistrationDisabled("REGISTRATION_ENABLED is off and nobody here has this subject")


def register(
    request: HttpRequest, *, provider: Provider, claims: Claims, subject: str, mapped: MappingResult
) -> Credential:
    """Create user, identity and credential in one transaction, and return the credential.

    Only for whom ``admit`` lets through. Raises what ``identity_registering`` vetoes with,
    ``EmailUnverified``, ``UserInvalid``, ``AccountExists`` and ``SubjectTaken`` after a lost race.
    """
    emails = trusted_emails(provider, claims, mapped)
    account = fields_for_new_user(provider, claims, mapped, subject=subject)
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


def settle_tenant(credential: Credential, claims: Claims) -> None:
    """Give a credential without a tenant the one that it signs in from, unless another request was faster.

    The credential has the tenant that is stored afterwards. Raises ``IdentityInactive`` for one that was
    deleted meanwhile.
    """
    rows = Credential.objects.using(router.db_for_write(Credential, instance=credential))
    tenant, object_id = claims.tid, claims.oid or credential.object_id
    settled = rows.filter(pk=credential.pk, tenant="").update(
        tenant=tenant, object_id=object_id, account=account_name(claims), updated_at=timezone.now()
    )
    if not settled:
        stored = rows.filter(pk=credential.pk).values_list("tenant", "object_id").first()
        if stored is None:
            raise IdentityInactive("the credential was deleted while it signed in")
        tenant, object_id = stored
    else:
        credential.account = account_name(claims)
    credential.tenant, credential.object_id = tenant, object_id


def users_with_any(
    emails: Iterable[str], *, besides: AbstractBaseUser | None = None
) -> tuple[AbstractBaseUser, ...]:
    """Return the users who have one of these addresses, verified here or in the user model's own field.

    ``besides`` is somebody who does not count, since the addresses are theirs.
    Compared after NFKC and case folding. The user model's field is searched in any case, which costs a scan
    where the project has no index on it; that happens when somebody registers, never when they sign in.
    """
    wanted = {normalised(email) for email in emails}
    if not wanted:
        return ()
    database = router.db_for_write(Identity)
    rows = VerifiableAddress.objects.using(database).filter(
        # An address that nobody vouched for is nobody's: a squatter could type it.
        via="email",
        normalised__in=wanted,
        verified_at__isnull=False,
    )
    rows = rows.select_related("identity__user").order_by("pk")
    # Some collations find more than they should.
    found = [row.identity.user for row in rows[:_MOST] if row.normalised in wanted]
    if field := getattr(get_user_model(), "EMAIL_FIELD", ""):
        spelled = Q()
        for email in {*emails, *wanted}:
            spelled |= Q(**{f"{field}__iexact": email})
        users = get_user_model()._default_manager.using(database).filter(spelled).order_by("pk")[:_MOST]
        found += [user for user in users if normalised(str(getattr(user, field) or "")) in wanted]
    return tuple({user.pk: user for user in found if besides is None or user.pk != besides.pk}.values())


def emails_in_use(emails: Collection[str]) -> set[str]:
    """Return the normalised forms of those addresses that are somebody's: as ``users_with_any``, for many."""
    wanted = {normalised(email) for email in emails}
    if not wanted:
        return set()
    database = router.db_for_write(Identity)
    rows = VerifiableAddress.objects.using(database).filter(via="email", normalised__in=wanted)
    found = set(rows.values_list("normalised", flat=True))
    if field := getattr(get_user_model(), "EMAIL_FIELD", ""):
        # One pass over the table: SQLite would compare every row with every address. It lowers ASCII alone.
        spelled = {
            form for email in {*emails, *wanted} for form in (email, email.lower(), _ascii_lower(email))
        }
        users = get_user_model()._default_manager.using(database).alias(lowered=Lower(field))
        values = users.filter(lowered__in=spelled).values_list(field, flat=True)
        found |= {normalised(str(value or "")) for value in values}
    # Some collations find more than they should.
    return found & wanted


def address_rows(
    identity: Identity, addresses: Iterable[Address], *, credential: Credential | None
) -> list[VerifiableAddress]:
    """Return unsaved rows for addresses, one per normalised value, verified now by the credential's word."""
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


def refuse_unstorable(mapped: MappingResult) -> None:
    """Raise ``MapperResultInvalid`` for an address that is longer than its column."""
    for address in mapped.verified_addresses:
        if len(address.via) > 16 or max(len(address.value), len(normalised(address.value))) > 320:
            raise MapperResultInvalid("identity.verified_addresses holds a value that is too long")


@retry_on_deadlock
def _write(
    account: UserFields, *, provider: Provider, claims: Claims, subject: str, mapped: MappingResult
) -> Credential:
    user = build_user(account)
    database = router.db_for_write(Identity)
    try:
        with transaction.atomic(using=database):
            user.save(using=database, force_insert=True)
            identity = Identity(
                user=user,  # type: ignore[misc]  # AUTH_USER_MODEL, whatever it is
                traits=mapped.traits,
                metadata_public=mapped.metadata_public or {},
                metadata_admin=mapped.metadata_admin or {},
                self_asserted=list(mapped.self_asserted),
            )
            groups = memberships.group_changes(identity, account.groups, database)
            identity.granted_groups = list(groups.granted)
            identity.save(using=database, force_insert=True)
            credential = Credential.objects.using(database).create(
                identity=identity,
                provider=provider.id,
                subject=subject,
                subject_source=provider.subject_source.value,
                tenant=claims.tid,
                object_id=claims.oid,
                account=account_name(claims),
                key=credential_key(provider.id, subject),
            )
            if rows := address_rows(identity, mapped.verified_addresses, credential=credential):
                # Some collations take two of them for one: the first stays.
                VerifiableAddress.objects.using(database).bulk_create(rows, ignore_conflicts=True)
            memberships.write(user, groups, database)
    except DataError:
        raise UserInvalid(
            "the database refuses a value",
            hint="A value that the mapper emits is longer than its column or holds U+0000.",
        ) from None
    return credential


def _ascii_lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _explain_conflict(provider: Provider, subject: str, emails: Iterable[str]) -> None:
    database = router.db_for_write(Identity)
    if Credential.objects.using(database).for_subject(provider.id, subject).exists():
        raise SubjectTaken from None
    users = users_with_any(emails)
    if users or username_is_email():
        raise _collision(users) from None


def _collision(users: tuple[AbstractBaseUser, ...]) -> AccountExists:
    return AccountExists(
        "a trusted address belongs to an existing user",
        users=users,
        hint="People are found by their Microsoft account, never by e-mail.",
    )

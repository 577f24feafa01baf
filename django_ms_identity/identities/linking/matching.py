"""Answer which existing user a new Microsoft account may belong to: by a trusted address."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import router
from django.db.models import Q
from django.db.models.functions import Lower

from django_ms_identity.identities.trusted_addresses import exact
from django_ms_identity.models import Identity, VerifiableAddress, normalised

_MOST = 1000
"""Users with one address that are looked at, oldest first: many squatters must not hide the owner."""


def identity_of(user: AbstractBaseUser) -> Identity | None:
    """Return the identity that a user has, if any."""
    return Identity.objects.using(router.db_for_write(Identity)).filter(user=user.pk).first()


def users_with_any(
    emails: Iterable[str], *, besides: AbstractBaseUser | None = None
) -> tuple[AbstractBaseUser, ...]:
    """Return the users who have one of these addresses, verified here or in the user model's own field.

    ``besides`` is the user whose addresses they are, who does not count. Addresses are compared after NFKC
    and case folding. The user model's field is searched in any case, which costs a scan where the project
    has no index on it; that happens at a registration, never when a known person signs in.
    """
    wanted = {normalised(email) for email in emails}
    if not wanted:
        return ()
    database = router.db_for_write(Identity)
    rows = VerifiableAddress.objects.using(database).filter(
        # Not an unverified one: a squatter could have typed it.
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
    """Return the normalised forms of those addresses that a user has: ``users_with_any`` for many at once."""
    wanted = {normalised(email) for email in emails}
    if not wanted:
        return set()
    database = router.db_for_write(Identity)
    rows = VerifiableAddress.objects.using(database).filter(via="email", normalised__in=wanted)
    found = set(rows.values_list("normalised", flat=True))
    if field := getattr(get_user_model(), "EMAIL_FIELD", ""):
        # One pass over the table: SQLite would compare every row with every address. It lowers ASCII alone.
        spelled = {form for email in {*emails, *wanted} for form in (email, email.lower(), exact(email))}
        users = get_user_model()._default_manager.using(database).alias(lowered=Lower(field))
        values = users.filter(lowered__in=spelled).values_list(field, flat=True)
        found |= {normalised(str(value or "")) for value in values}
    # Some collations find more than they should.
    return found & wanted

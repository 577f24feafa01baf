"""Decide which existing user ``account_linking_mode: automatic`` connects a new Microsoft account to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from django.contrib.auth.models import AbstractBaseUser
from django.db import router
from django.db.models import QuerySet

from django_ms_identity.conf import Config
from django_ms_identity.entra.providers import AccountLinkingMode
from django_ms_identity.identities.trusted_addresses import TrustedAddresses, exact
from django_ms_identity.identities.user_fields import email_field
from django_ms_identity.models import Credential, Identity, VerifiableAddress
from django_ms_identity.sign_in_context import SignInContext

from .matching import identity_of

_Row = TypeVar("_Row", Credential, VerifiableAddress)


def automatic_owner(
    context: SignInContext, trusted: TrustedAddresses, users: tuple[AbstractBaseUser, ...]
) -> AbstractBaseUser | None:
    """Return the user to connect at once, or None: then the visitor confirms.

    ``users`` are those who have a trusted address of the person. Every condition of linking at once is here.
    """
    provider, claims = context.provider, context.claims
    if provider.account_linking_mode is not AccountLinkingMode.AUTOMATIC or len(users) != 1:
        return None
    if not context.is_member or claims.denies_address:
        return None
    (user,) = users
    emails = [
        email
        for email in trusted.emails
        if email.rpartition("@")[2].lower() in provider.auto_link_domains
        and _is_spelled_so(email, claims.payload.values())
        and _has_exactly(user, email)
    ]
    if not emails:
        return None
    if not user.is_active or getattr(user, "is_staff", False) or getattr(user, "is_superuser", False):
        return None
    identity = identity_of(user)
    if identity is None:
        return user if _is_unused(user) else None
    accounts = set(_rows_of_identity(Credential, identity).values_list("provider", flat=True))
    if not identity.is_active or provider.id in accounts or not accounts <= _single_tenants(context.config):
        return None
    is_theirs = _has_verified(identity, emails) or (not accounts and _is_unused(user))
    return user if is_theirs else None


def _single_tenants(config: Config) -> set[str]:
    """Return the ids of the providers whose people one known tenant vouches for.

    Accounts of other providers do not count: a careless mapper there can give a person any address, and that
    person could wait until the owner's Microsoft account is linked to theirs.
    """
    return {provider.id for provider in config.providers if provider.tenant.single}


def _is_spelled_so(email: str, values: Iterable[object]) -> bool:
    # What folds to the same may be another mailbox: straße@ and strasse@, or a K that is a Kelvin sign, which
    # a mapper's lower case hides. Only ASCII, as some claim has it, leaves no doubt.
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return email.isascii() and any(
        isinstance(text, str) and text.isascii() and text.lower() == email.lower() for text in texts
    )


def _has_exactly(user: AbstractBaseUser, email: str) -> bool:
    own = str(getattr(user, email_field()) or "") if email_field() else ""
    if own.isascii() and own.lower() == email.lower():
        return True
    rows = VerifiableAddress.objects.using(router.db_for_write(Identity)).filter(identity__user=user.pk)
    stored = rows.filter(via="email", verified_at__isnull=False).values_list("value", flat=True)
    return any(value.isascii() and value.lower() == email.lower() for value in stored)


def _is_unused(user: AbstractBaseUser) -> bool:
    # Provisioned by an operator and never used, so no squatter has ever signed in.
    return user.last_login is None and not user.has_usable_password()


def _has_verified(identity: Identity, emails: list[str]) -> bool:
    rows = _rows_of_identity(VerifiableAddress, identity).filter(via="email", verified_at__isnull=False)
    return not set(map(exact, emails)).isdisjoint(map(exact, rows.values_list("value", flat=True)))


def _rows_of_identity(model: type[_Row], identity: Identity) -> QuerySet[_Row]:
    # Not by the identity's own managers: they may read from a replica, which lags behind.
    return model._default_manager.using(router.db_for_write(Identity)).filter(identity=identity)

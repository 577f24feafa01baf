"""Brings a known identity up to date at a sign-in: the transaction script; DESIGN 2.7.

Most sign-ins change nothing, so the mapping is first compared without a lock; only where something differs is
the row locked, read again and written.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import DataError, IntegrityError, router, transaction
from django.http import HttpRequest

from django_ms_identity import conf, runtime
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import IdentityInactive, UserInvalid
from django_ms_identity.jsonnet.json_values import JSON, JSONObject
from django_ms_identity.models import Credential, Identity, VerifiableAddress, normalised
from django_ms_identity.signals import identity_updated
from django_ms_identity.traits.mapper import map_claims
from django_ms_identity.traits.mapping_result import Address, MappingResult
from django_ms_identity.traits.merging import overlay, same
from django_ms_identity.traits.paths import parse_path
from django_ms_identity.traits.problems import values_at
from django_ms_identity.transactions import retry_on_deadlock

from . import groups as memberships
from . import missing_traits
from .groups import GroupChanges
from .registration import address_rows, refuse_unstorable, users_with_any
from .user_fields import UserFields, apply, fields_for_existing_user

logger = logging.getLogger(__name__)

_DATA = frozenset({"traits", "metadata_public", "metadata_admin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the mapping asks for, less what may not be."""

    mapped: MappingResult
    account: UserFields
    addresses: tuple[Address, ...]
    """Those that the identity lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    columns: list[str]
    """Of the identity; the values are set already."""
    user_fields: list[str]
    groups: GroupChanges

    @property
    def any(self) -> bool:
        return bool(self.columns or self.user_fields or self.groups.joined or self.groups.left)


def update_identity(
    request: HttpRequest, *, provider: Provider, credential: Credential, claims: Claims
) -> Identity:
    """Map the claims anew, write what changed in one transaction, and return the identity as it is then.

    Sends ``identity_updated`` where traits or metadata changed. Raises a leaf of ``MapperFailed``,
    ``TraitsInvalid``, ``UserInvalid``, or ``IdentityInactive`` for one that was deleted meanwhile; nothing is
    written then.
    """
    identity = credential.identity
    database = router.db_for_write(Identity, instance=identity)
    mapped = _mapped(provider, credential, claims)
    wanted = _wanted(provider, identity, claims, mapped, database)
    changes = _set(identity, wanted, database)
    if not wanted.addresses and not changes.any:
        return identity
    checked = identity.traits
    if "traits" in changes.columns:
        missing_traits.refuse_invalid(checked)
    try:
        identity, changes = _save(credential, wanted, checked, database)
    except Identity.DoesNotExist:
        raise IdentityInactive("the identity was deleted while it signed in") from None
    except (DataError, IntegrityError):
        raise UserInvalid(
            "the database refuses what changed",
            hint="A value is longer than its column, or a unique field of the user model has it already.",
        ) from None
    credential.identity = identity
    logger.info("Updated identity %s by provider %s", identity.pk, provider.id)
    if not _DATA.isdisjoint(changes.columns):
        identity_updated.send_robust(
            Identity,
            request=request,
            provider=provider,
            identity=identity,
            credential=credential,
            claims=claims,
        )
    return identity


def pending_changes(
    *, provider: Provider, credential: Credential, claims: Claims, mapped: MappingResult
) -> tuple[str, ...]:
    """Say in words what ``update`` would write for a mapping; nothing is saved, but the identity is changed.

    Raises ``UserInvalid`` and ``MapperResultInvalid`` as ``update`` does.
    """
    identity = credential.identity
    database = router.db_for_write(Identity, instance=identity)
    wanted = _wanted(provider, identity, claims, mapped, database)
    changes = _set(identity, wanted, database)
    return (
        *(name for name in changes.columns if name in _DATA),
        *(f"user.{name}" for name in changes.user_fields),
        *(f"joins the group {group.name}" for group in changes.groups.joined),
        *(f"leaves the group {group.name}" for group in changes.groups.left),
        *(f"verified address {address.value}" for address in wanted.addresses),
    )


def mapper_identity(identity: Identity) -> Mapping[str, JSON]:
    """Return what a mapper sees in ``std.extVar('identity')`` of somebody who is known."""
    return {
        "traits": identity.traits,
        "metadata_public": identity.metadata_public,
        "metadata_admin": identity.metadata_admin,
        "self_asserted": identity.self_asserted,
    }


def _mapped(provider: Provider, credential: Credential, claims: Claims) -> MappingResult:
    return map_claims(
        mapper_url=provider.mapper_url,
        payload=claims.payload,
        subject=credential.subject,
        identity=mapper_identity(credential.identity),
        sources=runtime.sources(),
        timeout=conf.get_config().mapper_timeout,
    )


def _wanted(
    provider: Provider, identity: Identity, claims: Claims, mapped: MappingResult, database: str
) -> _Wanted:
    refuse_unstorable(mapped)
    # A mapper may hand on what it finds in `identity`; what a visitor typed must not become Microsoft's word.
    vouched = dataclasses.replace(
        mapped,
        self_asserted=tuple(identity.self_asserted),
        verified_addresses=_without_typed_addresses(mapped, identity, provider, claims),
    )
    account = fields_for_existing_user(provider, claims, vouched, user=identity.user)
    _leave_out_taken_email(account, identity)
    if account.groups is not None and _is_overage(claims):
        logger.warning(
            "Memberships of identity %s stay: Microsoft left its groups out of the token (overage)",
            identity.pk,
        )
        account = dataclasses.replace(account, groups=None)
    addresses = _new_addresses(identity, vouched, database)
    return _Wanted(mapped=mapped, account=account, addresses=addresses)


def _without_typed_addresses(
    mapped: MappingResult, identity: Identity, provider: Provider, claims: Claims
) -> tuple[Address, ...]:
    """Leave out what the visitor typed, which a mapper may hand on, unless Microsoft vouches for it."""
    typed = {
        normalised(value)
        for path in identity.self_asserted
        for value in values_at(identity.traits, parse_path(path))
        if isinstance(value, str)
    }
    if provider.tenant.single and not claims.is_guest and not claims.denies_address:
        # Any other tenant's administrators can write any address into it (nOAuth).
        typed.discard(normalised(claims.text("email")))
    return tuple(address for address in mapped.verified_addresses if normalised(address.value) not in typed)


def _leave_out_taken_email(account: UserFields, identity: Identity) -> None:
    name = str(getattr(get_user_model(), "EMAIL_FIELD", "") or "")
    email = account.fields.get(name)
    if email is None or email == getattr(identity.user, name):
        return
    if users_with_any([str(email)], besides=identity.user):
        logger.warning("The e-mail address of identity %s stays: the new one is another user's", identity.pk)
        del account.fields[name]


def _is_overage(claims: Claims) -> bool:
    """Say whether the person has more groups than fit into a token (Microsoft: groups overage claim)."""
    elsewhere = claims.payload.get("_claim_names")
    return (isinstance(elsewhere, dict) and "groups" in elsewhere) or claims.payload.get("hasgroups") in (
        True,
        "true",
    )


def _new_addresses(identity: Identity, mapped: MappingResult, database: str) -> tuple[Address, ...]:
    if not mapped.verified_addresses:
        return ()
    rows = VerifiableAddress.objects.using(database).filter(identity=identity)
    known = set(rows.values_list("via", "normalised"))
    added = [
        address
        for address in mapped.verified_addresses
        if (address.via, normalised(address.value)) not in known
    ]
    return tuple(address for address in added if not _is_taken(address, identity))


def _is_taken(address: Address, identity: Identity) -> bool:
    if address.via != "email" or not users_with_any([address.value], besides=identity.user):
        return False
    logger.warning("A verified address of identity %s is left out: it is another user's", identity.pk)
    return True


def _set(identity: Identity, wanted: _Wanted, database: str) -> _Changes:
    """Set the new values on the identity and its user, and say which they are; nothing is saved."""
    mapped = wanted.mapped
    values = {
        "traits": overlay(identity.traits, mapped.traits),
        "metadata_public": mapped.metadata_public,
        "metadata_admin": mapped.metadata_admin,
    }
    columns = []
    for name, value in values.items():
        if value is not None and not same(getattr(identity, name), value):
            setattr(identity, name, value)
            columns.append(name)
    groups = memberships.group_changes(identity, wanted.account.groups, database)
    if list(groups.granted) != identity.granted_groups:
        identity.granted_groups = list(groups.granted)
        columns.append("granted_groups")
    user_fields = apply(identity.user, wanted.account.fields)
    return _Changes(columns=columns, user_fields=user_fields, groups=groups)


@retry_on_deadlock
def _save(
    credential: Credential, wanted: _Wanted, checked: JSONObject, database: str
) -> tuple[Identity, _Changes]:
    """Write what differs from the rows as they are once they are locked."""
    with transaction.atomic(using=database):
        rows = Identity.objects.using(database).select_related("user")
        rows.filter(pk=credential.identity.pk).lock()
        identity = rows.get(pk=credential.identity.pk)
        changes = _set(identity, wanted, database)
        if not same(identity.traits, checked):
            # Rare: another sign-in of theirs wrote meanwhile. The sandbox answers in seconds at most.
            missing_traits.refuse_invalid(identity.traits)
        _write(identity, credential, wanted, changes, database)
    return identity, changes


def _write(
    identity: Identity, credential: Credential, wanted: _Wanted, changes: _Changes, database: str
) -> None:
    user: AbstractBaseUser = identity.user
    if changes.user_fields:
        user.save(using=database, update_fields=changes.user_fields)
    if changes.columns:
        identity.save(using=database, update_fields=[*changes.columns, "updated_at"])
    if wanted.addresses:
        rows = address_rows(identity, wanted.addresses, credential=credential)
        # They were compared before the lock, so another sign-in may have added them.
        VerifiableAddress.objects.using(database).bulk_create(rows, ignore_conflicts=True)
    memberships.write(user, changes.groups, database)

"""Bring a known identity up to date at a sign-in.

Most sign-ins change nothing, so the mapping is first compared without a lock; only where something differs is
the row locked, read again and written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from django.contrib.auth.models import AbstractBaseUser
from django.db import DataError, IntegrityError, router, transaction

from django_ms_identity import hooks, runtime
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.exceptions import (
    IdentityInactive,
    MapperResultInvalid,
    MapperRuntimeFailed,
    PythonMapperFailed,
    RegistrationRefused,
    SignInRefused,
    UserInvalid,
)
from django_ms_identity.jsonnet.json_values import JSON, JSONObject
from django_ms_identity.models import Credential, Identity, VerifiableAddress, normalised
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.signals import identity_updated
from django_ms_identity.traits.mapping_result import Address, MappingResult
from django_ms_identity.traits.merging import overlay, same
from django_ms_identity.transactions import retry_on_deadlock

from . import groups, missing_traits
from .groups import GroupChanges
from .linking.matching import users_with_any
from .registration import refuse_unstorable, write_addresses
from .trusted_addresses import TrustedAddresses, email_trait, exact, trusted_addresses
from .user_fields import PRIVILEGES, UserFields, apply, email_field, fields_for_existing_user

logger = logging.getLogger(__name__)

_DATA = frozenset({"traits", "metadata_public", "metadata_admin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Update:
    """What a mapping asks for, less what is not allowed."""

    mapping: MappingResult = field(repr=False)
    user: UserFields
    addresses: tuple[Address, ...] = field(repr=False)
    """Those that the identity lacks."""
    create_groups: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    columns: list[str]
    """Of the identity; the values are set already."""
    user_fields: list[str]
    groups: GroupChanges

    @property
    def any(self) -> bool:
        return bool(self.columns or self.user_fields or self.groups.joined or self.groups.left)


def update_identity(context: SignInContext, credential: Credential) -> None:
    """Map the claims again and write what changed in one transaction.

    The credential then has the identity as it was written.

    Sends ``identity_updated`` where traits or metadata changed. Raises what ``runtime.map_claims``
    raises, ``TraitsInvalid``, ``UserInvalid``, or ``IdentityInactive`` if it was deleted meanwhile; nothing
    is written then.
    """
    identity = credential.identity
    database = router.db_for_write(Identity, instance=identity)
    mapping = runtime.map_claims(context, mapper_identity(identity))
    update = _plan(context, identity, mapping, database)
    changes = _set(identity, update, database)
    if not update.addresses and not changes.any:
        return
    checked = identity.traits
    if "traits" in changes.columns:
        missing_traits.refuse_invalid(checked, context.config)
    try:
        identity, changes = _save(context, credential, update, checked, database)
    except Identity.DoesNotExist:
        raise IdentityInactive("the identity was deleted while it signed in") from None
    except (DataError, IntegrityError):
        raise UserInvalid(
            "the database refuses what changed",
            hint="A value is longer than its column, or a unique field of the user model has it already.",
        ) from None
    credential.identity = identity
    logger.info("Updated identity %s by provider %s", identity.pk, context.provider.id)
    if not _DATA.isdisjoint(changes.columns):
        identity_updated.send_robust(Identity, **hooks.arguments(context, credential))


def describe_update(
    context: SignInContext, credential: Credential, mapping: MappingResult
) -> tuple[str, ...]:
    """Say in words what ``update_identity`` would write; nothing is saved, only the object is changed.

    Raises ``UserInvalid`` and ``MapperResultInvalid`` as ``update_identity`` does.
    """
    identity = credential.identity
    database = router.db_for_write(Identity, instance=identity)
    update = _plan(context, identity, mapping, database)
    changes = _set(identity, update, database)
    return (
        *(name for name in changes.columns if name in _DATA),
        *(f"user.{name}" for name in changes.user_fields),
        *(f"joins the group {group.name}" for group in changes.groups.joined),
        *(f"leaves the group {group.name}" for group in changes.groups.left),
        *(f"verified address {address.value}" for address in update.addresses),
    )


def mapper_identity(identity: Identity) -> Mapping[str, JSON]:
    """Return what a mapper sees in ``std.extVar('identity')`` of a known person."""
    return {
        "traits": identity.traits,
        "metadata_public": identity.metadata_public,
        "metadata_admin": identity.metadata_admin,
        "self_asserted": identity.self_asserted,
    }


def _plan(context: SignInContext, identity: Identity, mapping: MappingResult, database: str) -> _Update:
    refuse_unstorable(mapping)
    # What the visitor typed may come back from a mapper; it must not reach the user.
    mapping = replace(mapping, self_asserted=tuple(identity.self_asserted))
    current = str(getattr(identity.user, email_field(), "") or "") if email_field() else ""
    emails = _emails_in(mapping) - {exact(current)}
    rows: list[VerifiableAddress] = []
    if emails or mapping.verified_addresses:
        rows = list(VerifiableAddress.objects.using(database).filter(identity=identity))
    verified = [row.value for row in rows if row.via == "email" and row.verified_at is not None]
    if not emails <= set(map(exact, verified)) or _grants_something(identity, mapping, verified):
        # Whatever is new must follow from the claims alone; a mapper may hand on what is stored.
        mapping = replace(mapping, confirmation=_of_claims_alone(context))
        trusted = trusted_addresses(context, mapping, known=verified)
    else:
        trusted = trusted_addresses(context, mapping, known=[*verified, current])
    wanted = fields_for_existing_user(context, mapping, trusted, user=identity.user)
    wanted = _without_taken_email(wanted, identity)
    if wanted.groups is not None and _is_overage(context.claims):
        logger.warning(
            "Groups of identity %s stay: Microsoft left them out of the token (overage)",
            identity.pk,
        )
        wanted = replace(wanted, groups=None)
    return _Update(
        mapping=mapping,
        user=wanted,
        addresses=_new_addresses(identity, trusted, {(row.via, row.normalised) for row in rows}),
        create_groups=context.config.create_groups,
    )


def _grants_something(identity: Identity, mapping: MappingResult, verified: list[str]) -> bool:
    """Say whether a mapping would grant an address or a privilege that this identity does not have yet."""
    already = {exact(email) for email in verified}
    if any(
        address.via != "email" or exact(address.value) not in already
        for address in mapping.verified_addresses
    ):
        return True
    fields = mapping.user.fields if mapping.user else {}
    groups_named = set(mapping.user.groups or ()) if mapping.user else set()
    if not groups_named <= set(identity.granted_groups):
        return True
    return any(fields.get(name) and not getattr(identity.user, name, False) for name in PRIVILEGES)


def _emails_in(mapping: MappingResult) -> set[str]:
    """Return what may be an e-mail address for the user, in the form in which trust is granted."""
    fields = mapping.user.fields.values() if mapping.user else ()
    values = [email_trait(mapping), *(value for value in fields if isinstance(value, str) and "@" in value)]
    return {exact(value) for value in values if value}


def _of_claims_alone(context: SignInContext) -> MappingResult:
    try:
        return runtime.map_claims(context)
    except (
        MapperRuntimeFailed,
        MapperResultInvalid,
        PythonMapperFailed,
        RegistrationRefused,
        SignInRefused,
    ):
        # A mapper that counts on a stored identity: it makes nothing of the claims alone.
        return MappingResult(traits={})


def _without_taken_email(wanted: UserFields, identity: Identity) -> UserFields:
    name = email_field()
    email = wanted.fields.get(name)
    if email is None or email == getattr(identity.user, name):
        return wanted
    if not users_with_any([str(email)], besides=identity.user):
        return wanted
    logger.warning("The e-mail address of identity %s stays: the new one is another user's", identity.pk)
    return replace(wanted, fields={key: value for key, value in wanted.fields.items() if key != name})


def _is_overage(claims: Claims) -> bool:
    """Say whether the person has more groups than fit into a token (Microsoft: groups overage claim)."""
    elsewhere = claims.payload.get("_claim_names")
    return (isinstance(elsewhere, dict) and "groups" in elsewhere) or claims.payload.get("hasgroups") in (
        True,
        "true",
    )


def _new_addresses(
    identity: Identity, trusted: TrustedAddresses, known: set[tuple[str, str]]
) -> tuple[Address, ...]:
    added = [address for address in trusted.verified if (address.via, normalised(address.value)) not in known]
    return tuple(address for address in added if not _is_taken(address, identity))


def _is_taken(address: Address, identity: Identity) -> bool:
    if address.via != "email" or not users_with_any([address.value], besides=identity.user):
        return False
    logger.warning("A verified address of identity %s is left out: it is another user's", identity.pk)
    return True


def _set(identity: Identity, update: _Update, database: str) -> _Changes:
    """Set the new values on the identity and its user, and return which they are; nothing is saved."""
    mapping = update.mapping
    values = {
        "traits": overlay(identity.traits, mapping.traits),
        "metadata_public": mapping.metadata_public,
        "metadata_admin": mapping.metadata_admin,
    }
    columns = []
    for name, value in values.items():
        if value is not None and not same(getattr(identity, name), value):
            setattr(identity, name, value)
            columns.append(name)
    changes = groups.group_changes(
        identity, _grantable(identity, update), database, create=update.create_groups
    )
    if list(changes.granted) != identity.granted_groups:
        identity.granted_groups = list(changes.granted)
        columns.append("granted_groups")
    return _Changes(columns=columns, user_fields=apply(identity.user, update.user.fields), groups=changes)


def _grantable(identity: Identity, update: _Update) -> tuple[str, ...] | None:
    """Return the groups that the mapping names, without new ones that the claims alone do not grant."""
    names, confirmation = update.user.groups, update.mapping.confirmation
    if names is None:
        return None
    # Without a confirmation nothing was new, and only what the row says now counts.
    confirmed = confirmation.user if confirmation else None
    confirmed_names = (confirmed.groups if confirmed else None) or ()
    return tuple(name for name in names if name in confirmed_names or name in identity.granted_groups)


@retry_on_deadlock
def _save(
    context: SignInContext, credential: Credential, update: _Update, checked: JSONObject, database: str
) -> tuple[Identity, _Changes]:
    """Write what differs from the rows as they are once they are locked."""
    with transaction.atomic(using=database):
        rows = Identity.objects.using(database).select_related("user")
        rows.filter(pk=credential.identity.pk).lock()
        identity = rows.get(pk=credential.identity.pk)
        changes = _set(identity, update, database)
        if not same(identity.traits, checked):
            # Rare: another sign-in of the same person wrote meanwhile.
            missing_traits.refuse_invalid(identity.traits, context.config)
        _write_changes(identity, credential, update, changes, database)
    return identity, changes


def _write_changes(
    identity: Identity, credential: Credential, update: _Update, changes: _Changes, database: str
) -> None:
    user: AbstractBaseUser = identity.user
    if changes.user_fields:
        user.save(using=database, update_fields=changes.user_fields)
    if changes.columns:
        identity.save(using=database, update_fields=[*changes.columns, "updated_at"])
    if update.addresses:
        write_addresses(identity, update.addresses, credential=credential, database=database)
    groups.write(user, changes.groups, database)

"""Writes identities that Ory Kratos exported: the transaction script. Attaches nobody to an existing user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, router, transaction
from django.utils import timezone

from .accounts import Account, account_without_claims, build_user, username_is_email, with_suffix
from .entra.clouds import GUID, TenantKind
from .entra.providers import PROVIDER_ID, Provider, SubjectSource
from .entra.tokens import is_subject
from .exceptions import EmailUnverified, MSIdentityError
from .kratos.identities import ExportedCredential, ExportedIdentity, Misshapen
from .mapping.json_text import JSONObject
from .mapping.result import Address, Mapped, Scalar, UserFields
from .models import Credential, Identity, VerifiableAddress, credential_key, normalised
from .registration import address_rows, refuse_unstorable, user_with_any

if TYPE_CHECKING:
    from .mapping.schema import IdentitySchema


class Outcome(StrEnum):
    """What became of one entry of the export."""

    IMPORTED = "imported"
    ALREADY_HERE = "already here"
    SKIPPED = "skipped"
    FAILED = "failed"


class Skip(StrEnum):
    """Why an identity stays out, though nothing is wrong with it."""

    NO_CREDENTIAL = "no credential is left to sign in with"
    ACCOUNT_EXISTS = "a verified address belongs to an existing user"
    CREDENTIAL_TAKEN = "a credential belongs to another identity here"
    EMAIL_UNVERIFIED = "the user model needs a verified e-mail address and there is none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one entry; nothing in it is personal."""

    name: str
    """The identity's id, or its place in the export."""
    outcome: Outcome
    reason: str = ""
    left_out: tuple[str, ...] = ()
    """Why credentials were not taken over."""
    has_invalid_traits: bool = False
    has_foreign_subject: bool = False
    """Whether a subject looks like an object id although the provider's subjects are another thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How an export becomes rows."""

    providers: Mapping[str, Provider]
    """Kratos' ids of providers to ours."""
    tenant: str
    """Whose people they all are; empty where the first sign-in is to settle it."""
    schema: IdentitySchema | None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A credential to be written."""

    provider: Provider
    subject: str
    key: str


class Import:
    """One run; a class because a dry run must remember what it would have written."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._database = router.db_for_write(Identity)
        self._would_hold: dict[str, UUID] = {}
        self._would_exist: set[UUID] = set()
        self._would_have: set[str] = set()

    def take(self, entry: ExportedIdentity | Misshapen) -> Verdict:
        """Import one entry in a transaction of its own, and say what became of it; raises nothing."""
        if isinstance(entry, Misshapen):
            return Verdict(name=entry.name, outcome=Outcome.FAILED, reason="; ".join(entry.faults))
        keys, left_out = self._keys(entry)
        is_invalid = False
        try:
            is_invalid = self._plan.schema is not None and bool(self._plan.schema.problems(entry.traits))
            outcome, reason = self._decide(entry, keys)
        except EmailUnverified:
            outcome, reason = Outcome.SKIPPED, Skip.EMAIL_UNVERIFIED.value
        except MSIdentityError as error:
            outcome, reason = Outcome.FAILED, f"{error.code}: {error.detail}"
        except Exception as error:
            # The project's own receivers of post_save may raise anything, and the rest is still to come.
            # What an exception says may be personal.
            outcome, reason = Outcome.FAILED, f"{type(error).__name__} while it was written"
        return Verdict(
            name=f"identity {entry.id}",
            outcome=outcome,
            reason=reason,
            left_out=left_out,
            has_invalid_traits=is_invalid,
            has_foreign_subject=any(map(_is_foreign, keys)),
        )

    def _keys(self, exported: ExportedIdentity) -> tuple[tuple[_Key, ...], tuple[str, ...]]:
        """Return the credentials that can be taken over, and why the others cannot."""
        keys: dict[str, _Key] = {}
        left_out = []
        for credential in exported.credentials:
            provider = self._plan.providers.get(credential.provider)
            if reason := _why_not(credential, provider, self._plan.tenant):
                left_out.append(reason)
            elif provider is not None:
                key = credential_key(provider.id, credential.subject)
                keys[key] = _Key(provider=provider, subject=credential.subject, key=key)
        return tuple(keys.values()), tuple(dict.fromkeys(left_out))

    def _decide(self, exported: ExportedIdentity, keys: tuple[_Key, ...]) -> tuple[Outcome, str]:
        if known := self._known(exported, keys):
            return known
        if not keys:
            return Outcome.SKIPPED, Skip.NO_CREDENTIAL
        mapped = _mapped(exported)
        refuse_unstorable(mapped)
        emails = {address.value for address in mapped.verified_addresses if address.via == "email"}
        if user_with_any(emails) is not None or not self._would_have.isdisjoint(map(normalised, emails)):
            return Outcome.SKIPPED, Skip.ACCOUNT_EXISTS
        account = account_without_claims(keys[0].provider, mapped, subject=keys[0].subject)
        if self._plan.dry_run:
            build_user(account)
            self._would_exist.add(exported.id)
            self._would_hold |= {key.key: exported.id for key in keys}
            self._would_have |= set(map(normalised, emails))
            return Outcome.IMPORTED, ""
        try:
            self._write(exported, keys, mapped, account)
        except IntegrityError:
            # Somebody registered meanwhile, or the user name is taken.
            if known := self._known(exported, keys):
                return known
            if username_is_email():
                return Outcome.SKIPPED, Skip.ACCOUNT_EXISTS
            self._write(exported, keys, mapped, with_suffix(account))
        return Outcome.IMPORTED, ""

    def _known(self, exported: ExportedIdentity, keys: tuple[_Key, ...]) -> tuple[Outcome, str] | None:
        wanted = {key.key for key in keys}
        rows = Credential.objects.using(self._database).filter(key__in=wanted)
        holders = dict(rows.values_list("key", "identity_id"))
        holders |= {key: self._would_hold[key] for key in wanted & self._would_hold.keys()}
        is_here = (
            exported.id in self._would_exist
            or Identity.objects.using(self._database).filter(pk=exported.id).exists()
        )
        others = {key: holder for key, holder in holders.items() if holder != exported.id}
        # Who signed in here before the import is the same person under another id.
        is_same_person = not is_here and others.keys() == wanted and len(set(others.values())) == 1
        if others and not is_same_person:
            return Outcome.SKIPPED, Skip.CREDENTIAL_TAKEN
        return (Outcome.ALREADY_HERE, "") if is_here or others else None

    def _write(
        self, exported: ExportedIdentity, keys: tuple[_Key, ...], mapped: Mapped, account: Account
    ) -> None:
        user = build_user(account)
        with transaction.atomic(using=self._database):
            user.save(using=self._database, force_insert=True)
            rows = Identity.objects.using(self._database)
            identity = rows.create(
                id=exported.id,
                user=user,  # type: ignore[misc]  # AUTH_USER_MODEL, whatever it is
                traits=mapped.traits,
                metadata_public=exported.metadata_public,
                metadata_admin=exported.metadata_admin,
                state=Identity.State.ACTIVE if exported.is_active else Identity.State.INACTIVE,
                state_changed_at=_storable(exported.state_changed_at),
            )
            if exported.created_at is not None:
                # auto_now_add overrules whatever create() is given.
                rows.filter(pk=identity.pk).update(created_at=_storable(exported.created_at))
            Credential.objects.using(self._database).bulk_create(
                Credential(
                    identity=identity,
                    provider=key.provider.id,
                    subject=key.subject,
                    subject_source=key.provider.subject_source.value,
                    tenant=self._plan.tenant,
                    object_id=key.subject if key.provider.subject_source is SubjectSource.OID else "",
                    key=key.key,
                )
                for key in keys
            )
            if addresses := address_rows(identity, mapped.verified_addresses):
                times = {it.address: it.verified_at for it in exported.verified_addresses}
                for row in addresses:
                    verified_at = times[Address(via=row.via, value=row.value)]
                    row.verified_at = _storable(verified_at) or row.verified_at
                VerifiableAddress.objects.using(self._database).bulk_create(addresses)


def _why_not(credential: ExportedCredential, provider: Provider | None, tenant: str) -> str:
    """Say why a credential cannot be taken over, or nothing."""
    if provider is None:
        shown = credential.provider if PROVIDER_ID.fullmatch(credential.provider) else "…"
        return f"provider {shown!r} is not configured here"
    if credential.auto_link:
        return f"an entry of provider {provider.id!r} has use_auto_link, so nobody proved it yet"
    if tenant and provider.tenant.kind is TenantKind.GUID and provider.tenant.value != tenant:
        return f"provider {provider.id!r} is for another tenant, so nobody of {tenant} could sign in"
    if not is_subject(credential.subject):
        return f"a subject of provider {provider.id!r} is none that Microsoft gives"
    if provider.subject_source is SubjectSource.OID and not GUID.fullmatch(credential.subject):
        return f"a subject of provider {provider.id!r} is no object id, and its subject_source is oid"
    return ""


def _is_foreign(key: _Key) -> bool:
    return key.provider.subject_source is SubjectSource.USERINFO and bool(GUID.fullmatch(key.subject))


def _mapped(exported: ExportedIdentity) -> Mapped:
    """Return the identity as if a mapper had made it; its user is what traits of the usual names say."""
    traits = exported.traits
    email = normalised(str(traits.get("email") or ""))
    # The address that the person goes by comes first: the user gets one.
    addresses = sorted(
        (it.address for it in exported.verified_addresses), key=lambda it: normalised(it.value) != email
    )
    wanted: dict[str, Scalar] = {
        "username": _username(traits, {normalised(it.value) for it in addresses if it.via == "email"}),
        "first_name": _name(traits, "first"),
        "last_name": _name(traits, "last"),
    }
    return Mapped(
        traits=traits,
        verified_addresses=tuple(addresses),
        user=UserFields(fields={name: value for name, value in wanted.items() if value}),
    )


def _username(traits: JSONObject, verified: set[str]) -> str:
    for name in ("username", "preferred_username", "email"):
        value = traits.get(name)
        if isinstance(value, str) and (
            normalised(value) in verified or (name == "username" and "@" not in value)
        ):
            return value
    return ""


def _name(traits: JSONObject, part: str) -> str:
    names = traits.get("name")
    nested = names.get(part) if isinstance(names, dict) else None
    value = traits.get(f"{part}_name", nested)
    return value if isinstance(value, str) else ""


def _storable(moment: datetime | None) -> datetime | None:
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)

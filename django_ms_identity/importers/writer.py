"""Writes identities that Ory Kratos exported: the transaction script. Attaches nobody to an existing user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, router, transaction
from django.utils import timezone

from django_ms_identity.entra.providers import SubjectSource
from django_ms_identity.exceptions import EmailUnverified, MSIdentityError
from django_ms_identity.identities.linking.matching import emails_in_use
from django_ms_identity.identities.registration import address_rows, refuse_unstorable
from django_ms_identity.identities.trusted_addresses import vouched_addresses
from django_ms_identity.identities.user_fields import (
    UserFields,
    build_user,
    fields_for_imported_user,
    username_is_email,
    with_suffix,
)
from django_ms_identity.models import Credential, Identity, VerifiableAddress, normalised
from django_ms_identity.traits.mapping_result import Address, MappingResult

from .kratos import ExportedIdentity, InvalidEntry
from .record import Outcome, Plan, PlannedCredential, Skip, Verdict, credentials_for, is_foreign, mapped_for

_BATCH = 50


class Import:
    """One run; a class because it remembers who is here, and a dry run who would be."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._database = router.db_for_write(Identity)
        self._ids: set[UUID] = set()
        self._holders: dict[str, UUID] = {}
        """Keys of credentials to the identities that have them."""
        self._emails: set[str] = set()
        """Normalised, of anybody."""

    def take(self, entries: Iterable[ExportedIdentity | InvalidEntry]) -> Iterator[Verdict]:
        """Import each entry in a transaction of its own, and say what became of it.

        Who is here is looked up for a few dozen entries at a time, for the user model may have no index on
        its e-mail field. Somebody who registers in between is still found where the database keeps things
        unique: by id, credential and user name.
        """
        iterator = iter(entries)
        while batch := list(islice(iterator, _BATCH)):
            self._look_up([entry for entry in batch if isinstance(entry, ExportedIdentity)])
            yield from map(self._take, batch)

    def _take(self, entry: ExportedIdentity | InvalidEntry) -> Verdict:
        if isinstance(entry, InvalidEntry):
            return Verdict(name=entry.name, outcome=Outcome.FAILED, reason="; ".join(entry.faults))
        credentials, left_out = credentials_for(entry, self._plan)
        is_invalid = False
        try:
            is_invalid = self._plan.schema is not None and bool(self._plan.schema.problems(entry.traits))
            outcome, reason = self._decide(entry, credentials)
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
            has_foreign_subject=any(map(is_foreign, credentials)),
        )

    def _look_up(self, batch: list[ExportedIdentity]) -> None:
        if not self._plan.dry_run:
            # What this run wrote is in the database.
            self._ids, self._holders, self._emails = set(), {}, set()
        ids = [exported.id for exported in batch]
        keys = [it.key for exported in batch for it in credentials_for(exported, self._plan)[0]]
        emails = {
            it.address.value
            for exported in batch
            for it in exported.verified_addresses
            if it.address.via == "email"
        }
        identities = Identity.objects.using(self._database).filter(pk__in=ids)
        self._ids |= set(identities.values_list("pk", flat=True))
        credentials = Credential.objects.using(self._database).filter(key__in=keys)
        self._holders |= dict(credentials.values_list("key", "identity_id"))
        self._emails |= emails_in_use(emails)

    def _decide(
        self, exported: ExportedIdentity, credentials: tuple[PlannedCredential, ...]
    ) -> tuple[Outcome, str]:
        if known := self._known(exported, credentials):
            return known
        if not credentials:
            return Outcome.SKIPPED, Skip.NO_CREDENTIAL
        mapped = mapped_for(exported)
        refuse_unstorable(mapped)
        emails = {normalised(it.value) for it in mapped.verified_addresses if it.via == "email"}
        if not self._emails.isdisjoint(emails):
            return Outcome.SKIPPED, Skip.ACCOUNT_EXISTS
        account = fields_for_imported_user(
            credentials[0].provider, credentials[0].subject, mapped, vouched_addresses(mapped)
        )
        try:
            self._write(exported, credentials, mapped, account)
        except IntegrityError:
            # Somebody registered meanwhile, or the user name is taken.
            self._look_up([exported])
            if known := self._known(exported, credentials):
                return known
            if username_is_email():
                return Outcome.SKIPPED, Skip.ACCOUNT_EXISTS
            self._write(exported, credentials, mapped, with_suffix(account))
        self._ids.add(exported.id)
        self._holders |= {it.key: exported.id for it in credentials}
        self._emails |= emails
        return Outcome.IMPORTED, ""

    def _known(
        self, exported: ExportedIdentity, credentials: tuple[PlannedCredential, ...]
    ) -> tuple[Outcome, str] | None:
        wanted = {it.key for it in credentials}
        is_here = exported.id in self._ids
        others = {key: self._holders[key] for key in wanted & self._holders.keys()}
        others = {key: holder for key, holder in others.items() if holder != exported.id}
        # Who signed in here before the import is the same person under another id.
        is_same_person = not is_here and others.keys() == wanted and len(set(others.values())) == 1
        if others and not is_same_person:
            return Outcome.SKIPPED, Skip.CREDENTIAL_TAKEN
        return (Outcome.ALREADY_HERE, "") if is_here or others else None

    def _write(
        self,
        exported: ExportedIdentity,
        credentials: tuple[PlannedCredential, ...],
        mapped: MappingResult,
        account: UserFields,
    ) -> None:
        user = build_user(account)
        if self._plan.dry_run:
            return
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
            made = Credential.objects.using(self._database).bulk_create(
                Credential(
                    identity=identity,
                    provider=it.provider.id,
                    subject=it.subject,
                    subject_source=it.provider.subject_source.value,
                    tenant=self._plan.tenant,
                    object_id=it.subject if it.provider.subject_source is SubjectSource.OID else "",
                    key=it.key,
                )
                for it in credentials
            )
            # Of several nobody knows whose word it was: then the addresses are the identity's own.
            only = made[0] if len(made) == 1 and made[0].pk else None
            if addresses := address_rows(identity, mapped.verified_addresses, credential=only):
                times = {it.address: it.verified_at for it in exported.verified_addresses}
                for row in addresses:
                    verified_at = times[Address(via=row.via, value=row.value)]
                    row.verified_at = _storable(verified_at) or row.verified_at
                # Some collations take two of them for one: the first stays.
                VerifiableAddress.objects.using(self._database).bulk_create(addresses, ignore_conflicts=True)


def _storable(moment: datetime | None) -> datetime | None:
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)

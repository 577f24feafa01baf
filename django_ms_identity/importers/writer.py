"""Write exported identities, each in a transaction of its own; never attach one to an existing user."""

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
from django_ms_identity.identities.registration import address_rows, new_identity, refuse_unstorable
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
from .record import (
    ImportOptions,
    ImportResult,
    ImportWarning,
    Outcome,
    PlannedIdentity,
    Skip,
    mapping_for,
    plan_identity,
    warnings_for,
)

_BATCH = 50


class Import:
    """One run; a class because it remembers what exists, and in a dry run what would."""

    def __init__(self, options: ImportOptions) -> None:
        self._options = options
        self._database = router.db_for_write(Identity)
        self._ids: set[UUID] = set()
        self._holders: dict[str, UUID] = {}
        """Keys of credentials to the identities that have them."""
        self._emails: set[str] = set()
        """Normalised, of all users."""

    def run(self, entries: Iterable[ExportedIdentity | InvalidEntry]) -> Iterator[ImportResult]:
        """Import each entry, and say what became of it.

        Existing rows are looked up for a few dozen entries at a time, because the user model may have no
        index on its e-mail field. A registration in between is still found by what the database keeps
        unique: id, credential and user name.
        """
        iterator = iter(entries)
        while entries_in_batch := list(islice(iterator, _BATCH)):
            batch = [
                entry if isinstance(entry, InvalidEntry) else plan_identity(entry, self._options)
                for entry in entries_in_batch
            ]
            self._look_up([entry for entry in batch if isinstance(entry, PlannedIdentity)])
            yield from map(self._import, batch)

    def _import(self, planned: PlannedIdentity | InvalidEntry) -> ImportResult:
        if isinstance(planned, InvalidEntry):
            return ImportResult(name=planned.name, outcome=Outcome.FAILED, reason="; ".join(planned.faults))
        warnings: tuple[ImportWarning, ...] = ()
        try:
            warnings = tuple(warnings_for(planned, self._options.schema))
            outcome, reason = self._decide(planned)
        except EmailUnverified:
            outcome, reason = Outcome.SKIPPED, Skip.EMAIL_UNVERIFIED
        except MSIdentityError as error:
            outcome, reason = Outcome.FAILED, f"{error.code}: {error.detail}"
        except Exception as error:
            # A project's receivers of post_save may raise anything, which must not stop the other entries.
            # The message may be personal.
            outcome, reason = Outcome.FAILED, f"{type(error).__name__} while it was written"
        return ImportResult(
            name=f"identity {planned.exported.id}",
            outcome=outcome,
            reason=reason,
            left_out=planned.left_out,
            warnings=warnings if outcome is Outcome.IMPORTED else (),
        )

    def _look_up(self, batch: list[PlannedIdentity]) -> None:
        if not self._options.dry_run:
            # What this run wrote is in the database.
            self._ids, self._holders, self._emails = set(), {}, set()
        identities = Identity.objects.using(self._database).filter(pk__in=[it.exported.id for it in batch])
        self._ids |= set(identities.values_list("pk", flat=True))
        keys = [credential.key for it in batch for credential in it.credentials]
        credentials = Credential.objects.using(self._database).filter(key__in=keys)
        self._holders |= dict(credentials.values_list("key", "identity_id"))
        self._emails |= emails_in_use({email for it in batch for email in it.exported.verified_emails})

    def _decide(self, planned: PlannedIdentity) -> tuple[Outcome, str]:
        if known := self._known(planned):
            return known
        if not planned.credentials:
            return Outcome.SKIPPED, Skip.NO_CREDENTIAL
        mapping = mapping_for(planned.exported)
        refuse_unstorable(mapping)
        emails = set(map(normalised, planned.exported.verified_emails))
        if not self._emails.isdisjoint(emails):
            return Outcome.SKIPPED, Skip.ACCOUNT_EXISTS
        first = planned.credentials[0]
        fields = fields_for_imported_user(first.provider, first.subject, mapping, vouched_addresses(mapping))
        try:
            self._write(planned, mapping, fields)
        except IntegrityError:
            # Another request registered this person meanwhile, or the user name is taken.
            self._look_up([planned])
            if known := self._known(planned):
                return known
            if username_is_email():
                return Outcome.SKIPPED, Skip.ACCOUNT_EXISTS
            self._write(planned, mapping, with_suffix(fields))
        self._ids.add(planned.exported.id)
        self._holders |= {it.key: planned.exported.id for it in planned.credentials}
        self._emails |= emails
        return Outcome.IMPORTED, ""

    def _known(self, planned: PlannedIdentity) -> tuple[Outcome, str] | None:
        identity_id = planned.exported.id
        is_here = identity_id in self._ids
        holders = {self._holders.get(it.key) for it in planned.credentials}
        others = holders - {None, identity_id}
        # All credentials with one other identity: the person signed in here before the import.
        is_same_person = not is_here and len(holders) == 1
        if others and not is_same_person:
            return Outcome.SKIPPED, Skip.CREDENTIAL_TAKEN
        return (Outcome.ALREADY_HERE, "") if is_here or others else None

    def _write(self, planned: PlannedIdentity, mapping: MappingResult, fields: UserFields) -> None:
        exported = planned.exported
        user = build_user(fields)
        if self._options.dry_run:
            return
        with transaction.atomic(using=self._database):
            user.save(using=self._database, force_insert=True)
            identity = new_identity(user, mapping)
            identity.id = exported.id
            identity.state = Identity.State.ACTIVE if exported.is_active else Identity.State.INACTIVE
            identity.state_changed_at = _naive_if_needed(exported.state_changed_at)
            identity.save(using=self._database, force_insert=True)
            if created_at := _naive_if_needed(exported.created_at):
                # save() sets auto_now_add fields to the present.
                rows = Identity.objects.using(self._database).filter(pk=identity.pk)
                rows.update(created_at=created_at)
            written = Credential.objects.using(self._database).bulk_create(
                Credential(
                    identity=identity,
                    provider=it.provider.id,
                    subject=it.subject,
                    subject_source=it.provider.subject_source.value,
                    tenant=self._options.tenant,
                    object_id=it.subject if it.provider.subject_source is SubjectSource.OID else "",
                    key=it.key,
                )
                for it in planned.credentials
            )
            # With several, it is unknown which one vouched for the addresses.
            only = written[0] if len(written) == 1 and written[0].pk else None
            if addresses := address_rows(identity, mapping.verified_addresses, credential=only):
                for row in addresses:
                    verified_at = exported.verified_addresses[Address(via=row.via, value=row.value)]
                    row.verified_at = _naive_if_needed(verified_at) or row.verified_at
                # Some collations take two of them for one: the first stays.
                VerifiableAddress.objects.using(self._database).bulk_create(addresses, ignore_conflicts=True)


def _naive_if_needed(moment: datetime | None) -> datetime | None:
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)

"""``manage.py ms_identity import-kratos``: the people of Ory Kratos become people here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_ms_identity import conf, runtime
from django_ms_identity.entra.clouds import GUID
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.importers.kratos_export import ExportUnreadable, count, read
from django_ms_identity.importers.record import Outcome, Plan, Verdict
from django_ms_identity.importers.writer import Import

from .console import one_of, read_text

HELP = "take over the identities that Ory Kratos exported"
PROGRESS_EVERY = 1000


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("export", metavar="FILE", help="JSON or JSON lines; - reads standard input")
    parser.add_argument(
        "--tenant",
        default="",
        metavar="GUID",
        help="whose people they are; else the first sign-in settles it",
    )
    parser.add_argument(
        "--provider",
        action="append",
        default=[],
        metavar="KRATOS_ID=OUR_ID",
        help="what Kratos calls a provider that is called otherwise here; may be repeated",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")


def run(command: BaseCommand, *, export: str, tenant: str, renamed: list[str], dry_run: bool) -> None:
    """Import a file and report; raise ``CommandError`` if it cannot begin, or if an identity failed."""
    try:
        config = conf.get_config()
        providers = _providers(renamed, config.providers)
        schema = runtime.identity_schema(config)
    except MSIdentityError as error:
        raise CommandError(f"{error.code}: {error.detail} {error.hint}".strip()) from None
    plan = Plan(providers=providers, tenant=_tenant(tenant), schema=schema, dry_run=dry_run)
    text = read_text(export)
    try:
        # Before anything is written: an export that was cut off is refused whole.
        total = count(text)
    except ExportUnreadable as error:
        raise CommandError(f"{export} is no export of Kratos: {error}.") from None
    summary = _Summary()
    began = time.monotonic()
    for done, verdict in enumerate(Import(plan).take(read(text)), start=1):
        summary.add(verdict)
        for line in _lines(verdict):
            command.stdout.write(line)
        if total > PROGRESS_EVERY and done % PROGRESS_EVERY == 0:
            rate = done / max(time.monotonic() - began, 0.001)
            command.stderr.write(f"{done} of {total}, {rate:.0f} a second")
            command.stderr.flush()
    summary.write(command, dry_run=dry_run)
    if failed := summary.outcomes[Outcome.FAILED]:
        raise CommandError(f"{failed} of {total} failed: see above. The same file can be imported again.")


class _Summary:
    """The counts of one run."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._skips: Counter[str] = Counter()
        self._invalid = 0
        self._foreign = 0

    def add(self, verdict: Verdict) -> None:
        self.outcomes[verdict.outcome] += 1
        if verdict.outcome is Outcome.SKIPPED:
            self._skips[verdict.reason] += 1
        if verdict.outcome is Outcome.IMPORTED:
            self._invalid += verdict.has_invalid_traits
            self._foreign += verdict.has_foreign_subject

    def write(self, command: BaseCommand, *, dry_run: bool) -> None:
        would = "Would be imported" if dry_run else "Imported"
        command.stdout.write(command.style.SUCCESS(f"{would}: {self.outcomes[Outcome.IMPORTED]}"))
        command.stdout.write(f"Already here: {self.outcomes[Outcome.ALREADY_HERE]}")
        command.stdout.write(f"Skipped: {self.outcomes[Outcome.SKIPPED]}")
        for reason, number in sorted(self._skips.items()):
            command.stdout.write(f"  {number}: {reason}")
        command.stdout.write(f"Failed: {self.outcomes[Outcome.FAILED]}")
        if self._invalid:
            command.stdout.write(
                command.style.WARNING(f"{self._invalid} have traits that the identity schema refuses.")
            )
        if self._foreign:
            command.stdout.write(
                command.style.WARNING(
                    f"{self._foreign} have an object id as their subject, but subject_source is userinfo "
                    "here: they will not be recognised. Set subject_source as it was in Kratos."
                )
            )


def _lines(verdict: Verdict) -> Iterator[str]:
    if verdict.outcome in (Outcome.SKIPPED, Outcome.FAILED):
        yield f"{verdict.name}: {verdict.outcome}: {verdict.reason}"
    # Who is here already was reported when they came.
    if verdict.outcome is not Outcome.ALREADY_HERE:
        for reason in verdict.left_out:
            yield f"{verdict.name}: a credential is left out: {reason}"


def _providers(renamed: list[str], configured: tuple[Provider, ...]) -> dict[str, Provider]:
    ours = {provider.id: provider for provider in configured}
    names = {}
    for pair in renamed:
        theirs, _, our = pair.partition("=")
        if not theirs or our not in ours:
            raise CommandError(
                f"--provider {pair!r} is not KRATOS_ID=OUR_ID; the providers here are {one_of(ours)}."
            )
        if theirs in names:
            raise CommandError(f"--provider names {theirs!r} twice.")
        names[theirs] = ours[our]
    return ours | names


def _tenant(text: str) -> str:
    tenant = text.lower()
    if tenant and not GUID.fullmatch(tenant):
        raise CommandError(f"--tenant {text!r} is no tenant id (a GUID).")
    return tenant

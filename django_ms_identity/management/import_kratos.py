"""``manage.py ms_identity import-kratos``: import the identities of Ory Kratos."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_ms_identity import conf, runtime
from django_ms_identity.entra.clouds import GUID
from django_ms_identity.entra.providers import Provider
from django_ms_identity.importers.kratos import ExportUnreadable, count, read
from django_ms_identity.importers.record import ImportOptions, ImportResult, ImportWarning, Outcome, Skip
from django_ms_identity.importers.writer import Import

from .console import command_errors, one_of, read_text

HELP = "import the identities that Ory Kratos exported"
PROGRESS_EVERY = 1000


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("export", metavar="FILE", help="JSON or JSON lines; - reads standard input")
    parser.add_argument(
        "--tenant",
        default="",
        metavar="GUID",
        help="the tenant of all of them; else the first sign-in settles it",
    )
    parser.add_argument(
        "--provider",
        action="append",
        default=[],
        metavar="KRATOS_ID=OUR_ID",
        help="a provider that has another id here than in Kratos; may be repeated",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and write nothing")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Import a file and report; raise ``CommandError`` if it cannot begin, or if an identity failed."""
    export, dry_run = options["export"], options["dry_run"]
    with command_errors():
        config = conf.get_config()
        import_options = ImportOptions(
            providers=_providers_by_kratos_id(options["provider"], config.providers),
            tenant=_parse_tenant(options["tenant"]),
            schema=runtime.identity_schema(config),
            dry_run=dry_run,
        )
    text = read_text(export)
    try:
        # Before anything is written: an export that was cut off is refused whole.
        total = count(text)
    except ExportUnreadable as error:
        raise CommandError(f"{export} is no export of Kratos: {error}.") from None
    counts: Counter[str] = Counter()
    began = time.monotonic()
    for done, result in enumerate(Import(import_options).run(read(text)), start=1):
        counts.update((result.outcome, result.reason, *result.warnings))
        for line in _lines(result):
            command.stdout.write(line)
        if total > PROGRESS_EVERY and done % PROGRESS_EVERY == 0:
            rate = done / max(time.monotonic() - began, 0.001)
            command.stderr.write(f"{done} of {total}, {rate:.0f} a second")
            command.stderr.flush()
    _print_summary(command, counts, dry_run=dry_run)
    if failed := counts[Outcome.FAILED]:
        raise CommandError(f"{failed} of {total} failed: see above. The same file can be imported again.")


def _lines(result: ImportResult) -> Iterator[str]:
    if result.outcome in (Outcome.SKIPPED, Outcome.FAILED):
        yield f"{result.name}: {result.outcome}: {result.reason}"
    # For those already here it was reported when they were imported.
    if result.outcome is not Outcome.ALREADY_HERE:
        for reason in result.left_out:
            yield f"{result.name}: a credential is left out: {reason}"


def _print_summary(command: BaseCommand, counts: Counter[str], *, dry_run: bool) -> None:
    write, style = command.stdout.write, command.style
    imported = "Would be imported" if dry_run else "Imported"
    write(style.SUCCESS(f"{imported}: {counts[Outcome.IMPORTED]}"))
    write(f"Already here: {counts[Outcome.ALREADY_HERE]}")
    write(f"Skipped: {counts[Outcome.SKIPPED]}")
    for reason in sorted(Skip):
        if counts[reason]:
            write(f"  {counts[reason]}: {reason}")
    write(f"Failed: {counts[Outcome.FAILED]}")
    for warning in ImportWarning:
        if counts[warning]:
            write(style.WARNING(f"{counts[warning]} {warning}"))


def _providers_by_kratos_id(renamed: list[str], providers: tuple[Provider, ...]) -> dict[str, Provider]:
    configured = {provider.id: provider for provider in providers}
    by_kratos_id = {}
    for pair in renamed:
        kratos_id, _, provider_id = pair.partition("=")
        if not kratos_id or provider_id not in configured:
            raise CommandError(
                f"--provider {pair!r} is not KRATOS_ID=OUR_ID; the providers here are {one_of(configured)}."
            )
        if kratos_id in by_kratos_id:
            raise CommandError(f"--provider names {kratos_id!r} twice.")
        by_kratos_id[kratos_id] = configured[provider_id]
    return configured | by_kratos_id


def _parse_tenant(text: str) -> str:
    tenant = text.lower()
    if tenant and not GUID.fullmatch(tenant):
        raise CommandError(f"--tenant {text!r} is no tenant id (a GUID).")
    return tenant

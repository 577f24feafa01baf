"""``manage.py ms_identity``: what an operator asks of the sign-in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import router
from django.urls import NoReverseMatch
from django.utils import timezone

from django_ms_identity import conf, links
from django_ms_identity.checks import TAG
from django_ms_identity.conf import Config
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.models import Credential, SignIn
from django_ms_identity.rehearsal import ask_microsoft

_BATCH = 5000
_MAX_DAYS = 36500


class Command(BaseCommand):
    help = "Check the set-up of the sign-in with Microsoft, and tidy up."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(
            dest="subcommand", required=True, title="commands", metavar="COMMAND"
        )
        check = commands.add_parser(
            "check", help="run every check, try each mapper, and print the redirect URIs to register"
        )
        check.add_argument(
            "--online", action="store_true", help="also ask Microsoft for each provider's tenant and keys"
        )
        clear = commands.add_parser("clear-sign-ins", help="delete old rows of the audit trail")
        clear.add_argument(
            "--older-than",
            type=int,
            required=True,
            metavar="DAYS",
            help="delete the sign-ins that began more than this many days ago",
        )

    def handle(self, *args: object, **options: Any) -> None:
        match options["subcommand"]:
            case "check":
                self._check(online=options["online"])
            case "clear-sign-ins":
                self._clear_sign_ins(options["older_than"])

    def _check(self, *, online: bool) -> None:
        database = router.db_for_read(Credential)
        every = checks.run_checks(tags=[TAG], include_deployment_checks=True, databases=[database])
        found = [message for message in every if not message.is_silenced()]
        for message in found:
            style = self.style.ERROR if message.is_serious() else self.style.WARNING
            self.stdout.write(style(f"{message.id}: {message.msg}"))
            if message.hint:
                self.stdout.write(f"    {message.hint}")
        parsed = conf.parse()
        failed = any(message.is_serious() for message in found)
        for provider in () if parsed.faults else parsed.config.providers:
            self._describe(provider, parsed.config)
            if online:
                failed |= not self._ask_microsoft(provider)
        if failed:
            raise CommandError("The sign-in is not ready: see above.")
        if not parsed.config.enabled:
            self.stdout.write(self.style.WARNING('The sign-in is switched off: MS_IDENTITY["ENABLED"].'))
            return
        self.stdout.write(self.style.SUCCESS("The sign-in is ready."))

    def _describe(self, provider: Provider, config: Config) -> None:
        self.stdout.write(f"\nProvider {provider.id}: tenant {provider.tenant.value}, cloud {provider.cloud}")
        try:
            uris = _redirect_uris(provider, config)
        except NoReverseMatch:
            self.stdout.write("  No redirect URI: the URLs are not included.")
            return
        self.stdout.write("  Register in Entra (Authentication > Web > Redirect URIs):")
        for uri in uris:
            self.stdout.write(self.style.MIGRATE_HEADING(f"    {uri}"))
        if not config.base_redirect_uri:
            self.stdout.write('  MS_IDENTITY["BASE_REDIRECT_URI"] is not set: the host is each request\'s.')

    def _ask_microsoft(self, provider: Provider) -> bool:
        try:
            tenant, keys = ask_microsoft(provider)
        except MSIdentityError as error:
            self.stdout.write(self.style.ERROR(f"  {error.code}: {error.detail}"))
            if error.hint:
                self.stdout.write(f"    {error.hint}")
            return False
        self.stdout.write(f"  Microsoft answers: tenant {tenant}, {keys} signing keys")
        return True

    def _clear_sign_ins(self, days: int) -> None:
        if not 0 <= days <= _MAX_DAYS:
            raise CommandError(f"--older-than takes a number of days from 0 to {_MAX_DAYS}.")
        rows = SignIn.objects.using(router.db_for_write(SignIn))
        old = rows.filter(created_at__lt=timezone.now() - timedelta(days=days))
        deleted = 0
        # Batches: one statement over a year of rows would lock the table for as long.
        while keys := list(old.values_list("pk", flat=True)[:_BATCH]):
            deleted += rows.filter(pk__in=keys).delete()[0]
        self.stdout.write(self.style.SUCCESS(f"Deleted {deleted} sign-ins older than {days} days."))


def _redirect_uris(provider: Provider, config: Config) -> list[str]:
    uri = links.redirect_uri(provider.id, config=config)
    if config.base_redirect_uri:
        return [uri]
    # As Django does while developing.
    hosts = settings.ALLOWED_HOSTS or (["localhost"] if settings.DEBUG else [])
    return [f"{_origin(host)}{uri}" for host in hosts if _can_be_registered(host)] or [
        f"https://<your host>{uri}"
    ]


def _can_be_registered(host: str) -> bool:
    # Entra takes no patterns, and of this machine's names only localhost.
    return not host.startswith((".", "*", "127.", "[")) and not host.endswith(".localhost")


def _origin(host: str) -> str:
    # Microsoft ignores the port of localhost, and takes plain http for it alone.
    return "http://localhost:8000" if host == "localhost" else f"https://{host}"

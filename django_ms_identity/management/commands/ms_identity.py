"""``manage.py ms_identity``: what an operator asks of the sign-in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from django_ms_identity import conf, links, wiring
from django_ms_identity.checks import TAG
from django_ms_identity.conf import Config
from django_ms_identity.entra.clouds import keys_url
from django_ms_identity.entra.keys import configured_tenant, parse_keys
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.models import SignIn

_BATCH = 5000


class Command(BaseCommand):
    help = "Check the set-up of the sign-in with Microsoft, and tidy up."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="subcommand", required=True)
        check = commands.add_parser(
            "check", help="Run every check, try each mapper, and print the redirect URIs to register."
        )
        check.add_argument(
            "--online", action="store_true", help="Also ask Microsoft for each provider's keys."
        )
        clear = commands.add_parser("clear-sign-ins", help="Delete old rows of the audit trail.")
        clear.add_argument("--older-than", type=int, required=True, metavar="DAYS")

    def handle(self, *args: object, **options: Any) -> None:
        match options["subcommand"]:
            case "check":
                self._check(online=options["online"])
            case "clear-sign-ins":
                self._clear_sign_ins(options["older_than"])

    def _check(self, *, online: bool) -> None:
        found = checks.run_checks(tags=[TAG], include_deployment_checks=True, databases=None)
        for message in found:
            style = self.style.ERROR if message.is_serious() else self.style.WARNING
            self.stdout.write(style(str(message)))
        parsed = conf.parse()
        failed = any(message.is_serious() for message in found)
        if not parsed.faults:
            for provider in parsed.config.providers:
                failed |= not self._describe(provider, parsed.config, online=online)
        if failed:
            raise CommandError("The sign-in is not ready: see above.")
        self.stdout.write(self.style.SUCCESS("The sign-in is ready."))

    def _describe(self, provider: Provider, config: Config, *, online: bool) -> bool:
        self.stdout.write(f"\nProvider {provider.id}: tenant {provider.tenant.value}, cloud {provider.cloud}")
        self.stdout.write("  Redirect URI to register in Entra (Authentication > Web):")
        self.stdout.write(self.style.MIGRATE_HEADING(f"    {_redirect_uri(provider, config)}"))
        if not config.base_redirect_uri:
            self.stdout.write(
                '    (MS_IDENTITY["BASE_REDIRECT_URI"] is not set: the host is that of each request)'
            )
        if not online:
            return True
        try:
            tenant = configured_tenant(provider, wiring.documents())
            keys = wiring.documents().read(keys_url(provider.cloud, provider.tenant), parse_keys)
        except MSIdentityError as error:
            self.stdout.write(self.style.ERROR(f"  Microsoft: {error.detail}"))
            self.stdout.write(f"    {error.hint}" if error.hint else "")
            return False
        self.stdout.write(f"  Microsoft answers: tenant {tenant}, {len(keys)} signing keys")
        return True

    def _clear_sign_ins(self, days: int) -> None:
        if days < 0:
            raise CommandError("--older-than takes a number of days.")
        before = timezone.now() - timedelta(days=days)
        deleted = 0
        while keys := list(
            SignIn.objects.filter(created_at__lt=before).values_list("pk", flat=True)[:_BATCH]
        ):
            deleted += SignIn.objects.filter(pk__in=keys).delete()[0]
            self.stdout.write(f"{deleted} deleted", ending="\r")
        self.stdout.write(self.style.SUCCESS(f"Deleted {deleted} sign-ins older than {days} days."))


def _redirect_uri(provider: Provider, config: Config) -> str:
    uri = links.redirect_uri(provider.id, config=config)
    if config.base_redirect_uri:
        return uri
    hosts = [host for host in settings.ALLOWED_HOSTS if not host.startswith(("*", "."))]
    if settings.DEBUG and not hosts:
        return f"http://localhost:8000{uri}"
    return f"https://{hosts[0] if hosts else '<your host>'}{uri}"

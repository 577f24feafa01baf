"""``manage.py ms_identity check``: is the sign-in ready, and what must be registered."""

from __future__ import annotations

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import router
from django.urls import NoReverseMatch

from django_ms_identity import conf
from django_ms_identity.checks import TAG
from django_ms_identity.conf import Config
from django_ms_identity.diagnostics.sample import ask_microsoft, sample_problems, sample_web_hooks
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.flows import return_urls
from django_ms_identity.models import Credential

from .console import problem_line

HELP = "run every check, try each mapper and web hook, and print the redirect URIs to register"


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--online", action="store_true", help="also ask Microsoft for each provider's tenant and keys"
    )


def run(command: BaseCommand, *, online: bool) -> None:
    """Print what is wrong and what to register; raise ``CommandError`` when something is wrong."""
    database = router.db_for_read(Credential)
    every = checks.run_checks(tags=[TAG], include_deployment_checks=True, databases=[database])
    found = [message for message in every if not message.is_silenced()]
    for message in found:
        style = command.style.ERROR if message.is_serious() else command.style.WARNING
        command.stdout.write(style(f"{message.id}: {message.msg}"))
        if message.hint:
            command.stdout.write(f"    {message.hint}")
    parsed = conf.parse()
    failed = any(message.is_serious() for message in found)
    for provider in () if parsed.faults else parsed.config.providers:
        _describe(command, provider, parsed.config)
        _check_sample(command, provider, parsed.config)
        _check_web_hooks(command, provider, parsed.config)
        if online:
            failed |= not _ask_microsoft(command, provider, parsed.config)
    if failed:
        raise CommandError("The sign-in is not ready: see above.")
    if not parsed.config.enabled:
        command.stdout.write(command.style.WARNING('The sign-in is switched off: MS_IDENTITY["ENABLED"].'))
        return
    command.stdout.write(command.style.SUCCESS("The sign-in is ready."))


def _describe(command: BaseCommand, provider: Provider, config: Config) -> None:
    command.stdout.write(f"\nProvider {provider.id}: tenant {provider.tenant.value}, cloud {provider.cloud}")
    try:
        uris = _redirect_uris(provider, config)
    except NoReverseMatch:
        command.stdout.write("  No redirect URI: the URLs are not included.")
        return
    command.stdout.write("  Register in Entra (Authentication > Web > Redirect URIs):")
    for uri in uris:
        command.stdout.write(command.style.MIGRATE_HEADING(f"    {uri}"))
    if not config.base_redirect_uri:
        command.stdout.write('  MS_IDENTITY["BASE_REDIRECT_URI"] is not set: the host is each request\'s.')


def _check_sample(command: BaseCommand, provider: Provider, config: Config) -> None:
    try:
        problems = sample_problems(provider, config)
    except MSIdentityError:
        return  # The checks have reported it.
    if problems:
        command.stdout.write("  Of sample claims the mapper makes traits that the identity schema refuses:")
    for problem in problems:
        command.stdout.write(f"    {problem_line(problem)}")


def _check_web_hooks(command: BaseCommand, provider: Provider, config: Config) -> None:
    try:
        faults = sample_web_hooks(provider, config)
    except MSIdentityError:
        return  # The checks have reported it.
    for stage, error in faults:
        command.stdout.write(
            command.style.WARNING(f"  {stage}, tried on sample claims and not sent: {error.detail}")
        )
        for line in error.hint.splitlines():
            command.stdout.write(f"    {line}")


def _ask_microsoft(command: BaseCommand, provider: Provider, config: Config) -> bool:
    try:
        tenant, keys = ask_microsoft(provider, config)
    except MSIdentityError as error:
        command.stdout.write(command.style.ERROR(f"  {error.code}: {error.detail}"))
        if error.hint:
            command.stdout.write(f"    {error.hint}")
        return False
    command.stdout.write(f"  Microsoft answers: tenant {tenant}, {keys} signing keys")
    return True


def _redirect_uris(provider: Provider, config: Config) -> list[str]:
    uri = return_urls.redirect_uri(provider.id, config=config)
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

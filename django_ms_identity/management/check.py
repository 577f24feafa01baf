"""``manage.py ms_identity check``: check the set-up, and print what must be registered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import router
from django.urls import NoReverseMatch

from django_ms_identity import conf, runtime
from django_ms_identity.checks import TAG
from django_ms_identity.conf import Config
from django_ms_identity.diagnostics.dry_run import sample_context
from django_ms_identity.entra.jwks import configured_tenant, parse_keys
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import MSIdentityError, SchemaInvalid, SchemaUnavailable
from django_ms_identity.flows import return_urls
from django_ms_identity.hooks import web_hook
from django_ms_identity.models import Credential
from django_ms_identity.net.remote_documents import RemoteDocuments

from .console import problem_line

HELP = "run every check, try each mapper and web hook, and print the redirect URIs to register"


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--online", action="store_true", help="also ask Microsoft for each provider's tenant and keys"
    )


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Print what is wrong and what to register; raise ``CommandError`` when something is wrong."""
    write, style = command.stdout.write, command.style
    database = router.db_for_read(Credential)
    every = checks.run_checks(tags=[TAG], include_deployment_checks=True, databases=[database])
    found = [message for message in every if not message.is_silenced()]
    for message in found:
        colour = style.ERROR if message.is_serious() else style.WARNING
        write(colour(f"{message.id}: {message.msg}"))
        _write_hint(command, message.hint)
    parsed = conf.parse()
    failed = any(message.is_serious() for message in found)
    for provider in () if parsed.faults else parsed.config.providers:
        _print_redirect_uris(command, provider, parsed.config)
        _try_sample(command, provider, parsed.config)
        if options["online"]:
            failed |= not _ask_microsoft(command, provider, parsed.config)
    if failed:
        raise CommandError("The sign-in is not ready: see above.")
    if parsed.config.enabled:
        write(style.SUCCESS("The sign-in is ready."))
    else:
        write(style.WARNING('The sign-in is switched off: MS_IDENTITY["ENABLED"].'))


def _print_redirect_uris(command: BaseCommand, provider: Provider, config: Config) -> None:
    write = command.stdout.write
    write(f"\nProvider {provider.id}: tenant {provider.tenant.value}, cloud {provider.cloud}")
    try:
        uris = _redirect_uris(provider, config)
    except NoReverseMatch:
        write("  No redirect URI: the URLs are not included.")
        return
    write("  Register in Entra (Authentication > Web > Redirect URIs):")
    for uri in uris:
        write(command.style.MIGRATE_HEADING(f"    {uri}"))
    if not config.base_redirect_uri:
        write('  MS_IDENTITY["BASE_REDIRECT_URI"] is not set: the host is each request\'s.')


def _try_sample(command: BaseCommand, provider: Provider, config: Config) -> None:
    """Print what identity schema and web hooks have against the sample; the checks report other errors."""
    write = command.stdout.write
    context = sample_context(provider, config)
    try:
        mapping = runtime.map_claims(context)
    except MSIdentityError:
        return
    with suppress(SchemaUnavailable, SchemaInvalid):
        schema = runtime.identity_schema(config)
        if problems := schema.problems(mapping.traits) if schema else ():
            write("  Of sample claims the mapper makes traits that the identity schema refuses:")
        for problem in problems:
            write(f"    {problem_line(problem)}")
    for stage, error in web_hook.check_bodies(context, mapping):
        write(command.style.WARNING(f"  {stage}, tried on sample claims and not sent: {error.detail}"))
        _write_hint(command, error.hint)


def _ask_microsoft(command: BaseCommand, provider: Provider, config: Config) -> bool:
    # Without the caches of the site, which may be older.
    documents = RemoteDocuments(transport=runtime.http_client(config), now=time.time)
    try:
        tenant = configured_tenant(provider, documents)
        keys = documents.read(provider.keys_url, parse_keys)
    except MSIdentityError as error:
        command.stdout.write(command.style.ERROR(f"  {error.code}: {error.detail}"))
        _write_hint(command, error.hint)
        return False
    command.stdout.write(f"  Microsoft answers: tenant {tenant}, {len(keys)} signing keys")
    return True


def _write_hint(command: BaseCommand, hint: str | None) -> None:
    for line in (hint or "").splitlines():
        command.stdout.write(f"    {line}")


def _redirect_uris(provider: Provider, config: Config) -> list[str]:
    uri = return_urls.redirect_uri(provider.id, config=config)
    if config.base_redirect_uri:
        return [uri]
    # As Django does while developing.
    hosts = settings.ALLOWED_HOSTS or (["localhost"] if settings.DEBUG else [])
    # Entra takes no patterns, and of this machine's names only localhost: with plain http, and at any port.
    uris = [
        f"http://localhost:8000{uri}" if host == "localhost" else f"https://{host}{uri}"
        for host in hosts
        if not host.startswith((".", "*", "127.", "[")) and not host.endswith(".localhost")
    ]
    return uris or [f"https://<your host>{uri}"]

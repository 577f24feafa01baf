"""What is wrong in ``MS_IDENTITY`` or the environment, by itself and compared with the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.core.checks import CheckMessage, Error, Warning
from django.db import DatabaseError, transaction

from django_ms_identity import conf
from django_ms_identity.models import Credential

from . import ids

_SEE = "docs/settings.md describes every key and variable."


def check_settings(**_: object) -> Iterator[CheckMessage]:
    """Report every fault and warning of the settings, and what they leave open."""
    parsed = conf.parse()
    config = parsed.config
    for issue in parsed.faults:
        yield Error(f"MS_IDENTITY: {issue}", hint=issue.hint or _SEE, id=ids.E_SETTINGS)
    for issue in parsed.warnings:
        yield Warning(f"MS_IDENTITY: {issue}", hint=issue.hint or _SEE, id=ids.W_SETTINGS)
    if config.enabled and not config.providers and not parsed.faults:
        yield Warning(
            "No provider is configured, so sign-in with Microsoft is not possible.",
            hint='Set MS_IDENTITY["PROVIDERS"], or MS_IDENTITY_CLIENT_ID, MS_IDENTITY_CLIENT_SECRET and '
            "MS_IDENTITY_TENANT in the environment.",
            id=ids.W_NO_PROVIDER,
        )
    for provider in config.providers if config.enabled and config.registration_enabled else ():
        if not provider.tenant.single and provider.allowed_tenants is None:
            yield Warning(
                f"Anybody with a Microsoft account can register through provider {provider.id!r} "
                f"(microsoft_tenant {provider.tenant.value!r}).",
                hint='Set "allowed_tenants": ["<tenant id>", …], or "REGISTRATION_ENABLED": False; if '
                f'that is intended, SILENCED_SYSTEM_CHECKS = ["{ids.W_OPEN_TO_ALL}"].',
                id=ids.W_OPEN_TO_ALL,
            )


def check_subject_sources(databases: Sequence[str] | None = None, **_: object) -> Iterator[CheckMessage]:
    """Report a ``subject_source`` that differs from what existing credentials were made with."""
    for database in databases or ():
        used = _used_sources(database)
        for provider in conf.parse().config.providers:
            current = provider.subject_source.value
            others = sorted(source for name, source in used if name == provider.id and source != current)
            if others:
                yield Error(
                    f"Provider {provider.id!r} has subject_source {current!r}, but existing credentials "
                    f"were made with {', '.join(others)}: these people would not be found any more.",
                    hint=f'Set "subject_source": "{others[0]}", or configure a second provider id.',
                    id=ids.E_SUBJECT_SOURCE,
                )


def _used_sources(database: str) -> set[tuple[str, str]]:
    rows = Credential.objects.using(database).order_by().values_list("provider", "subject_source").distinct()
    try:
        # The savepoint keeps a failure from spoiling the caller's transaction.
        with transaction.atomic(using=database):
            return set(rows)
    except DatabaseError:
        # `migrate` runs the checks before it makes the table; other databases never have it.
        return set()

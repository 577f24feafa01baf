"""What the settings say against what the database holds."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.db import DatabaseError, transaction

from django_ms_identity import conf
from django_ms_identity.models import Credential

from . import ids


def check_subject_sources(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: object
) -> list[CheckMessage]:
    """Report a ``subject_source`` that differs from what existing credentials were made with."""
    found: list[CheckMessage] = []
    for database in databases or ():
        used = _used_sources(database)
        for provider in conf.parse().config.providers:
            others = {source for name, source in used if name == provider.id} - {
                provider.subject_source.value
            }
            if others:
                found.append(
                    Error(
                        f"Provider {provider.id!r} has subject_source {provider.subject_source.value!r}, "
                        f"but existing credentials were made with {', '.join(sorted(others))}: these people "
                        "would not be found any more.",
                        hint=f'Set "subject_source": "{min(others)}", or configure a second provider id.',
                        id=ids.E_SUBJECT_SOURCE,
                    )
                )
    return found


def _used_sources(database: str) -> set[tuple[str, str]]:
    rows = Credential.objects.using(database).order_by().values_list("provider", "subject_source").distinct()
    try:
        # The savepoint keeps a failure from spoiling the caller's transaction.
        with transaction.atomic(using=database):
            return set(rows)
    except DatabaseError:
        # `migrate` runs the checks before it makes the table; other databases never have it.
        return set()

"""What is wrong or doubtful in ``MS_IDENTITY`` or the environment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning

from django_ms_identity import conf
from django_ms_identity.conf import Config

from . import ids

_SEE = "docs/settings.md describes every key and variable."


def check_settings(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Report every fault and doubt of the settings, and what they leave open."""
    parsed = conf.parse()
    found: list[CheckMessage] = [
        *(Error(f"MS_IDENTITY: {it}", hint=it.hint or _SEE, id=ids.E_SETTINGS) for it in parsed.faults),
        *(Warning(f"MS_IDENTITY: {it}", hint=it.hint or _SEE, id=ids.W_SETTINGS) for it in parsed.warnings),
    ]
    if parsed.config.enabled:
        found.extend(_open_to_all(parsed.config))
    if parsed.config.enabled and not parsed.config.providers and not parsed.faults:
        found.append(
            Warning(
                "No provider is configured, so nobody can sign in with Microsoft.",
                hint='Set MS_IDENTITY["PROVIDERS"], or MS_IDENTITY_CLIENT_ID, MS_IDENTITY_CLIENT_SECRET and '
                "MS_IDENTITY_TENANT in the environment.",
                id=ids.W_NO_PROVIDER,
            )
        )
    return found


def _open_to_all(config: Config) -> Iterable[CheckMessage]:
    for provider in config.providers:
        open_to_all = not provider.tenant.single and provider.allowed_tenants is None
        if open_to_all and config.registration_enabled:
            yield Warning(
                f"Anybody with a Microsoft account can register through provider {provider.id!r} "
                f"(microsoft_tenant {provider.tenant.value!r}).",
                hint='Set "allowed_tenants": ["<tenant id>", …], or "REGISTRATION_ENABLED": False; if '
                f'everybody is welcome, SILENCED_SYSTEM_CHECKS = ["{ids.W_OPEN_TO_ALL}"].',
                id=ids.W_OPEN_TO_ALL,
            )

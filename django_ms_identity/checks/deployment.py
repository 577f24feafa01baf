"""What is fine while developing and dangerous or broken in production; only under ``--deploy``."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from django_ms_identity import conf, runtime
from django_ms_identity.diagnostics.dry_run import sample_context
from django_ms_identity.entra.providers import Provider, UpdateOnLogin
from django_ms_identity.exceptions import (
    MapperRuntimeFailed,
    MapperUnavailable,
    MSIdentityError,
    PythonMapperFailed,
    RegistrationRefused,
    SchemaInvalid,
    SchemaUnavailable,
    SignInRefused,
)
from django_ms_identity.identities.user_fields import PRIVILEGES
from django_ms_identity.traits.mapping_result import MappingResult

from . import ids

_WARN_ONLY = (
    MapperRuntimeFailed,
    MapperUnavailable,
    PythonMapperFailed,
    RegistrationRefused,
    SignInRefused,
)
"""A mapper may well refuse the sample's person, and a URL may be out of reach from here."""


def check_deployment(**_: object) -> Iterator[CheckMessage]:
    """Report what lets others read along, or makes Microsoft refuse the redirect URI."""
    config = conf.parse().config
    if not config.enabled:
        return
    csrf_is_safe = settings.CSRF_COOKIE_SECURE or settings.CSRF_USE_SESSIONS
    if not settings.SESSION_COOKIE_SECURE or not csrf_is_safe:
        yield Warning(
            "Session or CSRF cookies are sent over plain http.",
            hint="Set SESSION_COOKIE_SECURE = True and CSRF_COOKIE_SECURE = True.",
            id=ids.W_INSECURE_COOKIES,
        )
    https = config.base_redirect_uri.startswith("https://")
    if not https and settings.SECURE_PROXY_SSL_HEADER is None:
        yield Warning(
            "Behind a proxy that ends TLS, redirect URIs will begin with http:// and Microsoft will "
            "refuse them (AADSTS50011).",
            hint='Set MS_IDENTITY["BASE_REDIRECT_URI"] = "https://your.host", or SECURE_PROXY_SSL_HEADER '
            '= ("HTTP_X_FORWARDED_PROTO", "https") if the proxy always sets that header.',
            id=ids.W_HTTP_REDIRECT,
        )


def check_mappers(**_: object) -> Iterator[CheckMessage]:
    """Try each provider's mapper on sample claims, which starts a sandbox and may fetch the mapper."""
    parsed = conf.parse()
    config = parsed.config
    for provider in config.providers if config.enabled and not parsed.faults else ():
        try:
            # The claims are invented, so the engine may quote them.
            mapping = runtime.map_claims(sample_context(provider, config), explain=True)
        except MSIdentityError as error:
            if isinstance(error, MapperUnavailable) and provider.mapper:
                continue  # check_project reports a function that cannot be imported.
            kind, check_id = (
                (Warning, ids.W_MAPPER) if isinstance(error, _WARN_ONLY) else (Error, ids.E_MAPPER)
            )
            yield kind(
                f"The mapper of provider {provider.id!r} failed on sample claims: "
                f"{error.code}: {error.detail}",
                hint=error.hint or "Test it with `manage.py ms_identity check`.",
                id=check_id,
            )
        else:
            yield from _privileges_that_stay(provider, mapping)


def check_identity_schema(**_: object) -> Iterator[CheckMessage]:
    """Read the identity schema, which may be on another server."""
    parsed = conf.parse()
    if parsed.faults or not parsed.config.enabled:
        return
    try:
        runtime.identity_schema(parsed.config)
    except SchemaUnavailable as error:
        yield Warning(f"IDENTITY_SCHEMA_URL: {error.detail}", hint=error.hint, id=ids.W_SCHEMA)
    except SchemaInvalid as error:
        for fault in error.faults:
            yield Error(f"IDENTITY_SCHEMA_URL: {fault}", hint=error.hint, id=ids.E_SCHEMA)


def _privileges_that_stay(provider: Provider, mapping: MappingResult) -> Iterator[CheckMessage]:
    if provider.update_identity_on_login is not UpdateOnLogin.NEVER or mapping.user is None:
        return
    names = sorted(PRIVILEGES & mapping.user.fields.keys())
    if mapping.user.groups is not None:
        names.append("groups")
    if names:
        yield Warning(
            f"The mapper of provider {provider.id!r} sets {', '.join(names)} when people register, and never "
            "again: people who lose them at Microsoft keep them here.",
            hint='Set "update_identity_on_login": "automatic" in the provider.',
            id=ids.W_PRIVILEGES_STAY,
        )

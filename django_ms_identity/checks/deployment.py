"""What is fine while developing and dangerous or broken in production; only under ``--deploy``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from django_ms_identity import conf, runtime
from django_ms_identity.diagnostics.sample import map_sample
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


def check_deployment(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Report what lets others read along, or makes Microsoft refuse the redirect URI."""
    config = conf.parse().config
    if not config.enabled:
        return []
    found: list[CheckMessage] = []
    csrf_is_safe = settings.CSRF_COOKIE_SECURE or settings.CSRF_USE_SESSIONS
    if not settings.SESSION_COOKIE_SECURE or not csrf_is_safe:
        found.append(
            Warning(
                "Session or CSRF cookies are sent over plain http.",
                hint="Set SESSION_COOKIE_SECURE = True and CSRF_COOKIE_SECURE = True.",
                id=ids.W_INSECURE_COOKIES,
            )
        )
    https = config.base_redirect_uri.startswith("https://")
    if not https and settings.SECURE_PROXY_SSL_HEADER is None:
        found.append(
            Warning(
                "Behind a proxy that ends TLS, redirect URIs will begin with http:// and Microsoft will "
                "refuse them (AADSTS50011).",
                hint='Set MS_IDENTITY["BASE_REDIRECT_URI"] = "https://your.host", or SECURE_PROXY_SSL_HEADER '
                '= ("HTTP_X_FORWARDED_PROTO", "https") if the proxy always sets that header.',
                id=ids.W_HTTP_REDIRECT,
            )
        )
    return found


def check_mappers(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Try each provider's mapper on sample claims, which starts a sandbox."""
    parsed = conf.parse()
    if parsed.faults or not parsed.config.enabled:
        return []
    found: list[CheckMessage] = []
    for provider in parsed.config.providers:
        try:
            mapped = map_sample(provider, parsed.config)
        except MapperUnavailable as error:
            # A URL may be out of reach from here; `check_project` reports a Python function.
            if not provider.mapper:
                found.append(Warning(_text(provider, error), hint=_hint(error), id=ids.W_MAPPER))
        except (MapperRuntimeFailed, PythonMapperFailed, RegistrationRefused, SignInRefused) as error:
            # A mapper may well refuse the sample's person.
            found.append(Warning(_text(provider, error), hint=_hint(error), id=ids.W_MAPPER))
        except MSIdentityError as error:
            found.append(Error(_text(provider, error), hint=_hint(error), id=ids.E_MAPPER))
        else:
            found.extend(_privileges_that_stay(provider, mapped))
    return found


def check_identity_schema(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Read the identity schema, which may be on another server."""
    parsed = conf.parse()
    if parsed.faults or not parsed.config.enabled:
        return []
    try:
        runtime.identity_schema(parsed.config)
    except SchemaUnavailable as error:
        return [Warning(f"IDENTITY_SCHEMA_URL: {error.detail}", hint=error.hint, id=ids.W_SCHEMA)]
    except SchemaInvalid as error:
        return [
            Error(f"IDENTITY_SCHEMA_URL: {fault}", hint=error.hint, id=ids.E_SCHEMA) for fault in error.faults
        ]
    return []


def _privileges_that_stay(provider: Provider, mapped: MappingResult) -> Iterator[CheckMessage]:
    if provider.update_identity_on_login is not UpdateOnLogin.NEVER or mapped.user is None:
        return
    names = sorted(PRIVILEGES & mapped.user.fields.keys())
    if mapped.user.groups is not None:
        names.append("groups")
    if names:
        yield Warning(
            f"The mapper of provider {provider.id!r} sets {', '.join(names)} when people register, and never "
            "again: who loses them at Microsoft keeps them here.",
            hint='Set "update_identity_on_login": "automatic" in the provider.',
            id=ids.W_PRIVILEGES_STAY,
        )


def _text(provider: Provider, error: MSIdentityError) -> str:
    return f"The mapper of provider {provider.id!r} failed on sample claims: {error.code}: {error.detail}"


def _hint(error: MSIdentityError) -> str:
    return error.hint or "Test it with `manage.py ms_identity check`."

"""Parse ``MS_IDENTITY``, or the environment, into one frozen value; times are in seconds.

The only module that reads the setting. A parse is kept by the text of what was parsed, so a changed setting
is a different key and ``override_settings`` just works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache

from django.conf import settings as project_settings  # this module is "settings" too

from django_ms_identity import env
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import ConfigurationInvalid, ProviderUnknown
from django_ms_identity.jsonnet.source_urls import schema_url_fault, url_fault
from django_ms_identity.net.http_url import HttpUrl, parse_http_url

from .hook_settings import Hook, parse_hooks
from .provider_settings import parse_provider
from .reader import ConfigIssue, DictReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a project can set: each field is a key of ``MS_IDENTITY``, in lower case."""

    enabled: bool
    providers: tuple[Provider, ...]
    base_redirect_uri: str
    hooks: Mapping[str, tuple[Hook, ...]] = field(hash=False)
    create_groups: bool
    """Whether groups that a mapper names and that do not exist are created."""
    identity_schema_url: str = field(repr=False)
    """Empty: any traits are valid. Not shown: it may hold the whole schema or a signed URL."""
    registration_enabled: bool
    allowed_return_urls: tuple[HttpUrl, ...]
    flow_lifespan: float
    privileged_session_max_age: float
    mapper_timeout: float
    http_timeout: tuple[float, float]
    emulator_url: str

    def provider(self, provider_id: str) -> Provider:
        """Return a provider by its id, or raise ``ProviderUnknown``."""
        for provider in self.providers:
            if provider.id == provider_id:
                return provider
        raise ProviderUnknown("no provider of this id is configured")


KEYS = tuple(name.upper() for name in Config.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The outcome of a parse, for the system checks."""

    config: Config
    faults: tuple[ConfigIssue, ...]
    warnings: tuple[ConfigIssue, ...]

    def valid_config(self) -> Config:
        """Return the configuration, or raise ``ConfigurationInvalid`` with all faults."""
        if self.faults:
            raise ConfigurationInvalid(*map(str, self.faults))
        return self.config


def get_config() -> Config:
    """Return the configuration as it is now, or raise ``ConfigurationInvalid`` with all faults."""
    return parse().valid_config()


def is_enabled() -> bool:
    """Say whether sign-in is on; a broken configuration counts as on, so that it is reported."""
    return parse().config.enabled


def parse() -> Parsed:
    """Parse ``MS_IDENTITY``, or the environment where there is none."""
    raw = getattr(project_settings, "MS_IDENTITY", None)
    text = f"environment {env.snapshot()}" if raw is None else repr(raw)
    return _parse_source(_Source(text, raw), project_settings.DEBUG)


@dataclass(frozen=True, slots=True)
class _Source:
    """What to parse; equal when it reads the same."""

    text: str
    raw: object = field(compare=False)


@lru_cache(maxsize=32)
def _parse_source(source: _Source, debug: bool) -> Parsed:
    raw = source.raw
    faults: list[ConfigIssue] = []
    warnings: list[ConfigIssue] = []
    if raw is None:
        raw, problems, skipped = env.parse_environment()
        faults = [ConfigIssue("environment:", problem) for problem in problems]
        warnings = [
            ConfigIssue(f"environment: provider {name!r}", "is not Microsoft's and is skipped.")
            for name in skipped
        ]
    elif not isinstance(raw, Mapping):
        faults = [ConfigIssue("MS_IDENTITY", "must be a dict.", 'MS_IDENTITY = {"PROVIDERS": [{…}]}')]
        raw = {}
    parsed = parse_settings(raw, debug=debug)
    return replace(parsed, faults=(*faults, *parsed.faults), warnings=(*parsed.warnings, *warnings))


def parse_settings(raw: Mapping[str, object], *, debug: bool) -> Parsed:
    """Parse a settings dict whole; ``debug`` is Django's DEBUG."""
    read = DictReader(raw)
    read.refuse_unknown(KEYS)
    config = Config(
        enabled=read.flag("ENABLED", True),
        providers=_providers(read, debug=debug),
        base_redirect_uri=_base_redirect_uri(read),
        hooks=parse_hooks(read, debug=debug),
        create_groups=read.flag("CREATE_GROUPS", False),
        identity_schema_url=_identity_schema_url(read, debug=debug),
        registration_enabled=read.flag("REGISTRATION_ENABLED", True),
        allowed_return_urls=_return_urls(read),
        flow_lifespan=_seconds(read, "FLOW_LIFESPAN", 1800),
        privileged_session_max_age=_seconds(read, "PRIVILEGED_SESSION_MAX_AGE", 3600),
        mapper_timeout=_seconds(read, "MAPPER_TIMEOUT", 2),
        http_timeout=_http_timeout(read),
        emulator_url=_emulator_url(read, debug=debug),
    )
    return Parsed(config=config, faults=tuple(read.faults), warnings=tuple(read.warnings))


def _providers(read: DictReader, *, debug: bool) -> tuple[Provider, ...]:
    providers: dict[str, Provider] = {}
    for entry in read.entries("PROVIDERS", '"PROVIDERS": [{"id": "microsoft", "client_id": "…", …}]'):
        provider = parse_provider(entry)
        if provider is None:
            continue
        if problem := url_fault(provider.mapper_url, allow_http=debug):
            entry.fault("mapper_url", problem)
        if provider.id in providers:
            entry.fault("id", f"{provider.id!r} is used twice.", "Give each its own id.")
        providers.setdefault(provider.id, provider)
    return tuple(providers.values())


def _base_redirect_uri(read: DictReader) -> str:
    # Hosts are compared with the request's, which browsers write in lower case.
    text = read.text("BASE_REDIRECT_URI").rstrip("/").lower()
    if not text:
        return ""
    url = parse_http_url(text)
    if url is None or text != url.origin:
        read.fault(
            "BASE_REDIRECT_URI",
            "must be a scheme and a host, nothing more; the path comes from urls.py.",
            '"BASE_REDIRECT_URI": "https://www.example.com"',
        )
        return ""
    if url.scheme == "http" and not url.is_loopback:
        read.fault(
            "BASE_REDIRECT_URI", "must be https: Microsoft takes http for localhost only.", "Use https://…."
        )
    return text


def _identity_schema_url(read: DictReader, *, debug: bool) -> str:
    url = read.text("IDENTITY_SCHEMA_URL")
    if url and (problem := schema_url_fault(url, allow_http=debug)):
        read.fault("IDENTITY_SCHEMA_URL", problem)
    return url


def _return_urls(read: DictReader) -> tuple[HttpUrl, ...]:
    urls = [parse_http_url(text) for text in read.texts("ALLOWED_RETURN_URLS")]
    for index, url in enumerate(urls):
        if url is None:
            read.fault(
                f"ALLOWED_RETURN_URLS[{index}]",
                "is not an absolute URL without a password.",
                '"ALLOWED_RETURN_URLS": ["https://app.example.com/"]',
            )
    return tuple(url for url in urls if url)


def _seconds(read: DictReader, key: str, default: float) -> float:
    value = read.raw(key)
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if value is None:
        return float(default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**9:
        read.fault(key, "must be a positive number of seconds or a timedelta.", f'"{key}": {default:g}')
        return default
    return float(value)


def _http_timeout(read: DictReader) -> tuple[float, float]:
    value = read.raw("HTTP_TIMEOUT")
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2:
        read.fault("HTTP_TIMEOUT", "must be (connect, read) in seconds.", '"HTTP_TIMEOUT": (3, 10)')
        pair = (None, None)
    inner = DictReader({"connect": pair[0], "read": pair[1]}, path="HTTP_TIMEOUT", faults=read.faults)
    return _seconds(inner, "connect", 3), _seconds(inner, "read", 10)


def _emulator_url(read: DictReader, *, debug: bool) -> str:
    text = read.text("EMULATOR_URL").rstrip("/")
    if not text:
        return ""
    if not debug:
        read.fault("EMULATOR_URL", "is set while DEBUG is off: anyone could sign in as anyone.", "Remove it.")
    url = parse_http_url(text)
    if url is None or not url.is_loopback:
        read.fault(
            "EMULATOR_URL", "must be on this machine.", '"EMULATOR_URL": "http://localhost:8000/emulator"'
        )
        return ""
    return text

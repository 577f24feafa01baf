"""Reads each key of ``MS_IDENTITY``; lists every fault with what to type instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from django_ms_identity.entra.providers import Provider
from django_ms_identity.jsonnet.source_urls import schema_url_fault, url_fault
from django_ms_identity.net.urls import HttpUrl, parse_http_url

from .config import Config, Parsed
from .hook_settings import parse_hooks
from .provider_settings import parse_provider
from .reader import ConfigIssue, DictReader

KEYS = (
    "ENABLED",
    "PROVIDERS",
    "BASE_REDIRECT_URI",
    "HOOKS",
    "CREATE_GROUPS",
    "IDENTITY_SCHEMA_URL",
    "REGISTRATION_ENABLED",
    "ALLOWED_RETURN_URLS",
    "FLOW_LIFESPAN",
    "PRIVILEGED_SESSION_MAX_AGE",
    "MAPPER_TIMEOUT",
    "HTTP_TIMEOUT",
    "EMULATOR_URL",
)


def parse_settings(raw: Mapping[str, object], *, debug: bool) -> Parsed:
    """Parse a settings dict whole; ``debug`` is Django's DEBUG."""
    faults: list[ConfigIssue] = []
    warnings: list[ConfigIssue] = []
    read = DictReader(raw, path="", faults=faults)
    read.refuse_unknown(KEYS)
    config = Config(
        enabled=read.flag("ENABLED", True),
        providers=_providers(read, warnings, debug=debug),
        base_redirect_uri=_base_redirect_uri(read),
        hooks=parse_hooks(read, warnings, debug=debug),
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
    return Parsed(config=config, faults=tuple(faults), warnings=tuple(warnings))


def _providers(read: DictReader, warnings: list[ConfigIssue], *, debug: bool) -> tuple[Provider, ...]:
    raw = read.raw("PROVIDERS")
    if raw is None:
        return ()
    if not isinstance(raw, list | tuple):
        read.fault(
            "PROVIDERS", "must be a list of provider objects.", '"PROVIDERS": [{"id": "microsoft", …}]'
        )
        return ()
    providers: dict[str, Provider] = {}
    for index, entry in enumerate(raw):
        where = f"PROVIDERS[{index}]"
        provider = parse_provider(entry, path=where, faults=read.faults, warnings=warnings)
        if provider is None:
            continue
        if problem := url_fault(provider.mapper_url, allow_http=debug):
            read.faults.append(ConfigIssue(f"{where}.mapper_url", problem))
        if provider.id in providers:
            read.faults.append(
                ConfigIssue(f"{where}.id", f"{provider.id!r} is used twice.", "Give each its own id.")
            )
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
    if value is None:
        return default
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**9:
        read.fault(key, "must be a positive number of seconds or a timedelta.", f'"{key}": {default:g}')
        return default
    return float(value)


def _http_timeout(read: DictReader) -> tuple[float, float]:
    default = (3.0, 10.0)
    value = read.raw("HTTP_TIMEOUT")
    if value is None:
        return default
    pair: Sequence[object] = value if isinstance(value, list | tuple) else (value, value)
    inner = DictReader(
        dict(zip(("connect", "read"), pair, strict=False)), path="HTTP_TIMEOUT", faults=read.faults
    )
    if len(pair) != 2:
        read.fault("HTTP_TIMEOUT", "must be (connect, read) in seconds.", '"HTTP_TIMEOUT": (3, 10)')
        return default
    return _seconds(inner, "connect", default[0]), _seconds(inner, "read", default[1])


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

"""Settings and environment parsed into one frozen value, at call time; DESIGN 2.2 and 2.3.

The only room that reads ``settings``. A parse is kept by the text of what was parsed, so a changed
setting is a different key and ``override_settings`` just works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from . import env
from .entra.providers import Provider, parse_provider
from .exceptions import ConfigurationInvalid, ProviderUnknown
from .faults import Fault, Reader
from .mapping.mapper_urls import url_faults

LOOPBACK = ("localhost", "127.0.0.1", "::1")
STAGES = ("after_registration", "after_login", "after_settings")
_SESSION_HOOK = {"hook": "session"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One entry of ``HOOKS``: a built-in name or a dotted path."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a project can set; fields as in DESIGN 2.2, times in seconds."""

    enabled: bool
    providers: tuple[Provider, ...]
    base_redirect_uri: str
    hooks: Mapping[str, tuple[Hook, ...]] = field(hash=False)
    registration_enabled: bool
    allowed_return_urls: tuple[str, ...]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The outcome of a parse, for the system checks."""

    config: Config
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def get_config() -> Config:
    """Return the configuration as it is now, or raise ``ConfigurationInvalid`` with all faults."""
    parsed = parse()
    if parsed.faults:
        raise ConfigurationInvalid(*map(str, parsed.faults))
    return parsed.config


def is_enabled() -> bool:
    """Say whether sign-in is on; a broken configuration counts as on, so that it is reported."""
    return parse().config.enabled


def parse() -> Parsed:
    """Parse ``MS_IDENTITY``, or the environment where there is none."""
    raw = getattr(settings, "MS_IDENTITY", None)
    if raw is None:
        return _parse_env(repr(env.snapshot()), settings.DEBUG)
    return _parse(_ByText(raw), settings.DEBUG)


class _ByText:
    """A mutable mapping as a cache key: equal when it reads the same."""

    __slots__ = ("_text", "value")

    def __init__(self, value: object) -> None:
        self.value = value
        self._text = repr(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByText) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@lru_cache(maxsize=8)
def _parse_env(snapshot: str, debug: bool) -> Parsed:
    try:
        raw = env.settings_from_env()
    except ConfigurationInvalid as error:
        empty = _parse_mapping({}, debug=debug)
        faults = tuple(Fault("environment:", fault) for fault in error.faults)
        return Parsed(config=empty.config, faults=faults, warnings=())
    parsed = _parse_mapping(raw, debug=debug)
    skipped = tuple(
        Fault(f"environment: provider {name!r}", "is not Microsoft's and is skipped.")
        for name in env.skipped_providers()
    )
    return Parsed(config=parsed.config, faults=parsed.faults, warnings=parsed.warnings + skipped)


@lru_cache(maxsize=32)
def _parse(raw: _ByText, debug: bool) -> Parsed:
    if not isinstance(raw.value, Mapping):
        empty = _parse_mapping({}, debug=debug)
        return Parsed(
            config=empty.config,
            faults=(Fault("MS_IDENTITY", "must be a dict.", 'MS_IDENTITY = {"PROVIDERS": [{…}]}'),),
            warnings=(),
        )
    return _parse_mapping(raw.value, debug=debug)


_KEYS = (
    "ENABLED",
    "PROVIDERS",
    "BASE_REDIRECT_URI",
    "HOOKS",
    "REGISTRATION_ENABLED",
    "ALLOWED_RETURN_URLS",
    "FLOW_LIFESPAN",
    "PRIVILEGED_SESSION_MAX_AGE",
    "MAPPER_TIMEOUT",
    "HTTP_TIMEOUT",
    "EMULATOR_URL",
)


def _parse_mapping(raw: Mapping[str, object], *, debug: bool) -> Parsed:
    faults: list[Fault] = []
    warnings: list[Fault] = []
    read = Reader(raw, where="", faults=faults)
    read.refuse_unknown(_KEYS)
    config = Config(
        enabled=read.flag("ENABLED", True),
        providers=_providers(read, warnings, debug=debug),
        base_redirect_uri=_base_redirect_uri(read),
        hooks=_hooks(read),
        registration_enabled=read.flag("REGISTRATION_ENABLED", True),
        allowed_return_urls=_return_urls(read),
        flow_lifespan=_seconds(read, "FLOW_LIFESPAN", 1800),
        privileged_session_max_age=_seconds(read, "PRIVILEGED_SESSION_MAX_AGE", 3600),
        mapper_timeout=_seconds(read, "MAPPER_TIMEOUT", 2),
        http_timeout=_http_timeout(read),
        emulator_url=_emulator_url(read, debug=debug),
    )
    return Parsed(config=config, faults=tuple(faults), warnings=tuple(warnings))


def _providers(read: Reader, warnings: list[Fault], *, debug: bool) -> tuple[Provider, ...]:
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
        provider = parse_provider(entry, where=where, faults=read.faults, warnings=warnings)
        if provider is None:
            continue
        for problem in url_faults(provider.mapper_url, allow_http=debug):
            read.faults.append(Fault(f"{where}.mapper_url", problem))
        if provider.id in providers:
            read.faults.append(
                Fault(f"{where}.id", f"{provider.id!r} is used twice.", "Give each its own id.")
            )
        providers.setdefault(provider.id, provider)
    return tuple(providers.values())


def _base_redirect_uri(read: Reader) -> str:
    text = read.text("BASE_REDIRECT_URI").rstrip("/")
    if not text:
        return ""
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or parts.path or parts.query or parts.fragment:
        read.fault(
            "BASE_REDIRECT_URI",
            "must be a scheme and a host, nothing more; the path comes from urls.py.",
            '"BASE_REDIRECT_URI": "https://www.example.com"',
        )
    elif parts.scheme == "http" and parts.hostname not in LOOPBACK:
        read.fault(
            "BASE_REDIRECT_URI", "must be https: Microsoft takes http for localhost only.", "Use https://…."
        )
    return text


def _hooks(read: Reader) -> Mapping[str, tuple[Hook, ...]]:
    stages: dict[str, tuple[Hook, ...]] = dict.fromkeys(STAGES, ())
    stages["after_registration"] = (Hook(name="session"),)
    raw = read.raw("HOOKS")
    if raw is None:
        return stages
    if not isinstance(raw, Mapping):
        read.fault(
            "HOOKS", "must be a dict of stages.", '"HOOKS": {"after_registration": [{"hook": "session"}]}'
        )
        return stages
    inner = Reader(raw, where="HOOKS", faults=read.faults)
    inner.refuse_unknown(STAGES)
    for stage in STAGES:
        if inner.has(stage):
            stages[stage] = _stage(inner, stage)
    return stages


def _stage(read: Reader, stage: str) -> tuple[Hook, ...]:
    entries = read.raw(stage)
    if not isinstance(entries, list | tuple):
        read.fault(stage, "must be a list of hooks.", f'"{stage}": [{{"hook": "session"}}]')
        return ()
    hooks = []
    for index, entry in enumerate(entries):
        name = entry.get("hook") if isinstance(entry, Mapping) and set(entry) == {"hook"} else None
        if not isinstance(name, str) or not (name == "session" or "." in name):
            read.fault(
                f"{stage}[{index}]",
                "is not a hook.",
                'Use {"hook": "session"} or {"hook": "dotted.path.to.a.function"}.',
            )
        elif name == "session" and stage != "after_registration":
            read.fault(f"{stage}[{index}]", "'session' belongs to after_registration only.", "Remove it.")
        else:
            hooks.append(Hook(name=name))
    # As in Kratos, the session comes last: a hook that fails must fail before it.
    return tuple(sorted(hooks, key=lambda hook: hook.name == "session"))


def _return_urls(read: Reader) -> tuple[str, ...]:
    urls = read.texts("ALLOWED_RETURN_URLS")
    for url in urls:
        parts = _split(url)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            read.fault(
                "ALLOWED_RETURN_URLS",
                f"holds {url!r}, which is not an absolute URL.",
                '"ALLOWED_RETURN_URLS": ["https://app.example.com/"]',
            )
    return urls


def _seconds(read: Reader, key: str, default: float) -> float:
    value = read.raw(key)
    if value is None:
        return default
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**9:
        read.fault(key, "must be a positive number of seconds or a timedelta.", f'"{key}": {default:g}')
        return default
    return float(value)


def _http_timeout(read: Reader) -> tuple[float, float]:
    default = (3.0, 10.0)
    value = read.raw("HTTP_TIMEOUT")
    if value is None:
        return default
    pair: Sequence[object] = value if isinstance(value, list | tuple) else (value, value)
    inner = Reader(
        dict(zip(("connect", "read"), pair, strict=False)), where="HTTP_TIMEOUT", faults=read.faults
    )
    if len(pair) != 2:
        read.fault("HTTP_TIMEOUT", "must be (connect, read) in seconds.", '"HTTP_TIMEOUT": (3, 10)')
        return default
    return _seconds(inner, "connect", default[0]), _seconds(inner, "read", default[1])


def _emulator_url(read: Reader, *, debug: bool) -> str:
    text = read.text("EMULATOR_URL").rstrip("/")
    if not text:
        return ""
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or parts.hostname not in LOOPBACK:
        read.fault(
            "EMULATOR_URL", "must be on this machine.", '"EMULATOR_URL": "http://localhost:8000/emulator"'
        )
    if not debug:
        read.fault(
            "EMULATOR_URL", "is set while DEBUG is off: anybody could sign in as anybody.", "Remove it."
        )
    return text


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises ValueError for a port that is none
    except ValueError:
        return None
    return parts

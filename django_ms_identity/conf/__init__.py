"""Parse settings and environment into one frozen value, at call time.

The only package that reads ``MS_IDENTITY``. A parse is kept by the text of what was parsed, so a changed
setting is a different key and ``override_settings`` just works.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from django.conf import settings as project_settings  # "settings" is a module of this package

from django_ms_identity import env
from django_ms_identity.exceptions import ConfigurationInvalid

from .config import Config, Hook, Parsed
from .reader import ConfigIssue
from .settings import parse_settings

__all__ = ["Config", "Hook", "Parsed", "get_config", "is_enabled", "parse"]


def get_config() -> Config:
    """Return the configuration as it is now, or raise ``ConfigurationInvalid`` with all faults."""
    return parse().valid_config()


def is_enabled() -> bool:
    """Say whether sign-in is on; a broken configuration counts as on, so that it is reported."""
    return parse().config.enabled


def parse() -> Parsed:
    """Parse ``MS_IDENTITY``, or the environment where there is none."""
    raw = getattr(project_settings, "MS_IDENTITY", None)
    if raw is None:
        return _parse_env(repr(env.snapshot()), project_settings.DEBUG)
    return _parse(_ByText(raw), project_settings.DEBUG)


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
        empty = parse_settings({}, debug=debug)
        faults = tuple(ConfigIssue("environment:", fault) for fault in error.faults)
        return Parsed(config=empty.config, faults=faults, warnings=())
    parsed = parse_settings(raw, debug=debug)
    skipped = tuple(
        ConfigIssue(f"environment: provider {name!r}", "is not Microsoft's and is skipped.")
        for name in env.skipped_providers()
    )
    return Parsed(config=parsed.config, faults=parsed.faults, warnings=parsed.warnings + skipped)


@lru_cache(maxsize=32)
def _parse(raw: _ByText, debug: bool) -> Parsed:
    if not isinstance(raw.value, Mapping):
        empty = parse_settings({}, debug=debug)
        return Parsed(
            config=empty.config,
            faults=(ConfigIssue("MS_IDENTITY", "must be a dict.", 'MS_IDENTITY = {"PROVIDERS": [{…}]}'),),
            warnings=(),
        )
    return parse_settings(raw.value, debug=debug)

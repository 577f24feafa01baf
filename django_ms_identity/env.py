"""The door of django-environ: the settings dict out of environment variables; DESIGN 2.3."""

from __future__ import annotations

import json
from collections.abc import Mapping

import environ

from .exceptions import ConfigurationInvalid

_ENABLED = "SELFSERVICE_METHODS_OIDC_ENABLED"
_BASE = "SELFSERVICE_METHODS_OIDC_CONFIG_BASE_REDIRECT_URI"
_PROVIDERS = "SELFSERVICE_METHODS_OIDC_CONFIG_PROVIDERS"
_SHORTHAND = {
    "MS_IDENTITY_CLIENT_ID": "client_id",
    "MS_IDENTITY_CLIENT_SECRET": "client_secret",
    "MS_IDENTITY_TENANT": "microsoft_tenant",
    "MS_IDENTITY_MAPPER_URL": "mapper_url",
    "MS_IDENTITY_SUBJECT_SOURCE": "subject_source",
    "MS_IDENTITY_SCOPE": "scope",
    "MS_IDENTITY_ALLOWED_TENANTS": "allowed_tenants",
}
_LISTS = ("scope", "allowed_tenants")

VARIABLES = (_ENABLED, _BASE, _PROVIDERS, *_SHORTHAND)
"""Every environment variable that is read."""


def settings_from_env() -> dict[str, object]:
    """Return what ``MS_IDENTITY`` would be, from ``os.environ``.

    Variables that are absent or empty leave their key out. Raises ``ConfigurationInvalid`` naming the
    variable that cannot be read.
    """
    env = environ.Env()
    settings: dict[str, object] = {}
    if env.str(_ENABLED, default=""):
        settings["ENABLED"] = _flag(env.str(_ENABLED))
    if base := env.str(_BASE, default=""):
        settings["BASE_REDIRECT_URI"] = base
    array, shorthand = env.str(_PROVIDERS, default=""), _shorthand(env)
    if array and shorthand:
        given = ", ".join(name for name, key in _SHORTHAND.items() if key in shorthand)
        raise ConfigurationInvalid(
            f"{_PROVIDERS} and {given} are both set. Keep the array or the shorthand, not both."
        )
    if array:
        settings["PROVIDERS"] = _array(array)
    elif shorthand:
        settings["PROVIDERS"] = [{"id": "microsoft", **shorthand}]
    return settings


def skipped_providers() -> tuple[str, ...]:
    """Name the providers of the environment's array that are not Microsoft's, so not served here."""
    text = environ.Env().str(_PROVIDERS, default="")
    try:
        entries = json.loads(text) if text else []
    except (ValueError, RecursionError):
        return ()
    listed = entries if isinstance(entries, list) else []
    return tuple(str(entry.get("id", "?")) for entry in listed if not _ours(entry))


def snapshot() -> Mapping[str, str]:
    """Return the variables that are set, to notice when they change."""
    values = environ.Env.ENVIRON
    return {name: values[name] for name in VARIABLES if name in values}


def _flag(text: str) -> bool:
    if text.lower() in environ.Env.BOOLEAN_TRUE_STRINGS:
        return True
    if text.lower() in ("false", "off", "no", "n", "0"):
        return False
    raise ConfigurationInvalid(f"{_ENABLED} must be true or false.")


def _shorthand(env: environ.Env) -> dict[str, object]:
    given: dict[str, object] = {}
    for name, key in _SHORTHAND.items():
        if not env.str(name, default=""):
            continue
        # Kratos' lists are written with commas; spaces are what OAuth uses for scopes.
        given[key] = env.str(name).replace(",", " ").split() if key in _LISTS else env.str(name)
    return given


def _array(text: str) -> list[object]:
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        # Neither the parser's message nor the text: secrets stand in it.
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationInvalid(f"{_PROVIDERS} is not JSON: see {where}.") from None
    except RecursionError:
        raise ConfigurationInvalid(f"{_PROVIDERS} is nested too deeply.") from None
    if not isinstance(parsed, list):
        raise ConfigurationInvalid(f"{_PROVIDERS} must be a JSON array of provider objects.")
    return [entry for entry in parsed if _ours(entry)]


def _ours(entry: object) -> bool:
    return not isinstance(entry, dict) or entry.get("provider", "microsoft") == "microsoft"

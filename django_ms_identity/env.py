"""Read the settings dict from environment variables, which have the names that Ory Kratos gives them."""

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
    """Return a dict as ``MS_IDENTITY``, made of ``os.environ``.

    Variables that are absent or empty leave their key out. Raises ``ConfigurationInvalid`` naming every
    variable that cannot be read.
    """
    faults: list[str] = []
    given = {name: text for name in VARIABLES if (text := _text(name, faults))}
    settings: dict[str, object] = {}
    if _ENABLED in given:
        settings["ENABLED"] = _flag(given[_ENABLED], faults)
    if _BASE in given:
        settings["BASE_REDIRECT_URI"] = given[_BASE]
    shorthand = [name for name in _SHORTHAND if name in given]
    if _PROVIDERS in given:
        providers = [entry for entry in _array(given[_PROVIDERS], faults) if _is_microsoft(entry)]
        if any(isinstance(entry, dict) and "mapper" in entry for entry in providers):
            # Kratos' variable holds data; the code that runs is chosen in the settings.
            faults.append(f"{_PROVIDERS} has the key mapper, which is for the settings only. Use mapper_url.")
        settings["PROVIDERS"] = providers
    elif shorthand:
        settings["PROVIDERS"] = [
            {"id": "microsoft", **{_SHORTHAND[name]: _value(name, given[name]) for name in shorthand}}
        ]
    if _PROVIDERS in given and shorthand:
        both = f"{_PROVIDERS} and {', '.join(shorthand)}"
        faults.append(f"{both} are both set. Keep the array or the shorthand, not both.")
    if faults:
        raise ConfigurationInvalid(*faults)
    return settings


def skipped_providers() -> tuple[str, ...]:
    """Return the ids of the providers in the environment's array that are not Microsoft's and are skipped."""
    text = _text(_PROVIDERS, [])
    entries = _array(text, []) if text else []
    return tuple(
        str(entry.get("id", "?")) for entry in entries if isinstance(entry, dict) and not _is_microsoft(entry)
    )


def snapshot() -> Mapping[str, str]:
    """Return the variables that are set, to notice when they change."""
    values = environ.Env.ENVIRON
    return {name: values[name] for name in VARIABLES if name in values}


def _text(name: str, faults: list[str]) -> str:
    try:
        text: str = environ.Env().str(name, default="")
    except RecursionError:
        # django-environ replaces $OTHER by the value of OTHER.
        faults.append(f"{name} refers to itself.")
        return ""
    return text.strip()


def _value(name: str, text: str) -> str | list[str]:
    if _SHORTHAND[name] not in _LISTS:
        return text
    # django-environ's lists have commas; OAuth writes scopes with spaces.
    return text.replace(",", " ").split()


def _flag(text: str, faults: list[str]) -> bool:
    if text.lower() in environ.Env.BOOLEAN_TRUE_STRINGS:
        return True
    if text.lower() not in ("false", "off", "no", "n", "0"):
        faults.append(f"{_ENABLED} must be true or false.")
    return False


def _array(text: str, faults: list[str]) -> list[object]:
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        # Without the parser's message and the text, which hold secrets.
        faults.append(f"{_PROVIDERS} is not JSON: see line {error.lineno}, column {error.colno}.")
    except (ValueError, RecursionError):
        faults.append(f"{_PROVIDERS} is not JSON that can be read: too deep, or a number is too long.")
    else:
        if isinstance(parsed, list):
            return parsed
        faults.append(f"{_PROVIDERS} must be a JSON array of provider objects.")
    return []


def _is_microsoft(entry: object) -> bool:
    return not isinstance(entry, dict) or entry.get("provider", "microsoft") == "microsoft"

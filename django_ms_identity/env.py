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
VARIABLES = (_ENABLED, _BASE, _PROVIDERS, *_SHORTHAND)
"""Every environment variable that is read."""


def settings_from_env() -> dict[str, object]:
    """Return a dict as ``MS_IDENTITY``, made of ``os.environ``.

    Variables that are absent or empty leave their key out. Raises ``ConfigurationInvalid`` naming every
    variable that cannot be read.
    """
    settings, faults, _ = parse_environment()
    if faults:
        raise ConfigurationInvalid(*faults)
    return settings


def parse_environment() -> tuple[dict[str, object], list[str], list[str]]:
    """Return the settings, every fault, and the ids of the array's providers that are not Microsoft's.

    There are no settings where there is a fault.
    """
    faults: list[str] = []
    skipped: list[str] = []
    given = {name: text for name in VARIABLES if (text := _read_text(name, faults))}
    settings: dict[str, object] = {}
    if _ENABLED in given:
        settings["ENABLED"] = _flag(given[_ENABLED], faults)
    if _BASE in given:
        settings["BASE_REDIRECT_URI"] = given[_BASE]
    shorthand = {key: _value(key, given[name]) for name, key in _SHORTHAND.items() if name in given}
    if shorthand:
        settings["PROVIDERS"] = [{"id": "microsoft", **shorthand}]
    if _PROVIDERS in given:
        settings["PROVIDERS"] = _parse_providers(given[_PROVIDERS], faults, skipped)
        if both := [name for name in _SHORTHAND if name in given]:
            faults.append(
                f"{_PROVIDERS} and {', '.join(both)} are both set. Keep the array or the shorthand, not both."
            )
    return {} if faults else settings, faults, skipped


def snapshot() -> Mapping[str, str]:
    """Return the variables that are set, to notice when they change."""
    values = environ.Env.ENVIRON
    return {name: values[name] for name in VARIABLES if name in values}


def _read_text(name: str, faults: list[str]) -> str:
    try:
        text: str = environ.Env().str(name, default="")
    except RecursionError:
        # django-environ replaces $OTHER by the value of OTHER.
        faults.append(f"{name} refers to itself.")
        return ""
    return text.strip()


def _value(key: str, text: str) -> str | list[str]:
    # django-environ's lists have commas; OAuth writes scopes with spaces.
    return text.replace(",", " ").split() if key in ("scope", "allowed_tenants") else text


def _flag(text: str, faults: list[str]) -> bool:
    if text.lower() in environ.Env.BOOLEAN_TRUE_STRINGS:
        return True
    if text.lower() not in ("false", "off", "no", "n", "0"):
        faults.append(f"{_ENABLED} must be true or false.")
    return False


def _parse_providers(text: str, faults: list[str], skipped: list[str]) -> list[object]:
    try:
        array = json.loads(text)
    except json.JSONDecodeError as error:
        # Without the parser's message and the text, which hold secrets.
        faults.append(f"{_PROVIDERS} is not JSON: see line {error.lineno}, column {error.colno}.")
        return []
    except (ValueError, RecursionError):
        faults.append(f"{_PROVIDERS} is not JSON that can be read: too deep, or a number is too long.")
        return []
    if not isinstance(array, list):
        faults.append(f"{_PROVIDERS} must be a JSON array of provider objects.")
        return []
    providers = []
    for entry in array:
        if isinstance(entry, dict) and entry.get("provider", "microsoft") != "microsoft":
            skipped.append(str(entry.get("id", "?")))
            continue
        if isinstance(entry, dict) and "mapper" in entry:
            # Kratos' variable holds data; the code that runs is chosen in the settings.
            faults.append(f"{_PROVIDERS} has the key mapper, which is for the settings only. Use mapper_url.")
        providers.append(entry)
    return providers

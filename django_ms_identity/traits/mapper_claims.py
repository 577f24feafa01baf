"""Claims of an ID token -> the ``claims`` that a mapper reads, in the shape of Kratos' claims struct.

Ory Kratos, selfservice/strategy/oidc/provider.go: every known claim has a Go type and ``omitempty``, so
empty values are absent; a wrong type in any known claim refuses the sign-in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from django_ms_identity.exceptions import ClaimsInvalid
from django_ms_identity.jsonnet.json_values import JSON, JSONObject, NotJSON, clean_object, kind_of

_HINT = "Look at the optional claims and the claims-mapping policies of the app registration."
_INT64 = range(-(2**63), 2**63)


class _WrongType(Exception):
    """Carries what was expected."""


def _string(value: JSON) -> JSON:
    if not isinstance(value, str):
        raise _WrongType("a string")
    return value


def _boolean(value: JSON) -> JSON:
    if not isinstance(value, bool):
        raise _WrongType("a boolean")
    return value


def _convertible_boolean(value: JSON) -> JSON:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise _WrongType('true, false, "true" or "false"')
    return value == "true"


def _int64(value: JSON) -> JSON:
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INT64:
        raise _WrongType("an integer of at most 64 bits")
    return value


def _strings(value: JSON) -> JSON:
    if not isinstance(value, list) or not all(item is None or isinstance(item, str) for item in value):
        raise _WrongType("an array of strings")
    return [item or "" for item in value]  # Go leaves the zero value where an array holds null


def _locale(value: JSON) -> JSON:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        parts = [value.get("language"), value.get("country")]
        if all(part is None or isinstance(part, str) for part in parts):
            return "-".join(str(part) for part in parts if part)
    raise _WrongType("a string, or an object with the strings language and country")


_Reader: TypeAlias = Callable[[JSON], JSON]

_GO_TYPES: dict[str, _Reader] = {
    "iss sub oid name given_name family_name last_name middle_name nickname preferred_username profile "
    "picture website email gender birthdate zoneinfo phone_number hd team nonce acr": _string,
    "email_verified": _convertible_boolean,
    "phone_number_verified nonce_supported": _boolean,
    "locale": _locale,
    "updated_at": _int64,
    "amr": _strings,
}
_KNOWN = {name: read for names, read in _GO_TYPES.items() for name in names.split()}
_NULL_REFUSES = {"email_verified"}
"""Elsewhere null means absent; Kratos' convertible boolean has its own decoder, which refuses it."""


def mapper_claims(payload: Mapping[str, object], *, subject: str) -> JSONObject:
    """Return what ``std.extVar('claims')`` holds for a verified payload.

    Known claims are at the top with empty ones left out, ``sub`` is the ``subject`` that the provider's
    subject source named, and ``raw_claims`` has everything as it came. Raises ``ClaimsInvalid``, which
    names every claim of a wrong type and never shows a value.
    """
    try:
        raw = clean_object(dict(payload))
    except NotJSON as error:
        raise ClaimsInvalid(f"the claims hold {error}, which is refused") from None
    faults: list[str] = []
    known = {name: _read_claim(name, raw[name], faults) for name in _KNOWN if name in raw}
    if faults:
        raise ClaimsInvalid("; ".join(faults), hint=_HINT)
    known["sub"] = subject
    return {name: value for name, value in (known | {"raw_claims": raw}).items() if value}


def _read_claim(name: str, value: JSON, faults: list[str]) -> JSON:
    if value is None and name not in _NULL_REFUSES:
        return None
    try:
        return _KNOWN[name](value)
    except _WrongType as error:
        faults.append(f"claim {name!r} is {kind_of(value)}; expected is {error}")
        return None

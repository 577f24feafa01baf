"""What a project can name as a provider's ``mapper``."""

from __future__ import annotations

import json
from typing import Any

from django_ms_identity.exceptions import RegistrationRefused, SignInRefused

NOT_A_FUNCTION = "planted"
seen: list[dict[str, Any]] = []


def email(claims: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """Map as the mapper that ships does, in part; notes the identity that it was given."""
    seen.append(identity)
    address = claims["email"]
    return {
        "identity": {
            "traits": {"email": address, "name": claims.get("name", "")},
            "verified_addresses": [{"via": "email", "value": address}],
        },
        "user": {"username": address},
    }


def keep_stored(claims: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """Hand on what is stored, which is not Microsoft's word; fail where nothing is stored, once it was."""
    seen.append(identity)
    if not identity["traits"] and len(seen) > 1:
        raise RegistrationRefused("known people only")
    address = identity["traits"].get("contact", claims["email"])
    return {
        "identity": {
            "traits": {"contact": "boss@contoso.example", "email": address},
            "verified_addresses": [{"via": "email", "value": address}],
        },
        "user": {"username": claims["email"]},
    }


def quote(claims: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """Fail with claims in the message and in the variables, inside another failure."""
    planted = claims["email"]
    try:
        json.loads(planted)
    except ValueError as error:
        raise KeyError(f"no use for {planted}") from error
    return {}


def parse_email(claims: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """Fail in a library."""
    return dict(json.loads(claims["email"]))


def mutate(claims: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """Change everything that it is given, deep inside too."""
    claims["raw_claims"]["groups"].append("planted")
    claims["raw_claims"]["tid"] = claims["sub"] = "planted"
    identity["traits"]["planted"] = True
    identity["metadata_admin"].setdefault("list", []).append("planted")
    return {"identity": {"traits": {"username": "u"}}}


def refuse_registration(claims: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    raise RegistrationRefused("not on the list")


def refuse_sign_in(claims: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    raise SignInRefused("not today")


async def asynchronous(claims: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    return {}


class Asynchronous:
    async def __call__(self, claims: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
        return {}


asynchronous_object = Asynchronous()


class Constant:
    """A mapper that returns one value; a class because tests set it."""

    def __init__(self) -> None:
        self.value: object = None

    def __call__(self, claims: dict[str, Any], identity: dict[str, Any]) -> Any:
        return self.value


constant = Constant()

"""One identity of Ory Kratos -> a frozen value, with every fault named.

Ory Kratos, identity/identity.go and identity/credentials_oidc.go. Tokens and all other credentials than
``oidc`` are not even looked at.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from django_ms_identity.jsonnet.json_values import (
    JSONObject,
    NotJSON,
    clean_object,
    has_nul,
    kind_of,
    well_formed,
)
from django_ms_identity.traits.mapping_result import Address, normalise_email

_Object: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedCredential:
    """One ``provider:subject`` of an identity."""

    provider: str
    """As Kratos calls it."""
    subject: str
    auto_link: bool = False
    """``use_auto_link``: Kratos would have asked before it believed this entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedAddress:
    """A verified address."""

    address: Address = field(repr=False)
    verified_at: datetime | None
    """None where Kratos does not say when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedIdentity:
    """One identity, as far as it is taken over."""

    id: uuid.UUID
    is_active: bool
    state_changed_at: datetime | None
    created_at: datetime | None
    # Personal, all of it: not shown in reports.
    traits: JSONObject = field(repr=False)
    metadata_public: JSONObject = field(repr=False)
    metadata_admin: JSONObject = field(repr=False)
    verified_addresses: tuple[ExportedAddress, ...] = field(repr=False)
    credentials: tuple[ExportedCredential, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidEntry:
    """An entry of the export that is no identity; every fault is named, no value is shown."""

    name: str
    """Its id, or its place in the export."""
    faults: tuple[str, ...]


def read_identity(entry: object, *, name: str) -> ExportedIdentity | InvalidEntry:
    """Read one entry of an export; ``name`` is what it is called until its id is known."""
    return _Reader(name).identity(entry)


class _Reader:
    """Read one entry; a class because it gathers the faults met on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[str] = []

    def identity(self, entry: object) -> ExportedIdentity | InvalidEntry:
        if not isinstance(entry, dict):
            return InvalidEntry(name=self.name, faults=(f"it is {kind_of(entry)}; expected is an object",))
        identity_id = self._id(entry)
        identity = ExportedIdentity(
            id=identity_id or uuid.UUID(int=0),
            is_active=self._is_active(entry),
            state_changed_at=self._time(entry, "state_changed_at"),
            created_at=self._time(entry, "created_at"),
            traits=self._stored(entry, "traits", required=True),
            metadata_public=self._stored(entry, "metadata_public"),
            metadata_admin=self._stored(entry, "metadata_admin"),
            verified_addresses=self._addresses(entry),
            credentials=self._credentials(entry),
        )
        return InvalidEntry(name=self.name, faults=tuple(self.faults)) if self.faults else identity

    def _id(self, entry: _Object) -> uuid.UUID | None:
        value = entry.get("id")
        try:
            # In any other form it would not be Kratos' own.
            identity_id = uuid.UUID(value) if isinstance(value, str) and len(value) == 36 else None
        except ValueError:
            identity_id = None
        if identity_id is None:
            self.faults.append("id is no UUID")
        else:
            self.name = f"identity {identity_id}"
        return identity_id

    def _is_active(self, entry: _Object) -> bool:
        state = entry.get("state") or "active"
        if state not in ("active", "inactive"):
            self.faults.append("state is neither 'active' nor 'inactive'")
        return state == "active"

    def _time(self, entry: _Object, key: str, where: str = "") -> datetime | None:
        value = entry.get(key)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
            if moment is not None and moment.tzinfo is not None:
                # Go writes the first day of the year 1 where it has no time.
                return moment.astimezone(UTC) if moment.year > 1 else None
        except (ValueError, OverflowError):
            pass
        self.faults.append(f"{where}{key} is no time with a time zone (RFC 3339)")
        return None

    def _stored(self, entry: _Object, key: str, *, required: bool = False) -> JSONObject:
        value = entry.get(key)
        if value is None and not required:
            return {}
        if not isinstance(value, dict):
            self.faults.append(f"{key} is {kind_of(value)}; expected is an object")
            return {}
        try:
            stored = clean_object(value)
        except NotJSON as error:
            self.faults.append(f"{key} holds {error}")
            return {}
        if has_nul(stored):
            self.faults.append(f"{key} holds a NUL character, which databases refuse")
        return stored

    def _addresses(self, entry: _Object) -> tuple[ExportedAddress, ...]:
        found: dict[Address, ExportedAddress] = {}
        for index, listed in enumerate(self._list(entry, "verifiable_addresses")):
            where = f"verifiable_addresses[{index}]."
            if not isinstance(listed, dict):
                self.faults.append(f"{where[:-1]} is {kind_of(listed)}; expected is an object")
                continue
            if listed.get("verified") is not True and listed.get("status") != "completed":
                continue
            via, value = (self._text(listed, key, where) for key in ("via", "value"))
            address = Address(via=via, value=normalise_email(value) if via == "email" else value)
            verified_at = self._time(listed, "verified_at", where)
            if via and value:
                found.setdefault(address, ExportedAddress(address=address, verified_at=verified_at))
        return tuple(found.values())

    def _credentials(self, entry: _Object) -> tuple[ExportedCredential, ...]:
        oidc = self._object(self._object(entry, "credentials"), "oidc")
        found: dict[tuple[str, str], ExportedCredential] = {}
        for index, listed in enumerate(self._list(self._object(oidc, "config"), "providers")):
            where = f"credentials.oidc.config.providers[{index}]."
            if not isinstance(listed, dict):
                self.faults.append(f"{where[:-1]} is {kind_of(listed)}; expected is an object")
                continue
            provider, subject = (self._text(listed, key, where) for key in ("provider", "subject"))
            auto_link = listed.get("use_auto_link") not in (None, False)
            found[provider, subject] = ExportedCredential(
                provider=provider, subject=subject, auto_link=auto_link
            )
        for index, identifier in enumerate(self._list(oidc, "identifiers")):
            provider, colon, subject = (
                identifier.partition(":") if isinstance(identifier, str) else ("", "", "")
            )
            if not (provider and colon and subject):
                self.faults.append(f"credentials.oidc.identifiers[{index}] is not 'provider:subject'")
                continue
            found.setdefault((provider, subject), ExportedCredential(provider=provider, subject=subject))
        return tuple(found.values())

    def _object(self, parent: _Object, key: str) -> _Object:
        value = parent.get(key)
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.faults.append(f"{key} is {kind_of(value)}; expected is an object")
        return {}

    def _list(self, parent: _Object, key: str) -> list[object]:
        value = parent.get(key)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self.faults.append(f"{key} is {kind_of(value)}; expected is an array")
        return []

    def _text(self, parent: _Object, key: str, where: str) -> str:
        value = parent.get(key)
        if isinstance(value, str) and value and "\0" not in value:
            return well_formed(value)
        self.faults.append(f"{where}{key} is no text or empty")
        return ""

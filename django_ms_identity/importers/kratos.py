"""Read an export of Ory Kratos: the text entry by entry, and each entry as a value or a list of its faults.

Ory Kratos, identity/identity.go and identity/credentials_oidc.go. Tokens, and credentials of other types than
``oidc``, are not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar
from uuid import UUID

from django_ms_identity.entra.clouds import GUID
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
_Kind = TypeVar("_Kind", bound="dict[str, object] | list[object]")

_DECODER = json.JSONDecoder()
_NOT_SPACE = re.compile(r"[^ \t\r\n]")


class ExportUnreadable(ValueError):
    """The file as a whole cannot be read; the message says where and quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedCredential:
    """One ``provider:subject`` of an identity."""

    provider: str
    """The id that Kratos uses."""
    subject: str
    auto_link: bool = False
    """``use_auto_link``: Kratos has not confirmed this entry yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedIdentity:
    """The imported part of an identity."""

    id: UUID
    is_active: bool
    state_changed_at: datetime | None
    created_at: datetime | None
    # All of these are personal: not shown in reports.
    traits: JSONObject = field(repr=False)
    metadata_public: JSONObject = field(repr=False)
    metadata_admin: JSONObject = field(repr=False)
    verified_addresses: Mapping[Address, datetime | None] = field(repr=False)
    """When each address was verified; None where Kratos does not say."""
    credentials: tuple[ExportedCredential, ...]

    @property
    def verified_emails(self) -> tuple[str, ...]:
        return tuple(address.value for address in self.verified_addresses if address.via == "email")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidEntry:
    """An entry of the export that is no identity; every fault is named, no value is shown."""

    name: str
    """Its id, or its place in the export."""
    faults: tuple[str, ...]


def count(text: str) -> int:
    """Return the number of entries of an export; raise ``ExportUnreadable`` if any part cannot be read."""
    return sum(1 for _ in _parse_entries(text))


def read(text: str) -> Iterator[ExportedIdentity | InvalidEntry]:
    """Read an export entry by entry: an array, one identity, JSON lines, or pages with ``identities``."""
    for place, entry in enumerate(_parse_entries(text), start=1):
        yield _read_entry(entry, name=f"entry {place}")


def _parse_entries(text: str) -> Iterator[object]:
    # One at a time: a large export takes many times its size as Python objects.
    position = _skip_space(text, 0)
    if position == len(text):
        raise ExportUnreadable("it is empty")
    while position < len(text):
        if text[position] == "[":
            position = yield from _items(text, position + 1)
        else:
            value, position = _decode_entry(text, position)
            page = value.get("identities") if isinstance(value, dict) and "id" not in value else None
            yield from page if isinstance(page, list) else [value]
        position = _skip_space(text, position)


def _items(text: str, position: int) -> Generator[object, None, int]:
    position = _skip_space(text, position)
    if text.startswith("]", position):
        return position + 1
    while True:
        item, position = _decode_entry(text, position)
        yield item
        position = _skip_space(text, position)
        if text.startswith("]", position):
            return position + 1
        if not text.startswith(",", position):
            raise ExportUnreadable(f"it is not JSON at {_line_and_column(text, position)}")
        position = _skip_space(text, position + 1)


def _decode_entry(text: str, position: int) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        position, reason = error.pos, "it is not JSON"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError:
        # Python refuses to read integers of thousands of digits.
        reason = "it holds a number that is too long"
    raise ExportUnreadable(f"{reason} at {_line_and_column(text, position)}")


def _skip_space(text: str, position: int) -> int:
    found = _NOT_SPACE.search(text, position)
    return found.start() if found else len(text)


def _line_and_column(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - text.rfind(chr(10), 0, position)}"


def _read_entry(entry: object, *, name: str) -> ExportedIdentity | InvalidEntry:
    if not isinstance(entry, dict):
        return InvalidEntry(name=name, faults=(f"it is {kind_of(entry)}; expected is an object",))
    reader = _EntryReader()
    identity = reader.identity(entry)
    if not reader.faults:
        return identity
    return InvalidEntry(
        name=f"identity {identity.id}" if identity.id.int else name, faults=tuple(reader.faults)
    )


class _EntryReader:
    """Read one entry; a class because it gathers faults on the way."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def identity(self, entry: _Object) -> ExportedIdentity:
        # Kratos writes this form alone.
        identity_id = str(entry.get("id")).lower()
        if not GUID.fullmatch(identity_id):
            self.faults.append("id is no UUID")
            identity_id = str(UUID(int=0))
        state = entry.get("state") or "active"
        if state not in ("active", "inactive"):
            self.faults.append("state is neither 'active' nor 'inactive'")
        return ExportedIdentity(
            id=UUID(identity_id),
            is_active=state == "active",
            state_changed_at=self._time(entry, "state_changed_at"),
            created_at=self._time(entry, "created_at"),
            traits=self._json_object(entry, "traits", required=True),
            metadata_public=self._json_object(entry, "metadata_public"),
            metadata_admin=self._json_object(entry, "metadata_admin"),
            verified_addresses=self._addresses(entry),
            credentials=self._credentials(entry),
        )

    def _addresses(self, entry: _Object) -> dict[Address, datetime | None]:
        found: dict[Address, datetime | None] = {}
        for path, listed in self._objects(entry, "verifiable_addresses"):
            if listed.get("verified") is True or listed.get("status") == "completed":
                via, value = self._text(listed, "via", path), self._text(listed, "value", path)
                address = Address(via=via, value=normalise_email(value) if via == "email" else value)
                found.setdefault(address, self._time(listed, "verified_at", path))
        return found

    def _credentials(self, entry: _Object) -> tuple[ExportedCredential, ...]:
        oidc = self._get(self._get(entry, "credentials", dict), "oidc", dict)
        found: dict[tuple[str, str], ExportedCredential] = {}
        for path, listed in self._objects(
            self._get(oidc, "config", dict), "providers", "credentials.oidc.config."
        ):
            provider, subject = self._text(listed, "provider", path), self._text(listed, "subject", path)
            auto_link = listed.get("use_auto_link") not in (None, False)
            found[provider, subject] = ExportedCredential(
                provider=provider, subject=subject, auto_link=auto_link
            )
        for index, identifier in enumerate(self._get(oidc, "identifiers", list)):
            provider, _, subject = (identifier if isinstance(identifier, str) else "").partition(":")
            if not provider or not subject:
                self.faults.append(f"credentials.oidc.identifiers[{index}] is not 'provider:subject'")
            found.setdefault((provider, subject), ExportedCredential(provider=provider, subject=subject))
        return tuple(found.values())

    def _json_object(self, entry: _Object, key: str, *, required: bool = False) -> JSONObject:
        try:
            value = clean_object(self._get(entry, key, dict, required=required))
        except NotJSON as error:
            self.faults.append(f"{key} holds {error}")
            return {}
        if has_nul(value):
            self.faults.append(f"{key} holds a NUL character, which databases refuse")
        return value

    def _objects(self, parent: _Object, key: str, prefix: str = "") -> Iterator[tuple[str, _Object]]:
        for index, item in enumerate(self._get(parent, key, list)):
            path = f"{prefix}{key}[{index}]"
            if isinstance(item, dict):
                yield f"{path}.", item
            else:
                self.faults.append(f"{path} is {kind_of(item)}; expected is an object")

    def _get(self, parent: _Object, key: str, kind: type[_Kind], *, required: bool = False) -> _Kind:
        value = parent.get(key)
        if isinstance(value, kind):
            return value
        if value is not None or required:
            self.faults.append(f"{key} is {kind_of(value)}; expected is {kind_of(kind())}")
        return kind()

    def _text(self, parent: _Object, key: str, path: str) -> str:
        value = parent.get(key)
        if isinstance(value, str) and value and "\0" not in value:
            return well_formed(value)
        self.faults.append(f"{path}{key} is no text or empty")
        return ""

    def _time(self, parent: _Object, key: str, path: str = "") -> datetime | None:
        value = parent.get(key)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(str(value))
            if moment.tzinfo is not None:
                # Go writes the first day of the year 1 where it has no time.
                return moment.astimezone(UTC) if moment.year > 1 else None
        except (ValueError, OverflowError):
            pass
        self.faults.append(f"{path}{key} is no time with a time zone (RFC 3339)")
        return None

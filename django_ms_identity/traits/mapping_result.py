"""The mapper's output -> a typed result, with every fault named. Decides nothing about its use.

``identity`` is read as by Ory Kratos, selfservice/strategy/oidc/strategy_registration.go; ``user`` is an
addition for Django.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

from django_ms_identity.exceptions import MapperResultInvalid
from django_ms_identity.jsonnet.json_values import JSON, JSONObject, NotJSON, clean, has_nul, kind_of

from .paths import parse_path

Scalar: TypeAlias = str | int | float | bool | None

# unicode.IsSpace; Python's strip() takes more.
_GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address that the mapper vouches for."""

    via: str
    """``email``, or another kind such as ``sms``."""
    value: str = field(repr=False)
    """E-mail is trimmed and in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedUser:
    """What the mapper wants on the Django user."""

    fields: Mapping[str, Scalar] = field(default_factory=dict, repr=False)
    groups: tuple[str, ...] | None = None
    """Names; None when the mapper says nothing of groups, empty when it says that there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingResult:
    """What a mapper made of the claims."""

    # Personal, all of it: not shown in reports.
    traits: JSONObject = field(repr=False)
    metadata_public: JSONObject | None = field(default=None, repr=False)
    """None when the mapper left it out, which is not the same as ``{}``."""
    metadata_admin: JSONObject | None = field(default=None, repr=False)
    verified_addresses: tuple[Address, ...] = field(default=(), repr=False)
    user: MappedUser | None = field(default=None, repr=False)
    self_asserted: tuple[str, ...] = ()
    """Paths of the traits that the visitor typed."""
    original: MappingResult | None = field(default=None, repr=False)
    """What the mapper itself returned, where a form or a web hook has changed the traits since."""
    confirmation: MappingResult | None = field(default=None, repr=False)
    """What the mapper returns for the same claims and an empty identity; None where it saw no other.

    A mapper may pass on what it finds in the stored identity. Only what it also makes of the claims alone
    comes from Microsoft.
    """

    @property
    def as_mapped(self) -> MappingResult:
        """What the mapper itself returned: what a visitor or a web hook says proves nothing."""
        return self.original or self

    @property
    def confirmed(self) -> MappingResult:
        """What the mapper makes of the claims alone."""
        return self.confirmation or self.as_mapped

    @property
    def typed(self) -> frozenset[str]:
        """The top-level traits that the visitor typed, or a part of them."""
        return frozenset(parse_path(path)[0] for path in self.self_asserted)

    def with_traits(self, traits: JSONObject, *, self_asserted: tuple[str, ...] = ()) -> MappingResult:
        """Return the result with other traits, for which the mapper is not responsible.

        ``self_asserted`` are the paths of those that the visitor typed, in addition to earlier ones.
        """
        return replace(
            self,
            traits=traits,
            self_asserted=tuple(dict.fromkeys((*self.self_asserted, *self_asserted))),
            original=self.as_mapped,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for ``from_dict``; they pass through JSON unchanged."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Any) -> MappingResult:  # Any: what another release wrote raises.
        """Read what ``as_dict`` returned; all else raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        user, original, confirmation = plain["user"], plain["original"], plain["confirmation"]
        groups = user and user["groups"]
        parsed = {
            "verified_addresses": tuple(Address(**address) for address in plain["verified_addresses"]),
            "user": user
            and MappedUser(fields=user["fields"], groups=None if groups is None else tuple(groups)),
            "self_asserted": tuple(plain["self_asserted"]),
            "original": original and cls.from_dict(original),
            "confirmation": confirmation and cls.from_dict(confirmation),
        }
        return cls(**plain | parsed)


def parse_mapping(text: str) -> MappingResult:
    """Read a mapper's output, or raise ``MapperResultInvalid`` with all its faults."""
    output = _load_output(text)
    read = _Reader()
    identity = read.object(output, "identity", required=True)
    if identity is None:
        identity = {"traits": {}}  # one fault is enough
    result = MappingResult(
        traits=read.object(identity, "identity.traits", required=True) or {},
        metadata_public=read.object(identity, "identity.metadata_public"),
        metadata_admin=read.object(identity, "identity.metadata_admin"),
        verified_addresses=read.addresses(identity),
        user=read.user(output),
    )
    if read.faults:
        raise MapperResultInvalid(*read.faults)
    return result


def normalise_email(value: str) -> str:
    """Trim and lower an e-mail address as Go does: code point by code point, where Python may make two."""
    return "".join(letter.lower()[0] for letter in value.strip(_GO_SPACE))


class _Reader:
    """Read parts of the output; a class because it gathers the faults met on the way."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def object(self, parent: JSONObject, path: str, *, required: bool = False) -> JSONObject | None:
        key = path.rpartition(".")[2]
        if key in parent:
            value = parent[key]
            if isinstance(value, dict):
                return value
            self._wrong(path, value, "an object")
        elif required:
            self.faults.append(f"{path} is missing")
        return None

    def addresses(self, identity: JSONObject) -> tuple[Address, ...]:
        path = "identity.verified_addresses"
        entries = identity.get("verified_addresses", [])
        if not isinstance(entries, list):
            self._wrong(path, entries, "an array of objects")
            return ()
        read = [self._address(f"{path}[{index}]", entry) for index, entry in enumerate(entries)]
        return tuple(dict.fromkeys(address for address in read if address.via and address.value))

    def _address(self, path: str, entry: JSON) -> Address:
        # Go decodes null to the zero value, anywhere, and ignores what it does not know.
        if not isinstance(entry, dict | None):
            self._wrong(path, entry, "an object")
            entry = None
        parts = {}
        for key in ("via", "value"):
            part = (entry or {}).get(key)
            if not isinstance(part, str | None):
                self._wrong(f"{path}.{key}", part, "a string")
            parts[key] = part if isinstance(part, str) else ""
        if parts["via"] == "email":
            parts["value"] = normalise_email(parts["value"])
        return Address(**parts)

    def user(self, output: JSONObject) -> MappedUser | None:
        wanted = self.object(output, "user")
        if wanted is None:
            return None
        groups: tuple[str, ...] | None = None
        fields: dict[str, Scalar] = {}
        for name, value in wanted.items():
            if name == "groups":
                groups = self._groups(value)
            elif isinstance(value, dict | list):
                # A computed name may come from the claims.
                shown = f"user.{name}" if name.isidentifier() else "user.…"
                self._wrong(shown, value, "a string, a number, a boolean or null")
            else:
                fields[name] = value
        return MappedUser(fields=fields, groups=groups)

    def _groups(self, value: JSON) -> tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return tuple(str(name) for name in value)
        self._wrong("user.groups", value, "an array of strings")
        return ()

    def _wrong(self, path: str, value: JSON, expected: str) -> None:
        came = kind_of(value)
        if came == "an array" and "array" in expected:
            came = "an array with other items"
        self.faults.append(f"{path} is {came}; expected is {expected}")


def _load_output(text: str) -> JSONObject:
    try:
        output = clean(json.loads(text))
    except NotJSON as error:
        raise MapperResultInvalid(f"the output holds {error}") from None
    except (ValueError, RecursionError):
        raise MapperResultInvalid("the output is not JSON that can be read") from None
    if not isinstance(output, dict):
        raise MapperResultInvalid(f"the output is {kind_of(output)}; expected is an object")
    if "\\u0000" in text and has_nul(output):
        raise MapperResultInvalid("the output holds a NUL character, which databases refuse")
    return output

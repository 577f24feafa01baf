"""Read typed values out of a configuration, and list every fault instead of the first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeGuard, TypeVar

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class ConfigIssue:
    """Something wrong in a configuration."""

    path: str
    """Names the value, as in ``PROVIDERS[0].client_id``."""
    message: str
    """Continues the path to a sentence."""
    hint: str = ""
    """What to type instead."""

    def __str__(self) -> str:
        return f"{self.path} {self.message}"


class DictReader:
    """Read typed values by key; a class because it gathers issues on the way.

    ``path`` names the mapping in the configuration. ``faults`` make it invalid, ``warnings`` do not; both
    lists are appended to, and shared with the readers of what is inside.
    """

    def __init__(
        self,
        source: Mapping[str, object],
        *,
        path: str = "",
        faults: list[ConfigIssue] | None = None,
        warnings: list[ConfigIssue] | None = None,
    ) -> None:
        self._source = source
        self._path = path
        self.faults = [] if faults is None else faults
        self.warnings = [] if warnings is None else warnings

    @property
    def keys(self) -> Iterable[str]:
        return self._source

    def at(self, key: str) -> str:
        """Name the path of ``key``."""
        return f"{self._path}.{key}" if self._path else key

    def fault(self, key: str, message: str, hint: str = "") -> None:
        """Note that ``key`` is wrong."""
        self.faults.append(ConfigIssue(self.at(key), message, hint))

    def warn(self, key: str, message: str, hint: str = "") -> None:
        """Note that ``key`` is valid but does not do what it seems to."""
        self.warnings.append(ConfigIssue(self.at(key), message, hint))

    def has(self, key: str) -> bool:
        return self._source.get(key) is not None

    def raw(self, key: str) -> object:
        return self._source.get(key)

    def text(self, key: str, default: str = "") -> str:
        value = self._source.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.fault(key, f"must be text, not {type(value).__name__}.")
            return default
        return value.strip()

    def required(self, key: str, hint: str) -> str:
        text = self.text(key)
        if not text and not (self.has(key) and not isinstance(self.raw(key), str)):
            self.fault(key, "is missing.", hint)
        return text

    def flag(self, key: str, default: bool) -> bool:
        value = self._source.get(key, default)
        if not isinstance(value, bool):
            self.fault(key, f"must be True or False, not {type(value).__name__}.")
            return default
        return value

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self._source.get(key)
        if value is None:
            return default
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            self.fault(key, "must be a list of texts.", f'"{key}": ["…", "…"]')
            return default
        return tuple(item.strip() for item in value)

    def choice(self, key: str, default: _Choice) -> _Choice:
        text = self.text(key)
        kind = type(default)
        if not text:
            return default
        try:
            return kind(text)
        except ValueError:
            self.fault(key, f"cannot be {text!r}.", f"Choose one of: {', '.join(kind)}.")
            return default

    def inner(self, key: str, hint: str = "") -> DictReader:
        """Read the mapping at ``key``; an empty one where there is none. Anything else is a fault."""
        value = self._source.get(key)
        return self._reader(key, value if value is not None and self._is_mapping(value, key, hint) else {})

    def entries(self, key: str, hint: str) -> list[DictReader]:
        """Read each mapping of the list at ``key``. Anything else is a fault."""
        value = self._source.get(key)
        if not isinstance(value, list | tuple | None):
            self.fault(key, "must be a list.", hint)
            return []
        entries = {f"{key}[{index}]": entry for index, entry in enumerate(value or ())}
        return [self._reader(at, entry) for at, entry in entries.items() if self._is_mapping(entry, at, hint)]

    def _is_mapping(self, value: object, key: str, hint: str) -> TypeGuard[Mapping[str, object]]:
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
            return True
        self.fault(key, "must be a dict with texts as keys.", hint)
        return False

    def _reader(self, key: str, source: Mapping[str, object]) -> DictReader:
        return DictReader(source, path=self.at(key), faults=self.faults, warnings=self.warnings)

    def refuse_unknown(self, known: Collection[str]) -> None:
        """List every key that is not ``known``, with the nearest that is."""
        by_lower = {name.lower(): name for name in known}
        for key in self._source:
            if key not in known:
                near = get_close_matches(str(key).lower(), by_lower, n=1)
                hint = (
                    f"Did you mean {by_lower[near[0]]!r}?"
                    if near
                    else f"Known keys: {', '.join(sorted(known))}."
                )
                self.fault(str(key), "is not a key that exists.", hint)

"""Django's cache, used so that it may be down and that an attacker may write to it."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Protocol

from .crypto import Keyring

logger = logging.getLogger(__name__)

_KIND = "cache"


class CacheBackend(Protocol):
    """The part of Django's cache API that is used."""

    def get(self, key: str) -> object: ...
    def set(self, key: str, value: str, timeout: int) -> None: ...
    def add(self, key: str, value: str, timeout: int) -> bool | None: ...


class Acquisition(Enum):
    """The result of ``SharedCache.acquire_once``."""

    ACQUIRED = "acquired"
    TAKEN = "taken"
    """Another caller was first."""
    UNKNOWN = "unknown"
    """The cache is down."""


@dataclass(frozen=True, slots=True)
class SharedCache:
    """Share signed texts between processes. A failure of the cache is logged and counts as a miss."""

    backend: CacheBackend
    keyring: Keyring

    def get(self, name: str) -> str | None:
        """Return the text kept under ``name``; None if absent, not signed or unreachable."""
        try:
            kept = self.backend.get(_cache_key(name))
        except Exception as error:  # Cache backends raise whatever their drivers raise.
            _log_unavailable(error)
            return None
        with suppress(ValueError, TypeError, RecursionError):
            signature, text = json.loads(str(kept))
            # An attacker who can write to the cache must not be able to plant signing keys of their own.
            if (
                isinstance(signature, str)
                and isinstance(text, str)
                and self.keyring.verify(_message(name, text), signature, kind=_KIND)
            ):
                return text
        return None

    def set(self, name: str, text: str, *, seconds: int) -> None:
        """Keep ``text`` under ``name`` for ``seconds``, if the cache works."""
        kept = json.dumps([self.keyring.sign(_message(name, text), kind=_KIND), text])
        try:
            self.backend.set(_cache_key(name), kept, seconds)
        except Exception as error:  # Cache backends raise whatever their drivers raise.
            _log_unavailable(error)

    def acquire_once(self, name: str, *, seconds: int) -> Acquisition:
        """Acquire ``name``, which only the first caller within ``seconds`` can."""
        try:
            added = self.backend.add(_cache_key(name), "1", seconds)
        except Exception as error:  # Cache backends raise whatever their drivers raise.
            _log_unavailable(error)
            return Acquisition.UNKNOWN
        if added is None:  # From backends that swallow their driver's exceptions.
            return Acquisition.UNKNOWN
        return Acquisition.ACQUIRED if added else Acquisition.TAKEN


def _cache_key(name: str) -> str:
    return f"ms_identity:{sha256(name.encode()).hexdigest()}"


def _message(name: str, text: str) -> bytes:
    return json.dumps([name, text]).encode()


def _log_unavailable(error: Exception) -> None:
    logger.warning("The cache does not answer (%s); going on without it", type(error).__name__)

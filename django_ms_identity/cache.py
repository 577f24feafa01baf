"""Django's cache as far as we trust it: it may be down, and others may write to it."""

from __future__ import annotations

import json
import logging
from enum import Enum
from hashlib import sha256
from typing import Protocol

from .crypto import Keyring

logger = logging.getLogger(__name__)

_KIND = "cache"


class CacheBackend(Protocol):
    """What we use of Django's cache API."""

    def get(self, key: str) -> object: ...
    def set(self, key: str, value: str, timeout: int) -> None: ...
    def add(self, key: str, value: str, timeout: int) -> bool | None: ...


class Claim(Enum):
    """The outcome of claiming a name for oneself."""

    WON = "won"
    LOST = "lost"
    UNKNOWN = "unknown"
    """The cache is down: nobody can say."""


class SharedCache:
    """Share signed texts between processes; every failure of the cache is a miss and a log line."""

    def __init__(self, backend: CacheBackend, keyring: Keyring) -> None:
        self._backend = backend
        self._keyring = keyring

    def get(self, name: str) -> str | None:
        """Return the text kept under ``name``; nothing if absent, unsigned or unreachable."""
        try:
            kept = self._backend.get(_key(name))
        except Exception as error:  # Cache backends raise whatever their drivers raise.
            _report(error)
            return None
        try:
            signature, text = json.loads(kept) if isinstance(kept, str) else (None, None)
        except (ValueError, TypeError, RecursionError):
            return None
        if not isinstance(signature, str) or not isinstance(text, str):
            return None
        # Whoever can write to the cache must not be able to plant keys of their own.
        if not self._keyring.verify(_message(name, text), signature, kind=_KIND):
            return None
        return text

    def set(self, name: str, text: str, *, seconds: int) -> None:
        """Keep ``text`` under ``name`` for ``seconds``, if the cache is there."""
        kept = json.dumps([self._keyring.sign(_message(name, text), kind=_KIND), text])
        try:
            self._backend.set(_key(name), kept, seconds)
        except Exception as error:  # Cache backends raise whatever their drivers raise.
            _report(error)

    def claim(self, name: str, *, seconds: int) -> Claim:
        """Take ``name`` once: the first caller in ``seconds`` wins."""
        try:
            added = self._backend.add(_key(name), "1", seconds)
        except Exception as error:  # Cache backends raise whatever their drivers raise.
            _report(error)
            return Claim.UNKNOWN
        if added is None:  # Backends that swallow their driver's exceptions answer so.
            return Claim.UNKNOWN
        return Claim.WON if added else Claim.LOST


def _key(name: str) -> str:
    return f"ms_identity:{sha256(name.encode()).hexdigest()}"


def _message(name: str, text: str) -> bytes:
    return json.dumps([name, text]).encode()


def _report(error: Exception) -> None:
    logger.warning("The cache does not answer (%s); going on without it", type(error).__name__)

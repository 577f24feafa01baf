"""Reads mapper sources: files, inline base64 and, by way of the transport, https. Keeps what it read."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from django_ms_identity.exceptions import MapperUnavailable, MicrosoftAnswerInvalid, MicrosoftUnavailable

from .source_urls import MAX_SOURCE, decode_inline, decode_source, display_url, pin_of
from .source_urls import url_faults as url_faults

if TYPE_CHECKING:
    from django_ms_identity.net.http import HttpClient

DEFAULT = Path(__file__).with_name("default.jsonnet")
FRESH = 60 * 60.0
"""Seconds for which a fetched mapper is used without asking again, as in Kratos."""
STALE = 24 * 60 * 60.0
"""Seconds for which it is used when asking again fails."""
PAUSE = 10.0
"""Seconds between two tries, so that an unreachable host does not hold up every sign-in."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Fetched:
    """What is known of one https mapper; the lock lets one thread fetch while others wait."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    source: str = ""
    fetched_at: float = 0.0
    next_try_at: float | None = None
    problem: str = ""

    def is_current(self, now: float) -> bool:
        return self.next_try_at is not None and now < self.next_try_at

    def usable(self, now: float) -> bool:
        return bool(self.source) and now - self.fetched_at <= STALE


class Sources:
    """Read mapper sources; a class because it remembers them. Safe under threads.

    ``clock`` gives seconds that never go back.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Drop everything read so far."""
        self._files: dict[str, tuple[tuple[int, int, int], str]] = {}
        self._fetched: dict[str, _Fetched] = {}

    def read(self, mapper_url: str, *, transport: HttpClient, allow_http: bool = False) -> str:
        """Return the Jsonnet source behind a mapper URL; an empty one means the mapper that ships.

        ``file://`` is read again when it changes. ``https://`` is kept for an hour, and for a day when
        it cannot be fetched again; ``#sha256=…`` pins it. Raises ``MapperUnavailable``.
        """
        if faults := url_faults(mapper_url, allow_http=allow_http):
            raise MapperUnavailable(f"mapper_url {faults[0]}", hint="Correct mapper_url in the settings.")
        if not mapper_url:
            return self._read_file(str(DEFAULT), mapper_url)
        match mapper_url.partition("://"):
            case ("file", _, path):
                return self._read_file(_local(path), mapper_url)
            case ("base64", _, _):
                return decode_inline(mapper_url)
        return self._read_remote(mapper_url, transport)

    def _read_file(self, path: str, mapper_url: str) -> str:
        try:
            version = _version_of(os.stat(path))
            known = self._files.get(path)
            if known and known[0] == version:
                return known[1]
            with open(path, "rb") as file:
                version, content = _version_of(os.fstat(file.fileno())), file.read(MAX_SOURCE + 1)
        except OSError as error:
            raise MapperUnavailable(
                f"{display_url(mapper_url)} cannot be read: {error.strerror}",
                hint="Check the path and that the server's user may read it. "
                f"Relative paths start at the working directory, {os.getcwd()}.",
            ) from None
        source = _decoded(content, mapper_url)
        self._files[path] = (version, source)
        return source

    def _read_remote(self, mapper_url: str, transport: HttpClient) -> str:
        known = self._fetched.setdefault(mapper_url, _Fetched())
        now = self._clock()
        # With something to serve nobody waits; with nothing everybody waits for the one who fetches.
        if not known.is_current(now) and known.lock.acquire(blocking=not known.usable(now)):
            try:
                if not known.is_current(now):
                    self._refresh(known, mapper_url, transport)
            finally:
                known.lock.release()
        if known.usable(self._clock()):
            return known.source
        raise MapperUnavailable(
            f"{display_url(mapper_url)} {known.problem}",
            hint="Check that this server reaches the URL, that it answers 200 with the mapper itself, "
            "and that the pin fits; or ship the mapper as a file.",
        )

    def _refresh(self, known: _Fetched, mapper_url: str, transport: HttpClient) -> None:
        try:
            source = _fetch(mapper_url, transport)
        except _Unfetchable as error:
            known.problem = str(error)
            known.next_try_at = self._clock() + PAUSE
            logger.warning("Mapper %s %s", display_url(mapper_url), error)
            return
        known.source, known.fetched_at = source, self._clock()
        known.next_try_at = known.fetched_at + FRESH


class _Unfetchable(Exception):
    """Says why in words that continue the URL and hold nothing secret."""


def _fetch(mapper_url: str, transport: HttpClient) -> str:
    try:
        answer = transport.get(mapper_url.partition("#")[0], limit=MAX_SOURCE)
    except MicrosoftUnavailable:
        raise _Unfetchable("did not answer") from None
    except MicrosoftAnswerInvalid:
        raise _Unfetchable(f"answered with more than {MAX_SOURCE} bytes") from None
    if answer.status != 200:
        raise _Unfetchable(f"answered with status {answer.status}")
    pin = pin_of(mapper_url)
    if pin and hashlib.sha256(answer.body).hexdigest() != pin:
        raise _Unfetchable("answered with another content than its #sha256 pins")
    try:
        return decode_source(answer.body)
    except ValueError as error:
        raise _Unfetchable(f"is not usable: {error}") from None


def _decoded(content: bytes, mapper_url: str) -> str:
    try:
        return decode_source(content)
    except ValueError as error:
        raise MapperUnavailable(
            f"{display_url(mapper_url)} is not usable: {error}",
            hint="Save the mapper as UTF-8 text, small enough.",
        ) from None


def _local(path: str) -> str:
    # file:///C:/x names C:/x on Windows.
    return re.sub(r"^/(?=[A-Za-z]:)", "", path) if os.name == "nt" else path


def _version_of(status: os.stat_result) -> tuple[int, int, int]:
    if not stat.S_ISREG(status.st_mode):
        # A pipe or a device would block the sign-in or never end.
        raise OSError(0, "it is not a regular file")
    return status.st_mtime_ns, status.st_size, status.st_ino


_own = Sources()
if hasattr(os, "register_at_fork"):
    # A lock that another thread held while we forked would stay locked.
    os.register_at_fork(after_in_child=_own.forget)


def read(mapper_url: str, *, transport: HttpClient, allow_http: bool = False) -> str:
    """Read by way of this process' own memory; see ``Sources.read``."""
    return _own.read(mapper_url, transport=transport, allow_http=allow_http)

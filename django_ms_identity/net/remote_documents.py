"""Documents fetched by URL: kept in this process, shared between nodes, served stale while a server fails.

Serves Microsoft's keys and metadata as well as the operator's mappers and identity schemas.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeAlias, TypeVar

from django_ms_identity.cache import Acquisition, SharedCache
from django_ms_identity.exceptions import MicrosoftAnswerInvalid, MicrosoftUnavailable

from .http import MAX_BODY, HttpClient
from .http_url import redact_url

logger = logging.getLogger(__name__)

FRESH = 3600
"""Seconds for which a copy is used without a request."""
USABLE = 24 * 3600
"""Seconds for which the last good copy is used while its server fails."""
PAUSE = 60
"""Seconds without a request after a failure, while a copy is used."""
REFETCH = 300
"""Seconds between two fetches because of an unknown key id."""
LOCK_TIMEOUT = 30
"""Seconds to wait for another thread's fetch when there is no copy at all."""

_Parsed = TypeVar("_Parsed")
_Parse: TypeAlias = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class _Copy:
    text: str
    fetched_at: float


@dataclass(slots=True, kw_only=True)
class _Document:
    """What this process knows of one URL."""

    url: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by the thread that fetches."""
    copy: _Copy | None = None
    not_before: float = 0
    """When it may be requested again."""
    refetch_at: dict[str, float] = field(default_factory=dict)
    """When each requester may have it fetched early again."""
    failures: int = 0
    problem: str = ""
    """Why it may not be requested now."""

    def __str__(self) -> str:
        return redact_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RemoteDocuments:
    """Read documents by URL; a class because it owns the process's copies. Safe under threads."""

    transport: HttpClient
    now: Callable[[], float]
    """Gives seconds."""
    shared: SharedCache | None = None
    """Where nodes find each other's copies, if they share."""
    origin: str = ""
    """Separates an emulator's documents from Microsoft's in the shared cache."""
    max_bytes: int = MAX_BODY
    pause_without_copy: float = 0
    """Seconds without a request after a failure, when there is no copy."""
    _documents: dict[str, _Document] = field(default_factory=dict, init=False, repr=False)

    def read(self, url: str, parse: Callable[[str], _Parsed]) -> _Parsed:
        """Return the parsed document: the copy at hand while it is fresh, else fetched.

        Only what ``parse`` accepts is kept; it raises ``MicrosoftAnswerInvalid`` for the rest. A fragment is
        part of the document's name and not sent. Raises ``MicrosoftUnavailable`` or
        ``MicrosoftAnswerInvalid`` when there is no usable copy.
        """
        document = self._document(url)
        copy = self._usable_copy(document)
        if copy is None or not self._is_fresh(copy):
            copy = self._refresh(document, parse, copy)
        return parse(copy.text)

    def refetch(self, url: str, parse: Callable[[str], _Parsed], *, requested_by: str) -> _Parsed | None:
        """Fetch early because the copy lacks something: at most once per requester in 5 minutes.

        In between, return the newest copy that another thread or node may have fetched since, if any.
        """
        document = self._document(url)
        with document.lock:
            if not self._may_refetch(document, requested_by):
                copy = self._newest_copy(document)
                return parse(copy.text) if copy else None
            try:
                return parse(self._fetch(document, parse).text)
            except (MicrosoftUnavailable, MicrosoftAnswerInvalid) as error:
                logger.warning("Could not fetch %s again: %s", document, error)
                return None

    def _may_refetch(self, document: _Document, requested_by: str) -> bool:
        if max(document.not_before, document.refetch_at.get(requested_by, 0)) > self.now():
            return False
        document.refetch_at[requested_by] = self.now() + REFETCH
        name = f"{self.origin}|refetch:{requested_by}:{document.url}"
        if self.shared is None:
            return True
        return self.shared.acquire_once(name, seconds=REFETCH) is not Acquisition.TAKEN

    def _refresh(self, document: _Document, parse: _Parse, copy: _Copy | None) -> _Copy:
        failures = document.failures
        # While one thread fetches, the others use the copy that they have.
        if not document.lock.acquire(timeout=0 if copy else LOCK_TIMEOUT):
            return _copy_or_raise(copy, f"{document} is being fetched for too long")
        try:
            copy = self._usable_copy(document)
            if copy and self._is_fresh(copy):
                return copy
            # Threads that waited for a failure fail with it: else each would wait for a time-out of its own.
            if document.not_before > self.now() or document.failures != failures:
                return _copy_or_raise(copy, document.problem)
            return self._fetch_or_keep(document, parse, copy)
        finally:
            document.lock.release()

    def _fetch_or_keep(self, document: _Document, parse: _Parse, copy: _Copy | None) -> _Copy:
        try:
            return self._fetch(document, parse)
        except (MicrosoftUnavailable, MicrosoftAnswerInvalid) as error:
            document.failures += 1
            self._pause(document, PAUSE if copy else self.pause_without_copy, str(error))
            if copy is None:
                raise
            logger.warning("Using an older copy of %s: %s", document, error)
            return copy

    def _fetch(self, document: _Document, parse: _Parse) -> _Copy:
        response = self.transport.get(document.url.partition("#")[0], limit=self.max_bytes)
        problem = f"{document} answered {response.status}"
        if response.status == 429 or response.status >= 500:
            seconds = _retry_after(response.headers.get("Retry-After", ""), now=self.now())
            self._pause(document, seconds, problem)
            raise MicrosoftUnavailable(problem)
        if response.status != 200:
            raise MicrosoftAnswerInvalid(
                problem,
                hint="Check microsoft_tenant and cloud: Microsoft does not know this tenant there.",
            )
        try:
            text = response.body.decode()
        except UnicodeDecodeError:
            raise MicrosoftAnswerInvalid(f"{document} did not answer in UTF-8") from None
        parse(text)
        copy = document.copy = _Copy(text, self.now())
        if self.shared:
            kept = json.dumps([copy.text, copy.fetched_at])
            self.shared.set(f"{self.origin}|{document.url}", kept, seconds=USABLE)
        return copy

    def _usable_copy(self, document: _Document) -> _Copy | None:
        copy = document.copy
        if copy is None or not self._is_fresh(copy):
            copy = self._newest_copy(document)
        return copy if copy and self.now() - copy.fetched_at < USABLE else None

    def _newest_copy(self, document: _Document) -> _Copy | None:
        kept = self.shared.get(f"{self.origin}|{document.url}") if self.shared else None
        if kept is not None:
            copy = _Copy(*json.loads(kept))
            if document.copy is None or document.copy.fetched_at <= copy.fetched_at:
                document.copy = copy
        return document.copy

    def _is_fresh(self, copy: _Copy) -> bool:
        return self.now() - copy.fetched_at < FRESH

    def _pause(self, document: _Document, seconds: float, problem: str) -> None:
        document.not_before = max(document.not_before, self.now() + seconds)
        document.problem = problem

    def _document(self, url: str) -> _Document:
        return self._documents.setdefault(url, _Document(url=url))


def _copy_or_raise(copy: _Copy | None, problem: str) -> _Copy:
    if copy is None:
        raise MicrosoftUnavailable(problem)
    return copy


def _retry_after(header: str, *, now: float) -> float:
    """Parse seconds or an HTTP date (RFC 9110 section 10.2.3) to seconds; anything else means 0."""
    try:
        if header.isascii() and header.isdigit() and len(header) < 6:
            seconds = float(header)
        else:
            date = parsedate_to_datetime(header)
            # The oldest of the three forms names no zone: it is in UTC too, not in this server's.
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (OverflowError, ValueError):
        return 0
    # A proxy on the way must not be able to stop sign-ins for longer.
    return min(seconds, FRESH)

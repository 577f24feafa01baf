"""Microsoft's public documents (keys, metadata), kept in the process and shared between nodes; DESIGN 5.5."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

from django_ms_identity.cache import Acquisition, SharedCache
from django_ms_identity.exceptions import MicrosoftAnswerInvalid, MicrosoftUnavailable

from .http import HttpClient, parse_json

logger = logging.getLogger(__name__)

FRESH = 3600
"""Seconds after which a copy is fetched anew."""
USABLE = 24 * 3600
"""Seconds for which the last good copy serves while Microsoft does not answer."""
REFETCH = 300
"""Seconds between two fetches because of an unknown key id."""
LOCK_TIMEOUT = 30
"""Seconds to wait for another thread's fetch when there is no copy at all."""
_RETRY_AFTER_FAILURE = 60

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True)
class _Copy:
    text: str
    fetched_at: float


class RemoteDocuments:
    """Read documents by URL; a class because it owns the process's copies.

    ``origin`` tells apart what comes from Microsoft and what comes from an emulator.
    """

    def __init__(
        self,
        *,
        transport: HttpClient,
        shared: SharedCache,
        now: Callable[[], float],
        origin: str = "",
    ) -> None:
        self._transport = transport
        self._shared = shared
        self._origin = origin
        self._now = now
        self._copies: dict[str, _Copy] = {}
        self._not_before: dict[str, float] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._failures: Counter[str] = Counter()

    def read(self, url: str, parse: Callable[[str], _Parsed]) -> _Parsed:
        """Return the parsed document: the copy at hand while fresh, else fetched.

        Only what ``parse`` accepts is kept. Raises what the fetch raised when no usable copy is left.
        """
        copy = self._copy(url)
        if copy and self._age(copy) < FRESH:
            return parse(copy.text)
        failures = self._failures[url]
        lock = self._lock(url)
        # While one thread fetches, the others go on with the copy they have.
        if not lock.acquire(timeout=LOCK_TIMEOUT if copy is None else 0):
            if copy is None:
                raise MicrosoftUnavailable(f"{url} is being fetched for too long")
            return parse(copy.text)
        try:
            copy = self._copy(url)
            if copy and self._age(copy) < FRESH:
                return parse(copy.text)
            if copy is None and self._failures[url] != failures:
                # Else those who waited would fail one after the other, each after a time-out of its own.
                raise MicrosoftUnavailable(f"{url} failed while this thread waited for it")
            return self._refresh(url, parse, copy)
        finally:
            lock.release()

    def refetch(self, url: str, parse: Callable[[str], _Parsed], *, asker: str) -> _Parsed | None:
        """Fetch anew because the copy lacks something: at most once per ``asker`` in 5 minutes.

        In between, return the newest copy that another thread or node may have fetched since, if any.
        """
        with self._lock(url):
            if not self._may_refetch(url, asker):
                copy = self._from_shared(url) or self._copies.get(url)
                return parse(copy.text) if copy else None
            try:
                return self._fetch(url, parse)
            except (MicrosoftUnavailable, MicrosoftAnswerInvalid) as error:
                logger.warning("Could not fetch %s anew: %s", url, error)
                return None

    def _may_refetch(self, url: str, asker: str) -> bool:
        name = f"refetch:{asker}:{url}"
        if max(self._not_before.get(name, 0), self._not_before.get(url, 0)) > self._now():
            return False
        self._not_before[name] = self._now() + REFETCH
        acquired = self._shared.acquire_once(self._named(name), seconds=REFETCH)
        return acquired is not Acquisition.TAKEN

    def _refresh(self, url: str, parse: Callable[[str], _Parsed], copy: _Copy | None) -> _Parsed:
        if self._not_before.get(url, 0) > self._now():
            if copy is None:
                raise MicrosoftUnavailable(f"{url} asked us to wait")
            return parse(copy.text)
        try:
            return self._fetch(url, parse)
        except (MicrosoftUnavailable, MicrosoftAnswerInvalid) as error:
            self._failures[url] += 1
            if copy is None:
                raise
            logger.warning("Going on with an older copy of %s: %s", url, error)
            self._wait(url, _RETRY_AFTER_FAILURE)
            return parse(copy.text)

    def _fetch(self, url: str, parse: Callable[[str], _Parsed]) -> _Parsed:
        response = self._transport.get(url, headers={"Accept": "application/json"})
        if response.status == 429 or response.status >= 500:
            self._wait(url, _retry_after(response.headers.get("Retry-After", ""), now=self._now()))
            raise MicrosoftUnavailable(f"{url} answered {response.status}")
        if response.status != 200:
            raise MicrosoftAnswerInvalid(
                f"{url} answered {response.status}",
                hint="Check microsoft_tenant and cloud: Microsoft does not know this tenant there.",
            )
        try:
            text = response.body.decode()
        except UnicodeDecodeError:
            raise MicrosoftAnswerInvalid(f"{url} did not answer in UTF-8") from None
        parsed = parse(text)
        copy = _Copy(text, self._now())
        self._copies[url] = copy
        self._shared.set(self._named(url), json.dumps([copy.text, copy.fetched_at]), seconds=USABLE)
        return parsed

    def _copy(self, url: str) -> _Copy | None:
        copy = self._copies.get(url)
        if copy is None or self._age(copy) >= FRESH:
            copy = self._from_shared(url) or copy
        return copy if copy and self._age(copy) < USABLE else None

    def _from_shared(self, url: str) -> _Copy | None:
        kept = self._shared.get(self._named(url))
        if kept is None:
            return None
        text, fetched_at = json.loads(kept)
        copy = _Copy(text, fetched_at)
        mine = self._copies.get(url)
        if mine is None or mine.fetched_at <= copy.fetched_at:
            self._copies[url] = copy
        return self._copies[url]

    def _wait(self, url: str, seconds: float) -> None:
        self._not_before[url] = max(self._not_before.get(url, 0), self._now() + seconds)

    def _lock(self, url: str) -> threading.Lock:
        return self._locks.setdefault(url, threading.Lock())

    def _named(self, name: str) -> str:
        return f"{self._origin}|{name}"

    def _age(self, copy: _Copy) -> float:
        return self._now() - copy.fetched_at


def _retry_after(header: str, *, now: float) -> float:
    """Read seconds or an HTTP date (RFC 9110 section 10.2.3); nothing else asks anybody to wait."""
    try:
        if header.isascii() and header.isdigit() and len(header) < 6:
            seconds = float(header)
        else:
            date = parsedate_to_datetime(header)
            # The oldest of the three forms names no zone: it is in UTC too, not in this server's.
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (OverflowError, ValueError):
        return 0
    # Longer than this nobody is locked out, whatever a proxy on the way answers.
    return min(seconds, FRESH)


def parse_object(text: str) -> dict[str, object]:
    """Parse a document that must be a JSON object, or raise ``MicrosoftAnswerInvalid``."""
    parsed = parse_json(text)
    if not isinstance(parsed, dict):
        raise MicrosoftAnswerInvalid("the document is not a JSON object")
    return parsed

"""Visitors who sign in, several at once, and check every answer that they get.

With locust it was some twenty lines shorter: locust has neither a fixed number of sign-ins nor a latency over
several requests, so queue, clock and checks remain. It adds 45 packages and patches the process's threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlencode

import requests

HOME = "/home/"
_PATIENCE = 120.0
"""Seconds that a visitor waits for one answer."""
_HEADERS = {"Connection": "close", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}


class Unexpected(Exception):
    """An answer that a sign-in does not have."""


class Visitor:
    """A fresh browser; counts the seconds that the site took, and not those of Microsoft's page."""

    def __init__(self, port: int) -> None:
        self.seconds = 0.0
        self._site = f"http://127.0.0.1:{port}"
        self._browser = requests.Session()
        self._browser.headers.update(_HEADERS)
        self._browser.trust_env = False  # A proxy of the environment is not for 127.0.0.1.

    def sign_in(self, person: str, *, provider: str = "microsoft") -> None:
        """Sign in as ``person``; raise ``Unexpected`` unless the home page greets them."""
        _location(self._return(person, provider), HOME)
        home = self._open(f"{self._site}{HOME}")
        name = f"{person}@contoso.example"
        if (home.status_code, home.text) != (200, name):
            raise Unexpected(f"home answered {home.status_code} {home.text[:200]!r} instead of {name!r}")

    def be_refused(self, person: str, *, provider: str) -> None:
        """Try to sign in; raise ``Unexpected`` unless the mapper's failure is all that comes of it."""
        callback = self._return(person, provider)
        if callback.status_code != 503:
            raise Unexpected(
                f"the callback answered {callback.status_code} {callback.headers.get('Location', '')}"
            )

    def _return(self, person: str, provider: str) -> requests.Response:
        start = self._open(f"{self._site}/ms/start/{provider}/?{urlencode({'next': HOME})}")
        choice = urlencode({"persona": person, "return": "1"})
        picked = self._get(f"{_location(start, 'http://127.0.0.1:')}&{choice}")
        return self._open(_location(picked, f"{self._site}/ms/callback/{provider}/"))

    def _open(self, url: str) -> requests.Response:
        began = time.perf_counter()
        answer = self._get(url)
        self.seconds += time.perf_counter() - began
        return answer

    def _get(self, url: str) -> requests.Response:
        return self._browser.get(url, timeout=_PATIENCE, allow_redirects=False)


def _location(answer: requests.Response, prefix: str) -> str:
    """Return where an answer redirects to, or raise ``Unexpected`` unless it begins so."""
    location = answer.headers.get("Location", "")
    if answer.status_code != 302 or not location.startswith(prefix):
        raise Unexpected(
            f"{answer.status_code} {location[:80]!r} instead of 302 {prefix!r}: "
            f"{' '.join(answer.text.split())[-400:]}"
        )
    return location


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of many sign-ins."""

    seconds: list[float] = field(default_factory=list)
    """How long each took, of those that went well."""
    errors: list[str] = field(default_factory=list)
    elapsed: float = 0.0

    def __iadd__(self, other: Outcome) -> Outcome:
        self.seconds += other.seconds
        self.errors += other.errors
        self.elapsed += other.elapsed
        return self


def sign_in_all(
    people: Iterable[str],
    *,
    port: int,
    visitors: int,
    limit: float,
    act: Callable[[Visitor, str], None] = Visitor.sign_in,
) -> Outcome:
    """Let ``visitors`` at once sign in as all these people; none begins after ``limit`` seconds."""
    outcome = Outcome()
    queue = _Queue(people)
    began = time.perf_counter()

    def visit() -> None:
        for person in queue:
            if time.perf_counter() - began > limit:
                outcome.errors.append(f"stopped after {limit:g} s")
                return
            visitor = Visitor(port)
            try:
                act(visitor, person)
            except (Unexpected, requests.RequestException) as error:
                outcome.errors.append(f"{person}: {type(error).__name__}: {error}")
            else:
                outcome.seconds.append(visitor.seconds)

    with ThreadPoolExecutor(visitors) as threads:
        for done in [threads.submit(visit) for _ in range(visitors)]:
            done.result()
    outcome.elapsed = time.perf_counter() - began
    return outcome


class _Queue:
    """An iterator that threads may share."""

    def __init__(self, people: Iterable[str]) -> None:
        self._people = iter(people)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        with self._lock:
            return next(self._people)

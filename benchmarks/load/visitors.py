"""Visitors who sign in, several at once, and look at every answer that they get."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

HOME = "/home/"
_PATIENCE = 120.0
"""Seconds that a visitor waits for one answer."""


class Unexpected(Exception):
    """An answer that a sign-in does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    location: str
    body: str


@dataclass(slots=True, kw_only=True)
class Visitor:
    """A fresh browser; counts the seconds that the site took, and not those of Microsoft's page."""

    port: int
    seconds: float = 0.0
    _cookies: dict[str, str] = field(default_factory=dict)

    def sign_in(self, person: str, *, provider: str = "microsoft") -> None:
        """Sign in as ``person``; raise ``Unexpected`` unless the home page greets them."""
        callback = self._come_back(person, provider)
        self._expect(callback, 302, HOME)
        home = self._open(HOME)
        name = f"{person}@contoso.example"
        if (home.status, home.body) != (200, name):
            raise Unexpected(f"home answered {home.status} {home.body[:200]!r} instead of {name!r}")

    def be_refused(self, person: str, *, provider: str) -> None:
        """Try to sign in; raise ``Unexpected`` unless the mapper's failure is all that comes of it."""
        callback = self._come_back(person, provider)
        if callback.status != 503:
            raise Unexpected(f"the callback answered {callback.status} {callback.location}")

    def _come_back(self, person: str, provider: str) -> Answer:
        start = self._open(f"/ms/start/{provider}/?{urlencode({'next': HOME})}")
        microsoft = self._expect(start, 302, "http://127.0.0.1:")
        choice = urlencode({"persona": person, "return": "1"})
        picked = _get(f"{microsoft}&{choice}", {})[0]
        return self._open(self._expect(picked, 302, f"http://127.0.0.1:{self.port}/ms/callback/{provider}/"))

    def _open(self, url: str) -> Answer:
        began = time.perf_counter()
        answer, cookies = _get(f"http://127.0.0.1:{self.port}{url}" if url[0] == "/" else url, self._cookies)
        self.seconds += time.perf_counter() - began
        for name, morsel in cookies.items():
            if morsel["max-age"] == "0":
                self._cookies.pop(name, None)
            else:
                self._cookies[name] = morsel.value
        return answer

    @staticmethod
    def _expect(answer: Answer, status: int, location: str) -> str:
        if answer.status != status or not answer.location.startswith(location):
            raise Unexpected(
                f"{answer.status} {answer.location[:80]!r} instead of {status} {location!r}: "
                f"{' '.join(answer.body.split())[-400:]}"
            )
        return answer.location


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
    queue, lock = _Queue(people), threading.Lock()
    began = time.perf_counter()

    def visit() -> None:
        for person in queue:
            if time.perf_counter() - began > limit:
                with lock:
                    outcome.errors.append(f"stopped after {limit:g} s")
                return
            visitor = Visitor(port=port)
            try:
                act(visitor, person)
            except (Unexpected, OSError, HTTPException, ValueError) as error:
                with lock:
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


def _get(url: str, cookies: dict[str, str]) -> tuple[Answer, SimpleCookie]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE)
    try:
        connection.request(
            "GET",
            f"{parts.path}?{parts.query}" if parts.query else parts.path,
            headers={
                "Connection": "close",
                "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
                "Sec-Fetch-Dest": "document",
                "Sec-Fetch-Mode": "navigate",
            },
        )
        response = connection.getresponse()
        body = response.read().decode()
    finally:
        connection.close()
    jar = SimpleCookie()
    for header in response.headers.get_all("Set-Cookie", []):
        jar.load(header)
    return Answer(status=response.status, location=response.headers.get("Location", ""), body=body), jar

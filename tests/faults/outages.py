"""Makes the database fail where its driver would: at a statement, at a commit, or on a lost connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from django.db import connection
from django.db.utils import OperationalError

GONE = "server closed the connection unexpectedly: planted-statement"


@dataclass(slots=True, kw_only=True)
class Outage:
    """Fails the statement number ``at``, counted from 1; with ``lasting`` everything after it too."""

    at: int
    lasting: bool = False
    seen: int = 0

    @property
    def struck(self) -> bool:
        return self.seen >= self.at

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen += 1
        if self.seen == self.at or (self.lasting and self.struck):
            raise OperationalError(GONE)
        return execute(sql, params, many, context)


@contextmanager
def outage(*, at: int, lasting: bool) -> Iterator[Outage]:
    """Let statements fail for as long as the context lasts."""
    failing = Outage(at=at, lasting=lasting)
    with connection.execute_wrapper(failing):
        yield failing


class Commits:
    """The driver's connection, but commit number ``at`` fails; ``late`` after the server has done it."""

    def __init__(self, real: Any, *, at: int, late: bool) -> None:
        self.__dict__.update(_real=real, _at=at, _late=late, seen=0)

    @property
    def struck(self) -> bool:
        return bool(self.seen >= self._at)

    def commit(self) -> None:
        self.__dict__["seen"] += 1
        failing = self.seen == self._at
        if failing and not self._late:
            self._fail()
        self._real.commit()
        if failing:
            self._fail()

    def _fail(self) -> NoReturn:
        # The driver's own: Django translates it.
        raise connection.Database.OperationalError(GONE)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)


@contextmanager
def lost_commit(*, at: int, late: bool) -> Iterator[Commits]:
    """Let a commit fail; the application cannot tell whether the server did it."""
    connection.ensure_connection()
    real = connection.connection
    failing = Commits(real, at=at, late=late)
    connection.connection = failing
    try:
        yield failing
    finally:
        connection.connection = real

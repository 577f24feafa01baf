"""Makes the database fail as its driver would, at a statement or a commit, or for real: a server hangs up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
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


# How a server is asked which connection this is, to end one, and whether it is still there.
_WHICH = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
_END = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}
_THERE = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE pid = %s",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE id = %s",
}

_LOOKS = 10_000
"""A millisecond each."""


@dataclass(slots=True, kw_only=True)
class Ended:
    """The server ends the connection as soon as statement number ``at`` is done."""

    at: int
    seen: int = 0

    @property
    def struck(self) -> bool:
        return self.seen >= self.at

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        self.seen += 1
        if self.seen == self.at:
            _end(_answer(context["connection"], _WHICH))
        return result


def _end(number: int) -> None:
    administrator = connection.copy()
    try:
        _answer(administrator, _END, number)
        # Only then has it let go of its locks.
        for _look in range(_LOOKS):
            if not _answer(administrator, _THERE, number):
                return
            time.sleep(0.001)
        raise AssertionError("the server keeps a connection that it was told to end")
    finally:
        administrator.close()


def _answer(asked: BaseDatabaseWrapper, question: dict[str, str], *parameters: int) -> Any:
    # Of the driver: the wrappers of this connection count statements.
    asked.ensure_connection()
    with asked.connection.cursor() as cursor:
        cursor.execute(question[asked.vendor], parameters)
        return cursor.fetchone()[0] if cursor.description else None


@contextmanager
def ended_connection(*, at: int) -> Iterator[Ended]:
    """Let the server end the connection; what asks it afterwards gets what the driver makes of that."""
    failing = Ended(at=at)
    try:
        with connection.execute_wrapper(failing):
            yield failing
    finally:
        # As a server's process does after a request: the next one gets a connection that works.
        connection.close()

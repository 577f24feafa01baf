"""Two requests want the same rows and the database gives one up: it is run again, or refused."""

from __future__ import annotations

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import OperationalError, router, transaction

from .exceptions import DatabaseBusy
from .models import Identity

logger = logging.getLogger(__name__)

ATTEMPTS = 5
_PAUSE = 0.02
"""Seconds before the second attempt; twice as many before each further one."""

_DEADLOCK = frozenset({"1213", "1020", "40P01", "40001"})
"""MariaDB's and MySQL's numbers and PostgreSQL's states for: somebody else won, nothing of yours is left."""
_LOCK_WAIT = frozenset({"1205", "55P03", "5", "6"})
"""Theirs, and SQLite's primary codes, for: you have waited long enough. To wait again would help nobody."""

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


def retry_on_deadlock(work: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
    """Run a function again whose transaction on the identities' database lost a deadlock; it must bear that.

    Whoever is in a transaction already gets the database's exception: that transaction is gone, and only who
    began it can run it again.
    """

    @functools.wraps(work)
    def repeated(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        connection = transaction.get_connection(router.db_for_write(Identity))
        pause = _PAUSE
        for _ in range(ATTEMPTS - 1):
            try:
                return work(*args, **kwargs)
            except OperationalError as error:
                if connection.in_atomic_block or not _codes(error) & _DEADLOCK:
                    raise
                logger.info("%s lost a deadlock and is run again", work.__name__)
            # At random, else the same two would meet again.
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # no secret
            pause *= 2
        return work(*args, **kwargs)

    return repeated


def busy_error(error: OperationalError) -> DatabaseBusy | None:
    """Return what to tell a visitor whose request lost to others; nothing for any other trouble."""
    codes = _codes(error)
    if codes & _DEADLOCK:
        return DatabaseBusy("the database gave the transaction up for another one, again and again")
    if codes & _LOCK_WAIT:
        return DatabaseBusy(
            "a lock of the database did not come free in time",
            hint="Something holds it for long: an open transaction, or on SQLite too many writers.",
        )
    return None


def _codes(error: OperationalError) -> frozenset[str]:
    # Each driver keeps its code elsewhere: MariaDB's first argument, psycopg's sqlstate (psycopg2: pgcode).
    cause = error.__cause__
    found = [error.args[0] if error.args else None]
    found += [getattr(cause, name, None) for name in ("sqlstate", "pgcode")]
    if isinstance(extended := getattr(cause, "sqlite_errorcode", None), int):
        # The primary code: SQLITE_BUSY and SQLITE_LOCKED have variants.
        found.append(extended & 0xFF)
    return frozenset(str(code) for code in found if isinstance(code, int | str))

"""Retry a transaction that lost a deadlock, or say that the database is busy."""

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
"""Error numbers of MariaDB and MySQL and SQLSTATEs of PostgreSQL: the transaction was rolled back."""
_LOCK_WAIT = frozenset({"1205", "55P03", "5", "6"})
"""Theirs and SQLite's primary codes: a lock was not released in time. It is not retried."""

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


def retry_on_deadlock(work: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
    """Run a function again if its transaction on the identities' database lost a deadlock.

    The function must be fit to run twice. Inside an outer transaction the database's exception is raised: the
    outer one is rolled back too, and only its owner can run it again.
    """

    @functools.wraps(work)
    def repeated(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        connection = transaction.get_connection(router.db_for_write(Identity))
        for attempt in range(ATTEMPTS - 1):
            try:
                return work(*args, **kwargs)
            except OperationalError as error:
                if connection.in_atomic_block or not _codes(error) & _DEADLOCK:
                    raise
                logger.info("%s lost a deadlock and is run again", work.__name__)
            # A random pause, so that the same two do not collide again.
            time.sleep(random.uniform(0.5, 1) * _PAUSE * 2**attempt)  # noqa: S311  # no secret
        return work(*args, **kwargs)

    return repeated


def busy_error(error: OperationalError) -> DatabaseBusy | None:
    """Return the refusal for a lost deadlock or a lock that was not released; None for any other error."""
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
    # MariaDB's code is the first argument, psycopg's is ``sqlstate``, psycopg2's ``pgcode``.
    cause = error.__cause__
    found = [error.args[0] if error.args else None]
    found += [getattr(cause, name, None) for name in ("sqlstate", "pgcode")]
    if isinstance(extended := getattr(cause, "sqlite_errorcode", None), int):
        # The primary code: SQLITE_BUSY and SQLITE_LOCKED have variants.
        found.append(extended & 0xFF)
    return frozenset(str(code) for code in found if isinstance(code, int | str))

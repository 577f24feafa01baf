"""What many identities change: the callback on a small and on a large database, turn by turn."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection

from django_ms_identity.testing.emulator import Emulator

from .filling import fill
from .journeys import Journeys
from .measure import Budget, Row, Wire, compared, p95


def rows(emulator: Emulator, wire: Wire, folder: Path, *, identities: int, rounds: int) -> Iterator[Row]:
    """Measure the same callback with few identities and with ``identities`` more."""
    callback = Journeys(emulator, WSGIHandler()).callback
    callback()()
    large = folder / "large.sqlite3"
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copy(folder / "db.sqlite3", large)
    with Database(large):
        fill(identities)
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    few, many, ratio = compared(callback, callback, other_under=Database(large), wire=wire, rounds=rounds)
    yield Row(step="callback, few identities", median=statistics.median(few), p95=p95(few))
    yield Row(
        step=f"callback, {identities:,} identities",
        median=statistics.median(many),
        p95=p95(many),
        ratio=1 / ratio,
        budget=Budget(ratio=1.1),
    )


class Database(AbstractContextManager[None]):
    """Use another database of the same server or kind meanwhile, as often as wanted."""

    def __init__(self, name: Path | str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *failure: object) -> None:
        self._swap()

    def _swap(self) -> None:
        connection.close()
        connection.settings_dict["NAME"], self._name = self._name, connection.settings_dict["NAME"]

"""What many identities change: the callback on a small and on a large database, turn by turn."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.db.models import Model

from django_ms_identity.models import Credential
from django_ms_identity.testing.emulator import Emulator

from .journeys import Journeys
from .measure import Budget, Row, Wire, compared, p95

_FIRST = 10**9
"""Primary keys of copies begin here."""
_IDENTITY = "printf('%032x', n.i * 2654435761)"


def rows(emulator: Emulator, wire: Wire, folder: Path, *, identities: int, rounds: int) -> Iterator[Row]:
    """Measure the same callback with few identities and with ``identities`` more."""
    callback = Journeys(emulator, WSGIHandler()).callback
    callback()()
    large = folder / "large.sqlite3"
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copy(folder / "db.sqlite3", large)
    with _Database(large):
        _fill(identities)
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    few, many, ratio = compared(callback, callback, other_under=_Database(large), wire=wire, rounds=rounds)
    yield Row(step="callback, few identities", median=statistics.median(few), p95=p95(few))
    yield Row(
        step=f"callback, {identities:,} identities",
        median=statistics.median(many),
        p95=p95(many),
        ratio=1 / ratio,
        budget=Budget(ratio=1.1),
    )


class _Database(AbstractContextManager[None]):
    """Use another database file meanwhile, as often as wanted."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *failure: object) -> None:
        self._swap()

    def _swap(self) -> None:
        connection.close()
        connection.settings_dict["NAME"], self._path = self._path, connection.settings_dict["NAME"]


def _fill(identities: int) -> None:
    """Copy somebody with everything that their sign-ins left behind."""
    credential = Credential.objects.select_related("identity__user").filter(
        identity__sign_ins__isnull=False, identity__verifiable_addresses__isnull=False
    )[0]
    identity = credential.identity
    number, email = f"{_FIRST} + n.i", "'filler' || n.i || '@contoso.example'"
    copies: list[tuple[Model, Mapping[str, str]]] = [
        (identity.user, {"id": number, "username": email, "email": email}),
        (identity, {"id": _IDENTITY, "user_id": number}),
        (
            credential,
            {
                "id": number,
                "identity_id": _IDENTITY,
                "subject": email,
                "object_id": "printf('%036x', n.i)",
                "key": "printf('%064x', n.i * 2654435761)",
            },
        ),
        (
            identity.verifiable_addresses.all()[0],
            {"id": number, "identity_id": _IDENTITY, "value": email, "normalised": email},
        ),
        (
            identity.sign_ins.all()[0],
            {"id": number, "identity_id": _IDENTITY, "credential_id": number},
        ),
    ]
    for row, expressions in copies:
        _copy(row, identities, expressions)


def _copy(row: Model, times: int, expressions: Mapping[str, str]) -> None:
    """Insert ``times`` copies of a row; ``expressions`` are what differs, in SQL over ``n.i`` from 1."""
    table, fields = row._meta.db_table, row._meta.concrete_fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(expressions.get(field.attname, f't."{field.column}"') for field in fields)
    key = row._meta.pk
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times}) "
            f'INSERT INTO "{table}" ({columns}) SELECT {values} FROM "{table}" t, n '
            f'WHERE t."{key.column}" = %s',
            [key.get_db_prep_value(row.pk, connection)],
        )

"""Many identities: copies, made by the database itself, of a person who signed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection
from django.db.models import Model

from django_ms_identity.models import Credential

_FIRST = 10**9
"""Primary keys of copies begin here."""
PER_DAY = 24 * 60
"""Copies that signed in on the same day."""
_SCATTER = 2654435761
"""Spreads what is random in life over its whole index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    numbers: str
    """A table ``n`` with the numbers ``i`` from 1, to be formatted with ``rows``."""
    hexadecimal: str
    """A number as so many digits, to be formatted with ``digits`` and ``number``."""
    uuid: str
    """Text of 32 digits as a key."""
    text: str
    """A number as text."""
    later: str
    """A time so many minutes after the one of the row that is copied."""


_DIALECTS = {
    "sqlite": _Dialect(
        numbers="(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
        "SELECT i FROM n) n",
        hexadecimal="printf('%0{digits}x', {number})",
        uuid="{}",
        text="{}",
        later="strftime('%Y-%m-%d %H:%M:%f', t.\"{column}\", '-' || n.i || ' minutes')",
    ),
    "postgresql": _Dialect(
        numbers="generate_series(1::bigint, {rows}) n(i)",
        hexadecimal="lpad(to_hex({number}), {digits}, '0')",
        uuid="({})::uuid",
        text="({})::text",
        later="t.\"{column}\" - n.i * interval '1 minute'",
    ),
}


def fill(identities: int) -> None:
    """Copy a person with everything that their sign-ins left behind, each copy a minute older."""
    credential = Credential.objects.select_related("identity__user").filter(
        identity__sign_ins__isnull=False, identity__verifiable_addresses__isnull=False
    )[0]
    dialect = _DIALECTS[connection.vendor]
    identity = credential.identity
    scattered = f"n.i * {_SCATTER}"
    number = f"{_FIRST} + n.i"
    email = f"'filler' || {dialect.text.format('n.i')} || '@contoso.example'"
    owner = dialect.uuid.format(dialect.hexadecimal.format(digits=32, number=scattered))
    older = dialect.later.format(column="created_at")
    copies: list[tuple[Model, Mapping[str, str]]] = [
        (identity.user, {"id": number, "username": email, "email": email}),
        (identity, {"id": owner, "user_id": number, "created_at": older}),
        (
            credential,
            {
                "id": number,
                "identity_id": owner,
                "subject": email,
                "account": email,
                "object_id": dialect.hexadecimal.format(digits=36, number=scattered),
                "key": dialect.hexadecimal.format(digits=64, number=scattered),
            },
        ),
        (
            identity.verifiable_addresses.all()[0],
            {
                "id": number,
                "identity_id": owner,
                "credential_id": number,
                "value": email,
                "normalised": email,
            },
        ),
        (
            identity.sign_ins.all()[0],
            {"id": number, "identity_id": owner, "credential_id": number, "created_at": older},
        ),
    ]
    for row, expressions in copies:
        _copy(row, dialect.numbers.format(rows=identities), expressions)
    with connection.cursor() as cursor:
        # As a server does by itself after a while.
        cursor.execute("ANALYZE")


def _copy(row: Model, numbers: str, expressions: Mapping[str, str]) -> None:
    """Insert copies of a row; ``expressions`` are what differs, in SQL over ``n.i`` from 1."""
    table, fields = row._meta.db_table, row._meta.concrete_fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(expressions.get(field.attname, f't."{field.column}"') for field in fields)
    key = row._meta.pk
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{table}" ({columns}) SELECT {values} FROM "{table}" t, {numbers} '
            f'WHERE t."{key.column}" = %s',
            [key.get_db_prep_value(row.pk, connection)],
        )

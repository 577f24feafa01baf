"""Databases to measure on, made for the purpose and dropped again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

HELP = "postgres://user:password@127.0.0.1/postgres of a user who may create databases (SQLite)"


@contextmanager
def created(url: str, *, suffix: str = "") -> Iterator[str]:
    """Make a database of its own on the PostgreSQL server behind ``url``; return the new one's URL."""
    import psycopg

    name = f"ms_identity_benchmarks_{os.getpid()}{suffix}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(url)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

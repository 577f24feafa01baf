"""Say where the tests' rows and cache are: SQLite and this process, unless the environment names servers.

``TEST_DATABASE`` is ``sqlite``, ``sqlite-file``, ``postgresql`` or ``mariadb``, ``TEST_CACHE`` is ``locmem``
or ``redis``, ``TEST_SESSIONS`` a session engine. ``.ci/services`` starts the servers.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

DATABASE = os.environ.get("TEST_DATABASE", "sqlite")
CACHE = os.environ.get("TEST_CACHE", "locmem")

_ROLE = {
    "HOST": "127.0.0.1",
    "USER": "ms_identity",
    "PASSWORD": "of-no-value-anywhere-else",
}


def make_database(name: str) -> dict[str, object]:
    """Describe a database of the kind that ``TEST_DATABASE`` names."""
    match DATABASE:
        case "sqlite":
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        case "sqlite-file":
            file = str(Path(tempfile.gettempdir()) / f"test_{name}.sqlite3")
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": file, "TEST": {"NAME": file}}
        case "postgresql":
            port = os.environ.get("POSTGRESQL_PORT", "55432")
            return {"ENGINE": "django.db.backends.postgresql", "NAME": name, "PORT": port, **_ROLE}
        case "mariadb":
            return {
                "ENGINE": "django.db.backends.mysql",
                "NAME": name,
                "PORT": os.environ.get("MARIADB_PORT", "53306"),
                # The most forgiving: case, accents, width, ligatures and trailing space make no difference.
                "TEST": {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_unicode_ci"},
                **_ROLE,
            }
        case _:
            raise ValueError(f"TEST_DATABASE={DATABASE!r}: sqlite, sqlite-file, postgresql or mariadb")


def make_cache() -> dict[str, object]:
    """Describe the cache that ``TEST_CACHE`` names."""
    match CACHE:
        case "locmem":
            return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
        case "redis":
            port = os.environ.get("REDIS_PORT", "56379")
            # A number for each kind of database and each worker of pytest-xdist: every test empties the
            # cache. `.ci/services` starts Redis with 48 of them.
            worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
            number = {"postgresql": 16, "mariadb": 32}.get(DATABASE, 0) + worker % 16
            return {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{port}/{number}",
            }
        case _:
            raise ValueError(f"TEST_CACHE={CACHE!r}: locmem or redis")


SESSION_ENGINE = os.environ.get("TEST_SESSIONS", "django.contrib.sessions.backends.db")

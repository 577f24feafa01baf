"""``python -m benchmarks.growth``: what a million identities change, on SQLite and on PostgreSQL.

The callback must stay within a tenth of what it takes with a few, the admin's pages below 300 ms, and no plan
of a statement that runs often may read a whole table. Exits with 1 when that is not so.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import django
from django.core.management import call_command

from . import databases

if TYPE_CHECKING:
    from django_ms_identity.models import Credential

    from .journeys import Journeys
    from .measure import Row, Wire
    from .scale import Database

PAGE = 300
"""Milliseconds of a page of the admin."""
_PAGES = 20
"""Times that each is asked for."""
_CLEARED = 5000
"""Sign-ins that are deleted, about."""


def main() -> int:
    options = _options()
    if options.small:
        return int(_measured(options))
    failed = _alone("SQLite", "", options)
    if options.postgres:
        failed = _alone("PostgreSQL", options.postgres, options) or failed
    else:
        print("\nPostgreSQL: LEFT OUT, since no --postgres names a server")
    return int(failed)


def _alone(name: str, postgres: str, options: argparse.Namespace) -> bool:
    """Measure one kind of database in a process of its own: settings are read once."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if postgres:
            small, large = (
                stack.enter_context(databases.created(postgres, suffix=suffix))
                for suffix in ("_small", "_large")
            )
        else:
            small, large = (f"sqlite:///{Path(folder, name)}" for name in ("small.sqlite3", "large.sqlite3"))
        print(f"\n{name}, {options.rows:,} identities", flush=True)
        arguments = ["--rows", str(options.rows), "--rounds", str(options.rounds), "--large", large]
        arguments += ["--plans"] if options.plans else []
        environment = {
            "BENCHMARKS_FOLDER": folder,
            "BENCHMARKS_DATABASE": small,
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        }
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.growth", *arguments, "--small", small],
            env=os.environ | environment,
            check=False,
        )
    return done.returncode != 0


def _measured(options: argparse.Namespace) -> bool:
    django.setup()
    # These modules need Django set up.
    from django.core.handlers.wsgi import WSGIHandler
    from django.db import connection

    from django_ms_identity.testing.emulator import Emulator

    from . import report
    from .filling import fill
    from .journeys import Journeys
    from .measure import tapped
    from .scale import Database

    path = urlsplit(options.large).path
    large = Database(path if connection.vendor == "sqlite" else path.removeprefix("/"))
    with Emulator() as emulator, tapped() as wire:
        site = Journeys(emulator, WSGIHandler())
        call_command("migrate", verbosity=0)
        site.callback()()
        with large:
            call_command("migrate", verbosity=0)
            site.callback()()
            began = perf_counter()
            fill(options.rows)
            print(f"filled in {perf_counter() - began:.0f} s, on {report.machine()}", flush=True)
        slow = not options.plans and _is_slow(site, wire, large, options)
        with large:
            found = list(_scans(options.rows))
    print(*found or ["No statement reads a whole table."], sep="\n")
    return slow or bool(found)


def _is_slow(site: Journeys, wire: Wire, large: Database, options: argparse.Namespace) -> bool:
    """Print what everything takes, and say whether a budget is missed."""
    from . import report

    print(f"\n{report.HEADER}")
    missed = []
    for row in _callback(site, wire, large, options.rounds):
        print(report.line(row), flush=True)
        missed.append(bool(row.over))
    with large:
        for row, is_over in _admin(options.rows):
            print(report.line(row), flush=True)
            missed.append(is_over)
    return any(missed)


def _callback(site: Journeys, wire: Wire, large: Database, rounds: int) -> Iterator[Row]:
    from django.db import connection

    from .measure import Budget, Clock, Row, compared, p95

    # A database server's work is not in this process's processor time.
    clock = Clock.CPU if connection.vendor == "sqlite" else Clock.WALL
    few, many, ratio = compared(
        site.callback,
        site.callback,
        other_under=large,
        wire=wire,
        rounds=rounds,
        clock=clock,
    )
    yield Row(step="callback, few identities", median=statistics.median(few), p95=p95(few), clock=clock)
    yield Row(
        step="callback, many identities",
        median=statistics.median(many),
        p95=p95(many),
        clock=clock,
        ratio=1 / ratio,
        budget=Budget(ratio=1.1),
    )


def _admin(rows: int) -> Iterator[tuple[Row, bool]]:
    """Time what staff ask; a page misses its budget when the median of its answers does."""
    from tests.support import plans

    from .measure import Budget, Clock, Row, p95

    for name, act in _hot(rows).items():
        if name == plans.CLEAR:
            continue
        act()
        times = [_milliseconds(act) for _ in range(_PAGES)]
        yield (
            Row(
                step=name,
                median=statistics.median(times),
                p95=p95(times),
                clock=Clock.WALL,
                budget=Budget(milliseconds=PAGE) if name.startswith(_OF_ADMIN) else Budget(),
            ),
            name.startswith(_OF_ADMIN) and statistics.median(times) > PAGE,
        )


_OF_ADMIN = ("the list", "search", "a person's page")


def _milliseconds(act: Callable[[], object]) -> float:
    began = perf_counter()
    act()
    return (perf_counter() - began) * 1000


def _scans(rows: int) -> Iterator[str]:
    from tests.support import plans

    for name, act in _hot(rows).items():
        with plans.recorded() as statements:
            act()
        if not statements:
            yield f"OVER: {name}: asked the database nothing"
        for statement in statements:
            for scan in plans.scans(statement):
                yield f"OVER: {name}: {scan}: {statement.sql[:300]}"


def _hot(rows: int) -> dict[str, Callable[[], object]]:
    from tests.support import plans

    from . import filling

    admin = plans.administrator()
    # Of all rows a database would rightly read the table; a site that clears each day deletes few.
    days = max(rows - _CLEARED, 0) // filling.PER_DAY
    hot = plans.hot(_person(rows), admin, days=days)
    return {**hot, "the list, page 20": lambda: plans.page(admin, plans.LIST, p="20")}


def _person(rows: int) -> Credential:
    from django_ms_identity.models import Credential

    return Credential.objects.get(subject=f"filler{rows // 2}@contoso.example")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="identities (1000000)")
    parser.add_argument("--rounds", type=int, default=200, help="timed callbacks of each size (200)")
    parser.add_argument("--plans", action="store_true", help="ask for the plans alone, and take no times")
    parser.add_argument("--postgres", default="", metavar="URL", help=databases.HELP)
    parser.add_argument("--small", default="", help=argparse.SUPPRESS)
    parser.add_argument("--large", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""``python -m benchmarks``: print the table; exit with 1 when a counted budget or a ratio is exceeded."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.core.management import call_command

if TYPE_CHECKING:
    from .measure import Row


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"BENCHMARKS_FOLDER": folder, "DJANGO_SETTINGS_MODULE": "benchmarks.settings"}
        django.setup()
        call_command("migrate", verbosity=0)
        failed = _table(options, Path(folder))
        return int(_memory(options.logins) or failed)


def _table(options: argparse.Namespace, folder: Path) -> bool:
    # These modules need Django set up.
    from . import report

    print(report.machine())
    print()
    print(report.HEADER)
    failed = False
    for row in _rows(options, folder):
        print(report.line(row), flush=True)
        failed = failed or bool(row.over)
    return failed


def _rows(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    from django_ms_identity.testing.emulator import Emulator

    from . import cold, journeys, parts, scale
    from .measure import tapped
    from .settings import WITH_ADFS

    with Emulator() as emulator, tapped() as wire:
        registration = None
        for row in journeys.rows(emulator, wire, rounds=options.rounds):
            yield row
            registration = row if row.step == journeys.REGISTRATION else registration
        for row in parts.rows(emulator, wire, rounds=options.rounds):
            yield row
            if registration and row.step == parts.MAPPER:
                yield registration.without(row)
        if WITH_ADFS:
            from . import adfs

            yield from adfs.rows(emulator, wire, rounds=options.rounds)
        if options.identities:
            yield from scale.rows(
                emulator, wire, folder, identities=options.identities, rounds=options.rounds
            )
    yield from cold.rows(folder)


def _memory(logins: int) -> bool:
    from django_ms_identity.testing.emulator import Emulator

    from . import memory

    if not logins:
        return False
    with Emulator() as emulator:
        growth = memory.grown(emulator, logins=logins)
        leaks = memory.leaks(growth, logins=logins)
        parts = ", ".join(f"{part.blocks:+,} blocks {part.kibibytes:+,} KiB" for part in growth)
        print(f"\nMemory after each quarter of {logins:,} sign-ins: {parts}   {'OVER' if leaks else 'OK'}")
        if leaks:
            print(*memory.where(emulator), sep="\n")
    return leaks


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="timed rounds of each step (200)")
    parser.add_argument("--logins", type=int, default=2000, help="sign-ins for the memory test (2000)")
    parser.add_argument("--identities", type=int, default=100000, help="size of the large database (100000)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""``python -m benchmarks.load``: print the tables; exit with 1 when something failed, grew or was slowed."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks import databases

from . import growing, hostile
from .servers import MICROSOFT, SERVERS, Running, Server, running


def main() -> int:
    options = _options()
    print(_machine(options), flush=True)
    failures: list[str] = []
    if options.logins:
        print("\n", growing.HEADER, sep="", flush=True)
    for name in options.servers if options.logins else ():
        with _site(SERVERS[name], options.postgres) as site:
            load = growing.measured(site, logins=options.logins, visitors=options.visitors)
            print(growing.line(name, load), flush=True)
            failures += [f"{name}: {failure}" for failure in load.failures]
    if options.rounds:
        print("\n", hostile.HEADER, sep="", flush=True)
        for name in options.servers:
            if name == "sync":
                continue  # A process that serves one request at a time waits for its mapper anyway.
            with _site(SERVERS[name], options.postgres) as site:
                slowed = hostile.measured(site, rounds=options.rounds, visitors=options.visitors)
                print(hostile.line(name, slowed), flush=True)
                failures += [f"{name}: {failure}" for failure in slowed.failures]
    print(*(f"\nFAILED  {failure}" for failure in failures), sep="")
    return bool(failures)


@contextmanager
def _site(server: Server, postgres: str) -> Iterator[Running]:
    """Run a server on a fresh site, beside an emulator of its own."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        database = stack.enter_context(databases.created(postgres)) if postgres else ""
        microsoft = stack.enter_context(running(MICROSOFT, {}))
        environment = {
            "DJANGO_SETTINGS_MODULE": "benchmarks.load.settings",
            "LOAD_DATABASE": database or f"sqlite:///{Path(folder, 'db.sqlite3')}",
            "LOAD_EMULATOR_URL": f"http://127.0.0.1:{microsoft.port}/emulator",
        }
        for command in ("migrate", "createcachetable"):
            _manage(command, environment)
        yield stack.enter_context(running(server, environment))


def _manage(command: str, environment: dict[str, str]) -> None:
    arguments = [sys.executable, "-m", "django", command, "--verbosity", "0"]
    subprocess.run(arguments, env=os.environ | environment, check=True)


def _machine(options: argparse.Namespace) -> str:
    packages = [f"{name} {version(name)}" for name in ("Django", "gunicorn", "gevent", "uvicorn")]
    database = "PostgreSQL" if options.postgres else "SQLite"
    return (
        f"{os.cpu_count()} cores with a load of {os.getloadavg()[0]:.1f} before, "
        f"{platform.system()} {platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}, {', '.join(packages)}, {database}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument(
        "--logins", type=int, default=1000, help="sign-ins at each server; 0 leaves it out (1000)"
    )
    parser.add_argument("--visitors", type=int, default=8, help="how many sign in at once (8)")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS), metavar="SERVER")
    parser.add_argument("--rounds", type=int, default=3, help="of the hostile mapper; 0 leaves it out (3)")
    parser.add_argument("--postgres", default="", metavar="URL", help=databases.HELP)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

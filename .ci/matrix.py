"""Run tox on each Python and Django that is here, and say at the end what was tested where.

The whole suite runs on the oldest and on the newest pair; on the others the unit tests and the journeys, with
few generated examples: forged answers, failing servers and races do not depend on a version in between.
``--without-own`` leaves out the pair of this interpreter itself, on which ``make test`` runs the whole suite.
Exits with 1 where tox alone would be content: with no Django 6, or with another Django than an environment is
named after.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import django

CHECKOUT = Path(__file__).resolve().parent.parent
IN_PARALLEL = ("-n", "auto", "--dist=worksteal")
UNIT_TESTS_AND_JOURNEYS = (
    "--ignore=tests/security",
    "--ignore=tests/concurrency",
    "--hypothesis-profile=few",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="matrix", description=__doc__)
    parser.add_argument("--without-own", action="store_true", help="leave out the pair of `make test`")
    options = parser.parse_args()
    names = env_list()
    here = [name for name in names if has_interpreter(name)]
    missing = [name for name in names if name not in here]
    own = own_name() if options.without_own else ""
    whole = [name for name in dict.fromkeys((here[0], here[-1])) if name != own]
    others = [name for name in here if name not in (*whole, own)]
    # One after the other on all cores, then side by side on one core each.
    failed = [tox("run", [name], *IN_PARALLEL) for name in whole]
    if others:
        failed.append(tox("run-parallel", others, *UNIT_TESTS_AND_JOURNEYS))
    tested = [*whole, *others]
    print(f"\nThe whole suite: {', '.join(whole) or 'nothing'}", f"(and {own} by make test)" if own else "")
    print(f"Unit tests and journeys: {', '.join(others) or 'nothing'}")
    if missing:
        print(f"!!! NOT TESTED, because the interpreter is not on this machine: {', '.join(missing)}")
    if not any("django6" in name for name in tested):
        print("!!! No environment with Django 6 was tested: install Python 3.12 or newer.")
        return 1
    # An environment that could not be made has failed already.
    if any(failed):
        return 1
    mistaken = {name: version for name in tested if not is_promised(name, version := django_of(name))}
    if mistaken:
        print(f"!!! Another Django than the environment's name says: {mistaken}")
    return bool(mistaken)


def env_list() -> list[str]:
    """Return the names of pyproject.toml, such as ``py312-django60``, the oldest pair first."""
    command = [sys.executable, "-m", "tox", "list", "--no-desc", "--quiet"]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return sorted(listed.stdout.split())


def has_interpreter(name: str) -> bool:
    """Say whether the Python of an environment is here and runs."""
    version = name.removeprefix("py3").partition("-")[0]
    python = shutil.which(f"python3.{version}", path=environment()["PATH"])
    return python is not None and not subprocess.run([python, "-c", ""], capture_output=True).returncode


def own_name() -> str:
    """Return the name of the pair that this interpreter has."""
    return f"py3{sys.version_info.minor}-django{django.VERSION[0]}{django.VERSION[1]}"


def tox(command: str, names: Sequence[str], *arguments: str) -> bool:
    """Run pytest with ``arguments`` in each environment; return whether one of them failed."""
    print(f"\n{command}: {', '.join(names)}", flush=True)
    tox = [sys.executable, "-m", "tox", command, "--skip-missing-interpreters=false", "-e", ",".join(names)]
    done = subprocess.run([*tox, "--", *arguments], cwd=CHECKOUT, env=environment(), check=False)
    return bool(done.returncode)


def environment() -> dict[str, str]:
    """Return this environment with pyenv's own interpreters first on PATH.

    Its shims have every version's name and fail for the versions that are not selected, so tox would find a
    Python 3.12 that does not run.
    """
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=True).stdout.strip()
        path = os.pathsep.join([*map(str, sorted(Path(root, "versions").glob("3.*/bin"))), path])
    # A missing interpreter is reported above, not downloaded, which may hang.
    return os.environ | {"PATH": path, "UV_PYTHON_DOWNLOADS": "never"}


def django_of(name: str) -> str:
    """Return the version of Django that an environment has."""
    python = str(CHECKOUT / ".tox" / name / "bin" / "python")
    command = [python, "-c", "import django; print(django.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def is_promised(name: str, version: str) -> bool:
    """Say whether ``py312-django60`` and the like have Django 6.0."""
    digits = name.rpartition("django")[2]
    return version.split(".")[:2] == [digits[0], digits[1:]]


if __name__ == "__main__":
    sys.exit(main())

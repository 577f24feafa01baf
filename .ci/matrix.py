"""Runs tox and says at the end what it could not test; fails where tox alone would be content."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def environment() -> dict[str, str]:
    """Return this environment with pyenv's own interpreters first on PATH.

    Its shims come under every name and fail for the versions that are not selected, so tox would
    find a Python 3.12 that does not run.
    """
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=True).stdout.strip()
        path = os.pathsep.join([*map(str, sorted(Path(root, "versions").glob("3.*/bin"))), path])
    # A missing interpreter is a skip that we report, not a download that may hang.
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


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        tox = [sys.executable, "-m", "tox", "run-parallel", "--parallel=auto", f"--result-json={report}"]
        code = subprocess.run([*tox, *sys.argv[1:]], cwd=CHECKOUT, env=environment(), check=False).returncode
        if not report.exists():
            return code or 1
        environments = json.loads(report.read_text())["testenvs"]
    results = {name: each["result"] for name, each in environments.items() if "result" in each}
    tested = [name for name, result in results.items() if not result["skipped"]]
    missing = [name for name, result in results.items() if result["skipped"]]
    print(f"\nTested: {', '.join(tested) or 'nothing'}")
    if missing:
        print(f"!!! NOT TESTED, because the interpreter is not on this machine: {', '.join(missing)}")
    mistaken = {name: django_of(name) for name in tested if not is_promised(name, django_of(name))}
    if mistaken:
        print(f"!!! Another Django than the environment's name says: {mistaken}")
        return code or 1
    if not any("django6" in name for name in tested):
        print("!!! No environment with Django 6 was tested: install Python 3.12 or newer.")
        return code or 1
    return code


if __name__ == "__main__":
    sys.exit(main())

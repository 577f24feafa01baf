from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.django_db  # for `-m django_db`: the other process asks databases
@pytest.mark.parametrize(
    ("settings_module", "files"),
    [
        pytest.param("settings", ["journeys.py", "user_models.py"], id="e-mail user model"),
        pytest.param("inherited_user", ["credential_lookup.py"], id="inherited user model"),
    ],
)
def test_a_project_with_its_own_user_model_and_databases_signs_people_in(settings_module, files):
    """In a process of its own; its tests are in tests/other_project."""
    paths = [f"tests/other_project/{file}" for file in files]
    command = [sys.executable, "-m", "pytest", *paths, "-q", "--no-header"]
    options = [f"--ds=tests.other_project.{settings_module}", "-p", "no:cacheprovider", "--no-cov"]

    finished = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=300)

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "skipped" not in finished.stdout

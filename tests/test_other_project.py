from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.django_db  # for `-m django_db`: the other process asks databases
def test_a_project_with_its_own_user_model_and_databases_signs_people_in():
    """In a process of its own; its tests are in tests/other_project."""
    files = ["tests/other_project/journeys.py", "tests/other_project/user_models.py"]
    command = [sys.executable, "-m", "pytest", *files, "-q", "--no-header"]
    options = ["--ds=tests.other_project.settings", "-p", "no:cacheprovider", "--no-cov"]

    finished = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=300)

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "skipped" not in finished.stdout

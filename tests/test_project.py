"""What a fresh clone promises: commands, documents and settings that agree with the code."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command

import django_ms_identity
from django_ms_identity import env

ROOT = Path(__file__).resolve().parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "target",
    ["bench", "bench-growth", "check", "demo", "e2e", "help", "lint", "load", "lowest", "matrix", "test"],
)
def test_the_makefile_has_the_target_and_its_help(target: str) -> None:
    assert re.search(rf"^{target}:.*## \S", read("Makefile"), re.MULTILINE)


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_names_the_command(command: str) -> None:
    assert command in read("README.md")


def test_the_ci_runs_the_test_command_of_the_readme_last() -> None:
    assert read(".ci/run").rstrip().splitlines()[-1] == "make test"


def test_every_explained_mutant_is_in_a_function_that_exists() -> None:
    """A reason that outlives its function would excuse another one of that name."""
    for mutant in tomllib.loads(read(".ci/mutants/survivors.toml")):
        file, function, _ = mutant.split(":", 2)

        assert re.search(rf"\bdef {function}\(", read(f"django_ms_identity/{file}")), mutant


def test_the_tests_of_a_module_judge_its_mutants() -> None:
    for module, judges in tomllib.loads(read(".ci/mutants/modules.toml")).items():
        folder, _, file = module.rpartition("/")
        own = ROOT / "tests" / folder / f"test_{file}"

        assert all((ROOT / judge).exists() for judge in judges), module
        assert not own.exists() or any(own.is_relative_to(ROOT / judge) for judge in judges), module


def commands_of(workflow: dict) -> list[str]:
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    return [step["run"] for step in steps if "run" in step]


def test_the_workflow_runs_what_the_ci_runs_without_root() -> None:
    """On SQLite, where the CI has servers that only root installs."""
    here = set(re.findall(r"^(?:make|bash \.ci/wheel/run) .*$", read(".ci/run"), re.MULTILINE))
    with_servers = {"make databases", "make races", 'make plans ROWS=100000 POSTGRES="$postgres"'}

    forge = yaml.safe_load(read(".github/workflows/ci.yml"))

    assert with_servers <= here
    assert set(commands_of(forge)) == here - with_servers | {"make plans ROWS=100000"}
    assert all(0 < job["timeout-minutes"] <= 60 for job in forge["jobs"].values())


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_an_issue_form_is_complete(form: Path) -> None:
    written = yaml.safe_load(form.read_text(encoding="utf-8"))

    if form.name == "config.yml":
        assert {"name", "url", "about"} == set(written["contact_links"][0])
    else:
        assert {"name", "description", "body"} <= set(written)
        asked = [field for field in written["body"] if field["type"] != "markdown"]
        assert len({field["id"] for field in asked}) == len(asked) > 0
        assert all(field["attributes"]["label"] for field in asked)


def test_the_pre_commit_hooks_need_no_other_repository() -> None:
    config = yaml.safe_load(read(".pre-commit-config.yaml"))

    assert {repository["repo"] for repository in config["repos"]} == {"local"}


def test_the_extra_for_tests_installs_what_the_fixture_imports_and_no_more() -> None:
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]

    assert {re.split(r"[>=<~]", requirement)[0] for requirement in extras["test"]} == {
        "pytest",
        "pytest-django",
        "responses",
    }
    assert set(extras) == {"fast", "test"}


def test_the_changelog_names_the_version() -> None:
    assert re.search(rf"\b{re.escape(django_ms_identity.__version__)}\b", read("CHANGELOG.md"))
    assert "## [Unreleased]" in read("CHANGELOG.md")


def test_the_environment_example_names_exactly_the_variables_that_are_read() -> None:
    named = re.findall(r"^#?([A-Z][A-Z_]+)=", read(".env.example"), re.MULTILINE)
    read_by_example = re.findall(r"\benv\.\w+\(\s*\"([A-Z_]+)\"", read("example_project/settings.py"))

    assert len(named) == len(set(named))
    assert set(named) == {*env.VARIABLES, *read_by_example}


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(
    ("environment", "emulated"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"MS_IDENTITY_CLIENT_ID": "one"}, False, id="one provider"),
        pytest.param({"SELFSERVICE_METHODS_OIDC_CONFIG_PROVIDERS": "[]"}, False, id="array of providers"),
        pytest.param({"DJANGO_DEBUG": "false", "DJANGO_SECRET_KEY": "key"}, False, id="not in debug"),
    ],
)
def test_the_example_uses_the_emulator_only_while_nothing_else_is_named(
    environment: dict[str, str], emulated: bool
) -> None:
    # Settings are read once per process, so another process reads them. Empty values beat a developer's .env.
    clean = dict.fromkeys((*env.VARIABLES, "DJANGO_SECRET_KEY"), "") | {"DJANGO_DEBUG": "true"}
    program = (
        "from example_project import settings;"
        "print('django_ms_identity.emulator' in settings.INSTALLED_APPS, hasattr(settings, 'MS_IDENTITY'))"
    )

    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.split() == [str(emulated), str(emulated)]


def test_the_example_project_keeps_its_promises() -> None:
    """In a process of its own; the journeys are in tests/example."""
    command = [sys.executable, "-m", "pytest", "tests/example/journeys.py", "-q", "--no-header"]
    options = ["--ds=example_project.settings", "-p", "no:cacheprovider", "--no-cov"]
    # Empty values beat a developer's .env.
    clean = dict.fromkeys(env.VARIABLES, "") | {"DJANGO_DEBUG": "true", "DJANGO_SECRET_KEY": "key"}

    finished = subprocess.run(
        [*command, *options],
        cwd=ROOT,
        env=os.environ | clean,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "skipped" not in finished.stdout


def test_the_example_takes_its_known_key_only_in_debug() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SECRET_KEY"}

    answer = subprocess.run(
        [sys.executable, "-c", "from example_project import settings; print(settings.SECRET_KEY)"],
        cwd=ROOT,
        env=environment | {"DJANGO_DEBUG": "false"},
        capture_output=True,
        text=True,
        check=False,
    )

    # A developer's .env may name a key.
    assert "example-project-only" not in answer.stdout
    assert answer.stdout or "Set the DJANGO_SECRET_KEY environment variable" in answer.stderr

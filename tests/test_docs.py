"""The reference pages name what is in the code, and nothing else."""

import ast
import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest
from django.utils import translation

from django_ms_identity import env, exceptions
from django_ms_identity.checks import ids
from django_ms_identity.conf.hook_settings import BUILT_IN
from django_ms_identity.conf.provider_settings import IGNORED, KEYS
from django_ms_identity.conf.settings import KEYS as TOP_LEVEL_KEYS
from django_ms_identity.conf.settings import parse_settings
from django_ms_identity.conf.web_hook_settings import KEYS as WEB_HOOK_KEYS
from django_ms_identity.entra.clouds import Cloud, TenantKind
from django_ms_identity.entra.providers import (
    AccountLinkingMode,
    Pkce,
    ResponseMode,
    SubjectSource,
    UpdateOnLogin,
)
from django_ms_identity.exceptions import MSIdentityError

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")


def rows(page, heading):
    """Read the table below a heading: the name in the first cell to the other cells."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    table = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {first.strip("`"): rest for first, *rest in table}


KINDS = [
    kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, MSIdentityError)
]
# A kind that others are kinds of is never raised itself.
LEAVES = [kind for kind in KINDS if not any(other is not kind and issubclass(other, kind) for other in KINDS)]
ERRORS = {leaf.code: leaf for leaf in LEAVES}
CHECKS = [value for name, value in vars(ids).items() if name[:2] in ("E_", "W_")]


def test_every_provider_key_is_described_and_no_other():
    assert sorted(rows("settings.md", "Provider keys")) == sorted(KEYS)


def test_every_top_level_key_is_described_and_no_other():
    assert sorted(rows("settings.md", "Top-level keys")) == sorted(TOP_LEVEL_KEYS)


def test_every_hook_is_described_with_its_stages_and_no_other():
    documented = {name: stages for name, (stages, _) in rows("settings.md", "Hooks").items()}

    assert documented == {
        name: " and ".join(f"`{stage}`" for stage in stages) for name, stages in BUILT_IN.items()
    }


def test_every_key_of_a_web_hook_is_described_and_no_other():
    described = {name.partition(".")[0] for name in rows("settings.md", "Web hooks")}

    assert sorted(described) == sorted(WEB_HOOK_KEYS)


def test_every_variable_is_described_and_no_other():
    assert sorted(rows("settings.md", "Environment variables")) == sorted(env.VARIABLES)


@pytest.mark.parametrize("heading", ["Provider keys", "Top-level keys", "Environment variables"])
def test_every_row_has_a_default_and_a_sentence(heading):
    for name, cells in rows("settings.md", heading).items():
        assert len(cells) == 2, name
        assert cells[0], name
        assert cells[1].endswith("."), name


@pytest.mark.parametrize("key", IGNORED)
def test_a_key_without_meaning_is_said_to_be_ignored(key):
    assert rows("settings.md", "Provider keys")[key][0] == "ignored"


@pytest.mark.parametrize(
    ("key", "choices"),
    [
        ("subject_source", SubjectSource),
        ("pkce", Pkce),
        ("account_linking_mode", AccountLinkingMode),
        ("update_identity_on_login", UpdateOnLogin),
        ("cloud", Cloud),
        ("response_mode", ResponseMode),
    ],
)
def test_every_choice_is_described(key: str, choices: type[StrEnum]):
    default, meaning = rows("settings.md", "Provider keys")[key]

    assert default.strip("`") in list(choices)
    assert [choice.value for choice in choices if f"`{choice}`" not in meaning] == []


def test_every_kind_of_tenant_is_described():
    meaning = rows("settings.md", "Provider keys")["microsoft_tenant"][1]

    for kind in (TenantKind.ORGANIZATIONS, TenantKind.CONSUMERS, TenantKind.COMMON):
        assert f"`{kind}`" in meaning


def test_the_defaults_are_the_codes():
    minimal = {"id": "m", "client_id": "c", "client_secret": "s", "microsoft_tenant": "common"}
    config = parse_settings({"PROVIDERS": [minimal]}, debug=False).config
    documented = rows("settings.md", "Provider keys")

    for key, (default, _) in documented.items():
        value = getattr(config.providers[0], key, None)
        if isinstance(value, StrEnum) or key == "label":
            assert default == f"`{value}`", key
        if default == "`[]`":
            assert value == (), key
    assert config.providers[0].scope == ("openid", "profile", "email")
    top = rows("settings.md", "Top-level keys")
    assert top["FLOW_LIFESPAN"][0].startswith(f"`{config.flow_lifespan:g}`")
    assert top["PRIVILEGED_SESSION_MAX_AGE"][0].startswith(f"`{config.privileged_session_max_age:g}`")
    assert top["MAPPER_TIMEOUT"][0] == f"`{config.mapper_timeout:g}`"
    assert top["HTTP_TIMEOUT"][0] == "`({:g}, {:g})`".format(*config.http_timeout)


def test_the_required_keys_are_those_without_which_nothing_works():
    missing = parse_settings({"PROVIDERS": [{}]}, debug=False).faults
    required = {
        name for name, (default, _) in rows("settings.md", "Provider keys").items() if default == "required"
    }

    assert {fault.path.rpartition(".")[2] for fault in missing} == required


def test_every_error_is_described_in_order_and_no_other():
    assert list(rows("errors.md", "Refused sign-ins")) == sorted(ERRORS)


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_an_error_is_described_as_it_is(code):
    status, title, remedy = rows("errors.md", "Refused sign-ins")[code]

    assert int(status) == ERRORS[code].status
    with translation.override("en"):
        assert title == str(ERRORS[code].title)
    assert remedy.endswith(".")


def test_error_codes_are_unique():
    assert len(ERRORS) == len(LEAVES)


def test_every_check_is_described_and_no_other():
    assert list(rows("errors.md", "System checks")) == CHECKS


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_a_link_leads_to_something_that_is_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        aimed = page.parent / name if name else page
        assert aimed.exists(), target
        if anchor and aimed.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", aimed.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_check_that_a_page_mentions_exists(page):
    mentioned = re.findall(r"ms_identity\.[EW]\d+", page.read_text(encoding="utf-8"))

    assert set(mentioned) <= set(CHECKS)


def definitions(path: Path) -> set[str]:
    """Return the functions, classes, methods and constants of a module by their dotted names."""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, f"{prefix}{node.name}.")
            if isinstance(node, ast.Assign):
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))

    return set(walk(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def test_architecture_page_has_at_most_300_lines():
    assert len(ARCHITECTURE.splitlines()) <= 300


def test_architecture_page_lists_the_layers_that_import_linter_holds():
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    table = ARCHITECTURE.partition("## The packages")[2].partition("\n## ")[0]

    listed = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.splitlines() if row.startswith("| ")]

    assert [sorted(names) for names in listed if names] == [sorted(layer.split(" | ")) for layer in layers]


@pytest.mark.parametrize(
    "cited", sorted(set(re.findall(r"[\w/]+\.py::[\w.]*\w", ARCHITECTURE))), ids=lambda cited: cited
)
def test_architecture_page_names_tests_and_functions_that_exist(cited: str):
    path, _, name = cited.partition("::")
    home = ROOT if path.startswith("tests/") else ROOT / "django_ms_identity"

    assert (home / path).is_file()
    assert name in definitions(home / path)


def test_every_decision_of_the_architecture_page_names_a_test():
    decisions = ARCHITECTURE.partition("\n## Decisions\n")[2].split("\n### ")[1:]

    assert len(decisions) > 15
    assert [
        decision.splitlines()[0]
        for decision in decisions
        if not re.search(r"`tests/[\w/]+\.py::test_\w+`", decision)
    ] == []

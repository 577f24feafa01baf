"""docs/reference.md lists the public API: all of it, and nothing that is not there."""

import ast
import importlib
import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.urls import reverse

import django_ms_identity
from django_ms_identity import exceptions, signals, urls
from django_ms_identity.conf.provider_settings import KEYS
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.templatetags.ms_identity import register
from django_ms_identity.traits.mapping_result import MappingResult
from tests.support import hook_functions
from tests.support.builders import make_settings
from tests.support.web import Browser
from tests.test_docs import LEAVES, rows

PACKAGE = Path(django_ms_identity.__file__).parent
INTERNAL = {
    "models": {"AddressQuerySet", "CredentialQuerySet", "IdentityQuerySet", "credential_key", "normalised"},
    "admin": {"AddressInline", "CredentialInline", "ProviderFilter", "SignInInline", "UncountedPaginator"},
    "env": {"VARIABLES", "parse_environment", "snapshot"},
    "templatetags.ms_identity": {"THEMES", "Button", "logger", "register"},
    "testing.emulator": {"URLCONF", "endpoint_of"},
    "emulator.urls": {"GRAPH", "LOGIN"},
}
"""Names of public modules that the package itself imports elsewhere: no promise to a project."""
INTERNAL_ATTRIBUTES = {
    # What a project wrote into a provider key it knows already, and the parsed form may change.
    Provider: {
        *KEYS,
        "authorize_url",
        "end_session_url",
        "issuer_template",
        "keys_url",
        "metadata_url",
        "scope_parameter",
        "tenant",
        "token_url",
    },
    Claims: {"account_name", "acrs", "amr", "auth_time"},
    MappingResult: {
        "as_dict",
        "as_mapped",
        "confirmation",
        "confirmed",
        "from_dict",
        "original",
        "typed",
        "with_traits",
    },
}
INTERNAL_TEMPLATES = {"_microsoft_account.html"}


def documented(heading):
    return rows("reference.md", heading)


def code_names(cell):
    return re.findall(r"`([^`]+)`", cell)


def defined_names(module):
    """Return the public names that a module defines, without those that it imports."""
    body = ast.parse(Path(importlib.import_module(module).__file__).read_text(encoding="utf-8")).body
    defined = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in defined if not name.startswith("_")}


def attributes(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


MODULES = documented("Modules")
LISTED_BELOW = {"django_ms_identity.signals", "django_ms_identity.exceptions"}


@pytest.mark.parametrize("module", sorted(set(MODULES) - LISTED_BELOW))
def test_public_names_are_those_of_the_module(module):
    internal = INTERNAL.get(module.removeprefix("django_ms_identity."), set())

    assert set(code_names(MODULES[module][0])) == defined_names(module) - internal


def test_internal_names_exist():
    for module, names in INTERNAL.items():
        assert names <= defined_names(f"django_ms_identity.{module}")


def test_the_package_names_every_public_module():
    promised = set(code_names(django_ms_identity.__doc__.replace("``", "`"))) - {
        "HOOKS",
        "provider",
        "claims",
        "mapped",
    }

    assert {module.split(".")[1] for module in MODULES} == promised


def test_signals_and_their_arguments():
    described = {}
    body = ast.parse(inspect.getsource(signals)).body
    for node, following in pairwise(body):
        if isinstance(node, ast.Assign):
            described[node.targets[0].id] = following.value.value.partition(".")[0].split(", ")

    assert {
        name: code_names(arguments) for name, (arguments, _) in documented("Signals").items()
    } == described


@pytest.mark.django_db
def test_hook_functions_get_the_documented_arguments(ms_identity_emulator, settings, monkeypatch):
    monkeypatch.setattr(hook_functions, "calls", [])
    stages = documented("Hook functions")
    hook = [{"hook": "tests.support.hook_functions.first"}]
    session = [{"hook": "session"}]
    settings.MS_IDENTITY = make_settings(
        HOOKS={"after_registration": hook + session, "after_login": hook, "after_settings": hook}
    )

    ms_identity_emulator.sign_in(Browser())
    ms_identity_emulator.sign_in(Browser())
    get_user_model().objects.create_user("local", password="pw")
    browser = Browser()
    assert browser.login(username="local", password="pw")
    microsoft = browser.post(reverse("ms_identity:link", args=["microsoft"])).headers["Location"]
    ms_identity_emulator.callback(microsoft, "mfa").send(browser)

    for stage, (_, arguments) in zip(stages, hook_functions.calls, strict=True):
        assert sorted(arguments) == sorted(code_names(stages[stage][0]))
        assert isinstance(arguments["request"], HttpRequest)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("Attributes of provider", Provider),
        ("Attributes of claims", Claims),
        ("Attributes of mapped", MappingResult),
    ],
)
def test_stable_attributes_exist_and_others_are_decided_upon(heading, kind):
    stable = set(documented(heading))

    assert stable <= attributes(kind)
    assert attributes(kind) - stable <= INTERNAL_ATTRIBUTES[kind]


def test_exception_families_and_their_status():
    families = {
        kind.__name__: kind.status
        for _, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, MSIdentityError) and kind is not MSIdentityError and kind not in LEAVES
    }
    del families["_FaultList"]

    assert {name: int(status) for name, (status, _) in documented("Exceptions").items()} == families


def test_exception_classes_are_named_after_their_codes():
    # The class of a Python mapper's failure has the code of its family.
    for kind in LEAVES:
        named = "".join(word.capitalize() for word in kind.code.split("_"))
        assert named in {base.__name__ for base in kind.__mro__[:2]}


def test_url_names_and_arguments():
    routes = {route.name: sorted(route.pattern.converters) for route in urls.urlpatterns}

    assert {name: code_names(arguments) for name, (arguments, _) in documented("URLs").items()} == routes


@pytest.mark.parametrize("name", documented("URLs"))
def test_url_methods(name, client):
    arguments, methods = documented("URLs")[name]
    values = {"provider": "microsoft", "credential": 1}
    url = reverse(f"ms_identity:{name}", kwargs={key: values[key] for key in code_names(arguments)})

    allowed = client.generic("PATCH", url).headers["Allow"].split(", ")

    assert [method for method in allowed if method != "HEAD"] == methods.split(", ")


def test_template_names():
    files = {path.name for path in (PACKAGE / "templates/ms_identity").iterdir()} - INTERNAL_TEMPLATES

    assert set(documented("Templates")) == {f"ms_identity/{name}" for name in files}


def test_template_tags():
    assert set(code_names(MODULES["django_ms_identity.templatetags.ms_identity"][0])) == set(register.tags)

"""The example project without a browser: its pages, its schema and the demo command.

Run by tests/test_project.py in a process of its own, with the example project's settings.
"""

from __future__ import annotations

import json
import re

import pytest
from django.conf import settings as project
from django.contrib.auth import get_user_model
from django.core.management import call_command

from django_ms_identity.emulator.microsoft import Microsoft
from django_ms_identity.emulator.personas import PERSONAS
from django_ms_identity.models import Identity
from django_ms_identity.traits.problems import ProblemKind
from django_ms_identity.traits.schema import parse_schema
from example_project.management.commands import demo

pytestmark = pytest.mark.django_db

SCHEMA = project.BASE_DIR / "example_project" / "identity.schema.json"
PROVIDER = project.MS_IDENTITY["PROVIDERS"][0]
_MICROSOFT = Microsoft(clients={})
_TENANT = _MICROSOFT.authority("login.microsoftonline.com", PROVIDER["microsoft_tenant"])
MAY_SIGN_IN = [
    persona.id for persona in PERSONAS if not persona.refusal and _MICROSOFT.tenant_of(persona, _TENANT)
]


def traits_of(client, emulator, settings, persona):
    settings.MS_IDENTITY = {"PROVIDERS": [PROVIDER]}  # without the schema, which would refuse
    emulator.sign_in(client, persona)
    return Identity.objects.get().traits


@pytest.fixture
def lena():
    demo.make_local_user()
    return get_user_model().objects.get(username="lena")


def test_example_project_passes_its_checks(settings):
    settings.DEBUG = True
    call_command("check", fail_level="ERROR")


def test_profile_redirects_to_the_login_page(client):
    assert client.get("/profile/")["Location"] == "/login/?next=/profile/"


def test_login_page_offers_microsoft_and_a_password(client, ms_identity_emulator):
    page = client.get("/login/?next=/profile/%3Fa=1").content.decode()

    assert 'href="/ms/start/microsoft/?next=%2Fprofile%2F%3Fa%3D1"' in page
    assert 'name="next" value="/profile/?a=1"' in page
    assert 'autocomplete="current-password"' in page
    assert "autofocus" not in page


def test_login_page_ignores_next_on_another_host(client, ms_identity_emulator, lena):
    page = client.get("/login/?next=https://evil.example/").content.decode()
    answer = client.post(
        "/login/", {"username": "lena", "password": demo.PASSWORD, "next": "https://evil.example/"}
    )

    assert "evil" not in page
    assert answer["Location"] == "/profile/"


@pytest.mark.parametrize("path", ["/", "/login/"])
def test_pages_have_no_inline_script_or_style(client, ms_identity_emulator, path):
    page = client.get(path).content.decode()

    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page)


def test_password_sign_in_leads_to_next(client, ms_identity_emulator, lena):
    answer = client.post("/login/", {"username": "lena", "password": demo.PASSWORD, "next": "/?page=2"})

    assert answer["Location"] == "/?page=2"
    assert b"signed in as <strong>Lena Farrow</strong>" in client.get("/login/").content


def test_wrong_password_is_shown_as_an_alert(client, ms_identity_emulator, lena):
    page = client.post("/login/", {"username": "lena", "password": "wrong"}).content.decode()

    assert '<div role="alert"><ul class="errorlist nonfield"' in page


def test_local_user_has_the_address_of_the_account_that_collides(lena):
    collides = next(persona for persona in PERSONAS if persona.id == "collides")

    assert (lena.email, lena.get_full_name()) == (collides.email, collides.name)
    assert lena.check_password(demo.PASSWORD)
    assert not lena.is_staff


def test_existing_local_user_is_not_changed(lena):
    lena.set_password("their own")
    lena.email = ""
    lena.save()

    demo.make_local_user()

    again = get_user_model().objects.get()
    assert again.check_password("their own")
    assert again.email == ""


def test_demo_greeting_names_the_personas():
    text = demo.greeting(8001)

    assert "http://localhost:8001/admin/" in text
    assert "lena (password: demo)" in text
    for name in (persona.name for persona in PERSONAS if persona.id in demo.PEOPLE):
        assert name in text


@pytest.mark.parametrize("persona", sorted({*MAY_SIGN_IN} - {"no-email"}))
def test_schema_accepts_the_traits_of_each_persona(client, ms_identity_emulator, settings, persona):
    traits = traits_of(client, ms_identity_emulator, settings, persona)

    assert parse_schema(SCHEMA.read_text()).problems(traits) == ()


def test_schema_requires_an_email(client, ms_identity_emulator, settings):
    traits = traits_of(client, ms_identity_emulator, settings, "no-email")

    [problem] = parse_schema(SCHEMA.read_text()).problems(traits)
    assert (problem.path, problem.kind) == (("email",), ProblemKind.MISSING)


def test_schema_has_the_form_of_kratos():
    document, schema = json.loads(SCHEMA.read_text()), parse_schema(SCHEMA.read_text())

    assert document["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert [(mark.path, mark.via) for mark in schema.verification] == [(("email",), "email")]


def test_admin_persona_opens_the_admin(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client, "admin")

    assert client.get("/admin/").status_code == 200

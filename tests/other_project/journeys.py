"""Sign-ins in a project with its own user model and databases.

Run by tests/test_other_project.py in a process of its own: AUTH_USER_MODEL cannot change in one.
"""

from __future__ import annotations

import json
import time
import uuid

import pytest
from django.conf import settings as project
from django.core.management import call_command
from django.db import IntegrityError, connections
from django.urls import get_resolver

from django_ms_identity import sessions, signals
from django_ms_identity.importers.kratos import read
from django_ms_identity.importers.record import ImportOptions, Outcome, Skip
from django_ms_identity.importers.writer import Import
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from tests.journeys.steps import unquoted
from tests.support.builders import make_mapper, make_provider, make_settings
from tests.support.web import Browser

from .models import Member

pytestmark = pytest.mark.django_db(databases=["default", "people", "replica"], transaction=True)

EMAIL = "ines.okafor@contoso.example"
START = "/accounts/microsoft/start/microsoft/"


@pytest.fixture(autouse=True)
def replica():
    """Let the replica refuse what a real one refuses: each write, and each lock."""

    def refuse(execute, sql, params, many, context):
        assert sql.split(maxsplit=1)[0] not in {"INSERT", "UPDATE", "DELETE"}, sql
        assert "FOR UPDATE" not in sql, sql
        return execute(sql, params, many, context)

    with connections["replica"].execute_wrapper(refuse):
        yield


def code_of(response):
    return response.context["code"] if response.context and "reference" in response.context else ""


def test_these_are_the_settings_that_are_meant():
    assert project.AUTH_USER_MODEL == "other_project.Member"
    assert all(connections[alias].settings_dict["ATOMIC_REQUESTS"] for alias in connections)


def test_the_app_has_nothing_to_migrate():
    call_command("makemigrations", "ms_identity", check=True, dry_run=True)


@pytest.mark.parametrize("name", ["sign-in", "start/microsoft", "callback/microsoft", "sign-out"])
def test_views_are_outside_transactions_of_every_database(name):
    view = get_resolver().resolve(f"/accounts/microsoft/{name}/").func

    assert view._non_atomic_requests == {"default", "people", "replica"}


def test_a_person_is_registered_by_a_trusted_address(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client, next="/home/")

    assert (response.status_code, response.headers["Location"]) == (302, "/home/"), response.content
    assert client.get("/home/").content.decode() == EMAIL
    member = Member.objects.get()
    assert not member.has_usable_password()
    for model in (Identity, Credential, SignIn, VerifiableAddress):
        assert model.objects.using("people").count() == 1
    assert Identity.objects.get().user == member


def test_the_second_sign_in_is_a_login(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser())

    assert ms_identity_emulator.sign_in(client).status_code == 302
    assert (Member.objects.count(), SignIn.objects.count()) == (1, 2)


def test_nothing_of_ours_runs_inside_a_transaction(client, ms_identity_emulator, listen):
    seen = []

    def look(**_):
        seen.append([connections[alias].in_atomic_block for alias in connections])

    for name in ("identity_registering", "identity_registered", "identity_signing_in", "identity_signed_in"):
        listen(getattr(signals, name), look)

    ms_identity_emulator.sign_in(client)

    assert seen == [[False, False, False]] * 4


@pytest.mark.parametrize(
    ("persona", "provider"),
    [
        pytest.param("guest", {}, id="a guest"),
        pytest.param("personal", {"microsoft_tenant": "common"}, id="any tenant"),
        pytest.param("personal-without-email", {"microsoft_tenant": "common"}, id="no address at all"),
    ],
)
def test_without_a_trusted_address_nobody_is_registered(
    client, ms_identity_emulator, settings, persona, provider
):
    settings.MS_IDENTITY = make_settings(provider)

    response = ms_identity_emulator.sign_in(client, persona)

    assert (code_of(response), response.status_code) == ("email_unverified", 403)
    assert (Member.objects.count(), Identity.objects.count()) == (0, 0)


@pytest.mark.parametrize("wanted", ["", "admin@contoso.example", "not an address", None])
def test_a_mapper_cannot_choose_an_untrusted_address(client, ms_identity_emulator, settings, wanted):
    program = f"{{identity: {{traits: {{}}}}, user: {{email: {'null' if wanted is None else repr(wanted)}}}}}"
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)})

    assert code_of(ms_identity_emulator.sign_in(client)) == "email_unverified"


@pytest.mark.parametrize("stored", [EMAIL, EMAIL.replace("contoso", "CONTOSO")])
def test_an_address_that_is_taken_is_a_collision_and_gets_no_suffix(client, ms_identity_emulator, stored):
    Member.objects.create_user(stored)

    response = ms_identity_emulator.sign_in(client)

    assert response.headers["Location"] == "/accounts/microsoft/confirm-link/"
    assert Member.objects.count() == 1


def test_an_address_that_only_the_database_finds_taken_gets_no_suffix(client, ms_identity_emulator):
    """As where the column compares without case: a suffix would make another person's address of it."""
    tried = []

    def refuse(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO other_project_member"):
            tried.append(params)
            raise IntegrityError
        return execute(sql, params, many, context)

    with connections["people"].execute_wrapper(refuse):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("account_exists", 409)
    assert len(tried) == 1


def test_fields_and_groups_that_the_model_lacks_are_dropped(client, ms_identity_emulator, settings):
    program = """
        local email = std.extVar('claims').email;
        {
          identity: { traits: { email: email } },
          user: { nickname: 'I', username: 'x', is_staff: true, is_superuser: true, groups: ['staff'] },
        }
    """
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)})

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302, response.content
    assert Member.objects.get().nickname == "I"


def test_deactivation_works_at_once_though_the_identity_was_read_from_a_replica(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    identity = Identity.objects.get()
    assert identity._state.db == "replica"

    assert sessions.set_active(identity, False)

    assert client.get("/home/").headers["Location"] == "/accounts/microsoft/sign-in/?next=/home/"


def test_an_account_is_connected_renamed_and_disconnected(client, ms_identity_emulator):
    just_now = {"auth_time": int(time.time())}
    ms_identity_emulator.persona("work", claims=just_now)
    ms_identity_emulator.persona("admin", claims=just_now)
    ms_identity_emulator.sign_in(client)
    link = client.post("/accounts/microsoft/connections/microsoft/link/").headers["Location"]
    ms_identity_emulator.callback(link, "admin").send(client)
    Credential.objects.update(account="before@contoso.example")

    ms_identity_emulator.sign_in(Browser())
    first, second = Credential.objects.order_by("pk")
    response = client.post(f"/accounts/microsoft/connections/{second.pk}/unlink/")

    assert response.status_code == 302, response.content
    assert Credential.objects.get() == first
    assert first.account == EMAIL


def test_only_our_own_pages_are_open(client):
    assert client.get("/home/").status_code == 302
    assert client.get("/accounts/microsoft/sign-in/").status_code == 200
    assert client.get(START).headers["Location"].startswith("https://login.microsoftonline.com/")


def test_a_member_is_updated_but_not_renamed(client, ms_identity_emulator, settings):
    """The address is the user name here; and members have no groups."""
    mapper = """
      local claims = std.extVar('claims');
      {
        identity: { traits: { email: claims.email, visits: 1 }, verified_addresses: [] },
        user: { email: claims.email, nickname: 'Ines', groups: ['staff'], is_staff: true },
      }
    """
    ms_identity_emulator.sign_in(Browser())
    Member.objects.update(email="before@contoso.example")
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper(mapper), "update_identity_on_login": "automatic"}
    )

    response = ms_identity_emulator.sign_in(client, next="/home/")

    assert (response.status_code, response.headers["Location"]) == (302, "/home/"), response.content
    member = Member.objects.get()
    assert (member.email, member.nickname) == ("before@contoso.example", "Ines")
    assert Identity.objects.using("people").get().traits["visits"] == 1


def imported(*addresses, verified=True):
    listed = [{"via": "email", "value": value, "verified": verified} for value in addresses]
    entry = {
        "id": str(uuid.uuid4()),
        "traits": {"email": addresses[0]},
        "verifiable_addresses": listed,
        "credentials": {"oidc": {"identifiers": [f"microsoft:{uuid.uuid4()}"]}},
    }
    plan = ImportOptions(providers={"microsoft": make_provider()}, tenant="", schema=None)
    [verdict] = Import(plan).run(read(json.dumps([entry])))
    return verdict


def test_people_are_imported_by_a_verified_address():
    assert imported(EMAIL).outcome is Outcome.IMPORTED
    assert Member.objects.get().email == EMAIL
    assert VerifiableAddress.objects.using("people").count() == 1


def test_without_a_verified_address_nobody_is_imported():
    assert imported(EMAIL, verified=False).reason == Skip.EMAIL_UNVERIFIED
    assert not Member.objects.exists()


def test_an_existing_member_is_never_attached():
    Member.objects.create_user(EMAIL)

    assert imported(EMAIL).reason == Skip.ACCOUNT_EXISTS
    assert not Identity.objects.exists()


def test_a_member_who_joins_during_the_run_is_never_attached():
    entries = [
        {
            "id": str(uuid.uuid4()),
            "traits": {},
            "verifiable_addresses": [{"via": "email", "value": value, "verified": True}],
            "credentials": {"oidc": {"identifiers": [f"microsoft:{value}"]}},
        }
        for value in ("first@contoso.example", EMAIL)
    ]
    plan = ImportOptions(providers={"microsoft": make_provider()}, tenant="", schema=None)
    verdicts = Import(plan).run(read(json.dumps(entries)))
    next(verdicts)
    Member.objects.create_user(EMAIL)

    assert next(verdicts).reason == Skip.ACCOUNT_EXISTS
    assert Identity.objects.count() == 1

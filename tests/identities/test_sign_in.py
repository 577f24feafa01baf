"""Whole sign-ins whose rows change, fail or are fought over on the way."""

from __future__ import annotations

import json
import uuid

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import DataError, IntegrityError, OperationalError, connection

from django_ms_identity.models import Credential, Identity
from django_ms_identity.signals import identity_registering
from tests.journeys.steps import NOTHING, code_of, page, rows, unquoted
from tests.support.builders import make_identity, make_mapper, make_settings
from tests.support.web import Browser

pytestmark = pytest.mark.django_db


VOUCHING = "{identity: {traits: {}, verified_addresses: [{via: 'email', value: std.extVar('claims').email}]}}"


@pytest.mark.parametrize("moment", ["before the look for collisions", "before the rows are written"])
def test_sign_in_of_both_visitors_of_a_race_is_to_one_identity(
    client, ms_identity_emulator, settings, listen, moment
):
    rival = Browser()

    raced = []

    def race(*_, **__):
        if not raced:
            raced.append(rival)
            settings.MS_IDENTITY = make_settings()
            assert ms_identity_emulator.sign_in(rival).status_code == 302
        return 200, {}, VOUCHING

    if moment == "before the look for collisions":
        url = f"https://mapper.example/{uuid.uuid4()}.jsonnet"
        ms_identity_emulator.wire.add_callback("GET", url, callback=race)
        settings.MS_IDENTITY = make_settings({"mapper_url": url})
    else:
        listen(identity_registering, race)

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302, page(response)
    assert rows() == {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 2, "Session": 2}
    assert client.get("/home/").content == rival.get("/home/").content == b"ines.okafor@contoso.example"


def test_sign_in_to_an_identity_that_is_deleted_meanwhile_is_refused(client, ms_identity_emulator, listen):
    found = []

    def win(claims, **_):
        make_identity(subject=claims.sub, username="rival")

    def delete_before_the_second_look(execute, sql, params, many, context):
        if unquoted(sql).startswith("SELECT ms_identity_credential"):
            found.append(Identity.objects.count())
            if len(found) == 2:
                Identity.objects.all().delete()
        return execute(sql, params, many, context)

    listen(identity_registering, win)

    with connection.execute_wrapper(delete_before_the_second_look):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("identity_inactive", 403)
    assert found[:2] == [0, 1]
    assert rows() == NOTHING | {"User": 1}


@pytest.mark.parametrize(
    "address",
    [
        pytest.param({"via": "email", "value": "a" * 309 + "@contoso.com"}, id="value"),
        pytest.param({"via": "v" * 17, "value": "ines@contoso.com"}, id="via"),
    ],
)
def test_sign_in_with_a_verified_address_longer_than_its_column_writes_nothing(
    client, ms_identity_emulator, settings, address
):
    """SQLite would store it, and another database would refuse it after the user was written."""
    program = json.dumps({"identity": {"traits": {}, "verified_addresses": [address]}})
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)})

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), rows()) == ("mapper_result_invalid", NOTHING)


def test_sign_in_with_a_value_that_the_database_refuses_writes_nothing(client, ms_identity_emulator, caplog):
    """SQLite takes everything; PostgreSQL refuses what is longer than its column."""

    def refuse(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO ms_identity_credential"):
            raise DataError("value too long: planted")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("user_invalid", 503)
    assert "planted" not in caplog.text
    assert rows() == NOTHING


@pytest.mark.django_db(transaction=True)
def test_sign_in_by_an_account_that_is_disconnected_meanwhile_is_refused(client, ms_identity_emulator):
    def delete(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO ms_identity_signin"):
            Credential.objects.all().delete()
            raise IntegrityError
        return execute(sql, params, many, context)

    with connection.execute_wrapper(delete):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("identity_inactive", 403)
    assert client.get("/home/").content == b"nobody"


@pytest.mark.django_db(transaction=True)
def test_sign_in_reports_a_database_that_fails_at_the_session_as_a_fault(client, ms_identity_emulator):
    """Only who was deleted meanwhile is told that they may not come in."""

    def fail(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO ms_identity_signin"):
            raise OperationalError
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail), pytest.raises(OperationalError):
        ms_identity_emulator.sign_in(client)

    assert (rows()["Identity"], rows()["SignIn"]) == (1, 0)
    assert client.get("/home/").content == b"nobody"


def test_sign_in_by_any_tenant_makes_no_administrator(client, ms_identity_emulator, settings):
    program = """{
      identity: { traits: {} },
      user: { username: 'x', is_staff: true, is_superuser: true, is_active: false, password: 'p', id: 7,
              last_login: '2020-01-01', groups: ['staff'] },
    }"""
    Group.objects.create(name="staff")
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": "common", "mapper_url": make_mapper(program)})

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302, page(response)
    user = get_user_model().objects.get()
    assert (user.is_staff, user.is_superuser, user.is_active, user.groups.count()) == (False, False, True, 0)
    assert not user.has_usable_password()


@pytest.mark.kratos(85)
@pytest.mark.parametrize(
    ("program", "code"),
    [
        pytest.param("{", "mapper_syntax_invalid", id="syntax"),
        pytest.param("error 'planted'", "mapper_runtime_failed", id="error"),
        pytest.param("{}", "mapper_result_invalid", id="no identity"),
        pytest.param("{identity: {traits: {a: '\\u0000'}}}", "mapper_result_invalid", id="NUL"),
        pytest.param("import 'x'", "mapper_import_refused", id="import"),
    ],
)
def test_sign_in_whose_mapper_fails_registers_no_identity(
    client, ms_identity_emulator, settings, program, code
):
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)})

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == (code, 503)
    assert "planted" not in page(response)
    assert rows() == NOTHING


def test_sign_in_of_a_known_person_needs_no_mapper(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(Browser())
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper("error 'broken'")})

    assert ms_identity_emulator.sign_in(client).status_code == 302


def test_sign_in_makes_missing_groups_where_the_settings_say_so(client, ms_identity_emulator, settings):
    program = "{identity: {traits: {}}, user: {groups: ['new']}}"
    for create in (False, True):
        settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)}, CREATE_GROUPS=create)
        ms_identity_emulator.sign_in(Browser(), "admin" if create else "work")

    first, second = Identity.objects.order_by("created_at")
    assert (list(first.user.groups.all()), first.granted_groups) == ([], [])
    assert ([group.name for group in second.user.groups.all()], second.granted_groups) == (["new"], ["new"])


@pytest.mark.parametrize("is_open", [True, False])
def test_sign_in_that_meets_an_existing_user_needs_no_identity_schema(
    client, ms_identity_emulator, settings, is_open
):
    settings.MS_IDENTITY = make_settings(
        IDENTITY_SCHEMA_URL="file:///nowhere.json", REGISTRATION_ENABLED=is_open
    )
    get_user_model().objects.create_user("local", "ines.okafor@contoso.example", "password")

    response = ms_identity_emulator.sign_in(client)

    assert response.headers["Location"] == "/ms/confirm-link/"


def test_sign_in_while_registration_is_off_needs_no_identity_schema(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(
        IDENTITY_SCHEMA_URL="file:///nowhere.json", REGISTRATION_ENABLED=False
    )

    assert code_of(ms_identity_emulator.sign_in(client)) == "registration_disabled"

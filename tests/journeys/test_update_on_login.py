"""A known person signs in after Microsoft's data, or the mapper, have changed."""

from __future__ import annotations

import dataclasses

import pytest
from django.contrib.auth.models import Group

from django_ms_identity import signals
from django_ms_identity.emulator.personas import PERSONAS
from django_ms_identity.exceptions import SignInRefused
from django_ms_identity.models import Credential, Identity, SignIn
from django_ms_identity.sessions import set_active
from tests.support.builders import make_mapper, make_settings
from tests.support.web import Browser

from .steps import code_of, pick, statements

pytestmark = pytest.mark.django_db

AUTOMATIC = {"update_identity_on_login": "automatic"}
WORK = next(persona for persona in PERSONAS if persona.id == "work")
RENAMED = dataclasses.replace(WORK, family_name="Changed")
GROUPS = make_mapper(
    "{identity: {traits: {}}, user: {username: 'ines', "
    "groups: std.get(std.extVar('claims').raw_claims, 'groups', [])}}"
)


@pytest.fixture
def automatic(settings):
    settings.MS_IDENTITY = make_settings(AUTOMATIC)


def last_names():
    identity = Identity.objects.select_related("user").get()
    return identity.traits["last_name"], identity.user.last_name


@pytest.mark.kratos(64)
@pytest.mark.usefixtures("automatic")
def test_update_on_login_brings_a_changed_name(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser())

    response = ms_identity_emulator.sign_in(client, RENAMED, next="/home/")

    assert response.headers["Location"] == "/home/"
    assert last_names() == ("Changed", "Changed")


@pytest.mark.kratos(64)
def test_update_on_login_is_off_by_default(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser())

    ms_identity_emulator.sign_in(client, RENAMED)

    assert last_names() == (WORK.family_name, WORK.family_name)


@pytest.mark.usefixtures("automatic")
def test_update_on_login_costs_one_statement_where_nothing_changed(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser())
    callback = pick(client, ms_identity_emulator)

    with statements() as gathered:
        callback.send(client)

    assert len(gathered) == 6 + 1, gathered


def test_update_on_login_is_not_for_a_registration(client, ms_identity_emulator, settings, listen):
    counting = make_mapper("{identity: {traits: {known: std.length(std.extVar('identity').traits)}}}")
    settings.MS_IDENTITY = make_settings(AUTOMATIC | {"mapper_url": counting})
    heard = []
    listen(signals.identity_updated, lambda **_: heard.append(1))

    ms_identity_emulator.sign_in(client)

    assert Identity.objects.get().traits == {"known": 0}
    assert heard == []


@pytest.mark.usefixtures("automatic")
def test_update_on_login_comes_before_the_signals_of_the_sign_in(client, ms_identity_emulator, listen):
    ms_identity_emulator.sign_in(Browser())
    heard = []
    for name in ("identity_updated", "identity_signing_in", "identity_signed_in"):
        listen(
            getattr(signals, name),
            lambda identity, name=name, **_: heard.append((name, identity.traits["last_name"])),
        )

    ms_identity_emulator.sign_in(client, RENAMED)

    assert heard == [
        ("identity_updated", "Changed"),
        ("identity_signing_in", "Changed"),
        ("identity_signed_in", "Changed"),
    ]


@pytest.mark.usefixtures("automatic")
def test_update_on_login_stays_when_the_sign_in_is_refused_after_it(client, ms_identity_emulator, listen):
    ms_identity_emulator.sign_in(Browser())

    def veto(**_):
        raise SignInRefused("not today")

    listen(signals.identity_signing_in, veto)

    assert code_of(ms_identity_emulator.sign_in(client, RENAMED)) == "sign_in_refused"
    assert last_names() == ("Changed", "Changed")


@pytest.mark.usefixtures("automatic")
@pytest.mark.parametrize("reason", ["identity_inactive", "user_inactive", "tenant_changed"])
def test_update_on_login_is_not_for_a_refused_person(client, ms_identity_emulator, reason):
    ms_identity_emulator.sign_in(Browser())
    identity = Identity.objects.get()
    if reason == "identity_inactive":
        set_active(identity, False)
    elif reason == "user_inactive":
        type(identity.user).objects.update(is_active=False)
    else:
        Credential.objects.update(tenant="3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c")

    assert code_of(ms_identity_emulator.sign_in(client, RENAMED)) == reason
    assert last_names() == (WORK.family_name, WORK.family_name)


@pytest.mark.kratos(65)
def test_update_on_login_whose_mapper_fails_refuses_the_sign_in(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(Browser())
    before = Identity.objects.values().get()
    settings.MS_IDENTITY = make_settings(AUTOMATIC | {"mapper_url": make_mapper("error 'broken'")})

    response = ms_identity_emulator.sign_in(client)

    assert (response.status_code, code_of(response)) == (503, "mapper_runtime_failed")
    assert Identity.objects.values().get() == before
    assert SignIn.objects.count() == 1
    assert "_auth_user_id" not in client.session


def test_update_on_login_takes_groups_of_the_registration_but_not_at_overage(
    client, ms_identity_emulator, settings, caplog
):
    settings.MS_IDENTITY = make_settings(AUTOMATIC | {"mapper_url": GROUPS})
    ours, by_hand = Group.objects.create(name="ours"), Group.objects.create(name="by hand")
    member = dataclasses.replace(WORK, groups=("ours",))
    ms_identity_emulator.sign_in(Browser(), member)
    user = Identity.objects.get().user
    user.groups.add(by_hand)
    assert set(user.groups.all()) == {ours, by_hand}

    overage = dataclasses.replace(WORK, groups=tuple(f"group {number}" for number in range(201)))
    ms_identity_emulator.sign_in(Browser(), overage)
    assert set(user.groups.all()) == {ours, by_hand}
    assert "overage" in caplog.text

    ms_identity_emulator.sign_in(client, dataclasses.replace(WORK, groups=()))
    assert set(user.groups.all()) == {by_hand}

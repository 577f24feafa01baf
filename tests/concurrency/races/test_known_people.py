"""Somebody who is here signs in while they, or others, change what is known of them."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
from django.contrib.auth.models import Group

from django_ms_identity import signals
from django_ms_identity.emulator import TENANT_ID as CONTOSO
from django_ms_identity.emulator.personas import PERSONAS
from django_ms_identity.models import Credential, Identity, SignIn
from django_ms_identity.sessions import set_active
from tests.journeys.steps import pick
from tests.support.builders import TENANT, make_identity, make_mapper
from tests.support.web import Browser

from .crowd import code_of, make_settings, statuses, together, who

pytestmark = pytest.mark.django_db(transaction=True)

FABRIKAM = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
WORK = next(persona for persona in PERSONAS if persona.id == "work")
MAPPER = make_mapper(
    """
    local raw = std.extVar('claims').raw_claims;
    {
      identity: {
        traits: std.get(raw, 'planted', {}),
        metadata_public: std.get(raw, 'planted', {}),
        verified_addresses: [{ via: 'email', value: address } for address in std.get(raw, 'addresses', [])],
      },
      user: { username: 'ines', groups: std.get(raw, 'teams', []) },
    }
    """
)
AUTOMATIC = {
    "mapper_url": MAPPER,
    "update_identity_on_login": "automatic",
    "privileged_tenants": [TENANT],
}


def saying(**claims):
    return dataclasses.replace(WORK, claims=claims)


def arrive(emulator, *personas):
    browsers = [Browser() for _ in personas]
    return browsers, [
        partial(pick(browser, emulator, persona).send, browser)
        for browser, persona in zip(browsers, personas, strict=True)
    ]


def test_no_update_is_lost_when_two_sign_ins_say_different_things(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(AUTOMATIC)
    ms_identity_emulator.sign_in(Browser(), saying(planted={"before": True}))
    heard = [saying(planted={f"trait_{number}": number}) for number in range(6)]
    _, calls = arrive(ms_identity_emulator, *heard)

    responses = together(*calls)

    assert statuses(responses) == [302] * 6
    identity = Identity.objects.get()
    assert identity.traits == {"before": True} | {f"trait_{number}": number for number in range(6)}
    # What replaces is one sign-in's word, whole.
    assert identity.metadata_public in [persona.claims["planted"] for persona in heard]


def test_groups_and_their_note_agree_after_two_sign_ins_that_do_not(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(AUTOMATIC)
    Group.objects.bulk_create(Group(name=name) for name in ("a", "b", "c", "own"))
    ms_identity_emulator.sign_in(Browser(), saying(teams=["c"]))
    identity = Identity.objects.get()
    identity.user.groups.add(Group.objects.get(name="own"))
    _, calls = arrive(ms_identity_emulator, *[saying(teams=["a"]), saying(teams=["b"])] * 2)

    responses = together(*calls)

    assert statuses(responses) == [302] * 4
    identity.refresh_from_db()
    assert identity.granted_groups in (["a"], ["b"])
    held = sorted(identity.user.groups.values_list("name", flat=True))
    assert held == [*identity.granted_groups, "own"]


def test_an_address_that_two_sign_ins_add_is_there_once(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(AUTOMATIC)
    ms_identity_emulator.sign_in(Browser(), saying())
    _, calls = arrive(ms_identity_emulator, *[saying(addresses=["Ines@Contoso.Example"])] * 6)

    responses = together(*calls)

    assert statuses(responses) == [302] * 6
    assert Identity.objects.get().verifiable_addresses.get().normalised == "ines@contoso.example"


@pytest.mark.parametrize("attempt", range(4))
def test_nobody_is_in_after_a_deactivation_and_nobody_lives_again(ms_identity_emulator, attempt):
    ms_identity_emulator.sign_in(early := Browser())
    identity = Identity.objects.get()
    browsers, calls = arrive(ms_identity_emulator, *["work"] * 6)

    changed, *responses = together(partial(set_active, identity, False), *calls)

    assert changed is True
    assert max(it.status_code for it in responses) < 500
    assert {who(it) for it in [early, *browsers]} == {"nobody"}
    set_active(identity, True)
    assert {who(it) for it in [early, *browsers]} == {"nobody"}


def test_a_deactivation_by_many_at_once_happens_once(ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser())
    identity = Identity.objects.get()

    changed = together(*[partial(set_active, identity, False)] * 8)

    assert sorted(changed) == [False] * 7 + [True]


def test_an_imported_credential_belongs_to_the_tenant_that_came_first(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": "organizations"})
    make_identity(subject="the-same-subject", tenant="")
    at_contoso = dataclasses.replace(WORK, claims={"sub": "the-same-subject"})
    at_fabrikam = dataclasses.replace(at_contoso, tenant=FABRIKAM)
    _, calls = arrive(ms_identity_emulator, *[at_contoso, at_fabrikam] * 4)

    responses = together(*calls)

    owner = Credential.objects.get().tenant
    let_in = [CONTOSO, FABRIKAM].index(owner)
    assert [code_of(it) for it in responses[let_in::2]] == [""] * 4
    assert [code_of(it) for it in responses[1 - let_in :: 2]] == ["tenant_changed"] * 4
    assert SignIn.objects.count() == 4


@pytest.mark.parametrize("gone", [Credential, Identity], ids=["credential", "identity"])
def test_what_is_deleted_meanwhile_opens_no_session(client, ms_identity_emulator, listen, gone):
    ms_identity_emulator.sign_in(Browser())
    listen(signals.identity_signing_in, lambda **_: gone.objects.all().delete())

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("identity_inactive", 403)
    assert who(client) == "nobody"


def test_a_user_who_is_deleted_meanwhile_gets_no_session(client, ms_identity_emulator, listen):
    ms_identity_emulator.sign_in(Browser())
    user = Identity.objects.get().user
    listen(signals.identity_signing_in, lambda **_: type(user).objects.all().delete())

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("identity_inactive", 403)
    assert who(client) == "nobody"

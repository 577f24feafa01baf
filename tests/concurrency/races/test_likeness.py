"""People whose subjects look alike: whatever the database's collation makes of them, they are different."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection

from django_ms_identity.emulator.personas import PERSONAS, oid_for
from django_ms_identity.identities.credential_lookup import find_credential
from django_ms_identity.identities.linking.matching import emails_in_use, users_with_any
from django_ms_identity.models import Credential, Identity, VerifiableAddress
from tests.journeys.steps import code_of, pick, rows
from tests.support.builders import TENANT, make_identity, make_mapper
from tests.support.web import Browser

from .crowd import make_settings, together, who

pytestmark = pytest.mark.django_db(transaction=True)

WORK = next(persona for persona in PERSONAS if persona.id == "work")
ALIKE = [
    "subject",
    "Subject",
    "SUBJECT",
    "subject ",
    " subject",
    "subject\t",
    "sübject",
    "su\u0308bject",  # u and a combining diaeresis
    "\uff53ubject",  # full width
    "straße",
    "strasse",
    "fi",
    "\ufb01",  # a ligature
    "\u0130",
    "i",
    "\u0131",
    "caf\u00e9",
    "cafe\u0301",
    "cafe",
    "x\U0001f600",
    "x\U0001f601",
]


ASCII = [subject for subject in ALIKE if subject.isascii() and subject.isprintable()]


def of(subject):
    """Make somebody of whom only the subject tells; Microsoft's are printable ASCII."""
    return dataclasses.replace(
        WORK,
        id=f"persona-{ALIKE.index(subject)}",
        oid=oid_for(subject),
        username=f"person-{ALIKE.index(subject)}",
        email=None,
        claims={"sub": subject},
    )


def test_people_whose_subjects_look_alike_are_different_people(ms_identity_emulator):
    for subject in ASCII:
        assert ms_identity_emulator.sign_in(Browser(), of(subject)).status_code == 302
    before = rows()

    for subject in ASCII:
        ms_identity_emulator.sign_in(browser := Browser(), of(subject))
        assert who(browser) == f"person-{ALIKE.index(subject)}"

    assert before["Identity"] == before["Credential"] == len(ASCII)
    assert rows()["Identity"] == len(ASCII)


def test_subjects_that_look_alike_find_their_own_credential():
    """Graph and imports name people too, and not in ASCII alone."""
    owners = {subject: make_identity(subject=subject, username=f"{n}") for n, subject in enumerate(ALIKE)}

    found = {subject: find_credential("microsoft", subject, using="default") for subject in ALIKE}

    assert {subject: it.identity for subject, it in found.items()} == owners
    assert {subject: it.subject for subject, it in found.items()} == {subject: subject for subject in ALIKE}


@pytest.mark.parametrize(("one", "other"), list(pairwise(ASCII)))
def test_two_that_look_alike_do_not_collide_even_at_once(ms_identity_emulator, one, other):
    browsers = Browser(), Browser()
    ways = [pick(it, ms_identity_emulator, of(who)) for it, who in zip(browsers, (one, other), strict=True)]

    together(
        lambda: ways[0].send(browsers[0]),
        lambda: ways[1].send(browsers[1]),
    )

    assert Identity.objects.count() == 2
    assert [who(it) for it in browsers] == [f"person-{ALIKE.index(it)}" for it in (one, other)]


def test_provider_ids_that_differ_in_case_are_different_providers(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({}, {"id": "Microsoft"})
    ms_identity_emulator.persona("work", email=None, username="ines")

    for provider in ("microsoft", "Microsoft"):
        ms_identity_emulator.sign_in(browser := Browser(), provider=provider)
        assert who(browser).startswith("ines")

    assert sorted(Credential.objects.values_list("provider", flat=True)) == ["Microsoft", "microsoft"]
    assert Identity.objects.count() == 2


@pytest.mark.parametrize(
    ("stored", "sought"),
    [
        pytest.param("ann@contoso.example", "ANN@Contoso.Example", id="case"),
        pytest.param("\uff21NN@contoso.example", "ann@contoso.example", id="full width"),
        pytest.param("zo\u00eb@contoso.example", "ZOE\u0308@contoso.example", id="composed or not"),
        pytest.param("stra\u00dfe@contoso.example", "STRASSE@contoso.example", id="sharp s"),
        pytest.param("ann@contoso.example", " ann@contoso.example ", id="space around"),
    ],
)
def test_addresses_are_the_same_after_nfkc_and_case_folding(stored, sought):
    identity = make_identity(verified=(stored,))

    assert [user.pk for user in users_with_any([sought])] == [identity.user.pk]
    assert len(emails_in_use([sought])) == 1


@pytest.mark.parametrize(
    ("stored", "sought"),
    [
        pytest.param("zo\u00eb@contoso.example", "zoe@contoso.example", id="accent"),
        pytest.param("ann@contoso.example", "ann@contoso.examples", id="longer"),
        pytest.param("\u0131nes@contoso.example", "ines@contoso.example", id="dotless i"),
    ],
)
def test_other_addresses_are_others_however_forgiving_the_database_is(stored, sought):
    make_identity(verified=(stored,), email=stored)

    assert users_with_any([sought]) == ()
    assert emails_in_use([sought]) == set()


def test_two_addresses_that_only_the_database_finds_equal_keep_nobody_out(ms_identity_emulator, settings):
    """The collation may take the two for one: the first is kept then, and the person is let in."""
    mapper = make_mapper(
        "{identity: {traits: {}, verified_addresses: [{via: 'email', value: v} for v in"
        " ['zoe@contoso.example', 'zo\\u00eb@contoso.example']]}}"
    )
    settings.MS_IDENTITY = make_settings({"mapper_url": mapper})

    for _ in range(2):
        response = ms_identity_emulator.sign_in(Browser())
        assert (code_of(response), response.status_code) == ("", 302)

    kept = set(VerifiableAddress.objects.values_list("value", flat=True))
    assert kept == {"zoe@contoso.example"} if connection.vendor == "mysql" else len(kept) == 2


def test_a_group_that_only_the_database_finds_is_not_joined(ms_identity_emulator, settings):
    mapper = make_mapper("{identity: {traits: {}}, user: {username: 'ines', groups: ['admins']}}")
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": mapper, "privileged_tenants": [TENANT]}, CREATE_GROUPS=True
    )
    Group.objects.create(name="Admins")

    response = ms_identity_emulator.sign_in(Browser())

    assert response.status_code == 302
    assert "Admins" not in Identity.objects.get().user.groups.values_list("name", flat=True)


def test_nobody_is_linked_at_once_to_whom_only_the_database_finds(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(
        {"account_linking_mode": "automatic", "auto_link_domains": ["contoso.example"]}
    )
    other = make_identity(
        provider="elsewhere", username="zoe", email="zoe@contoso.example", verified=("zoe@contoso.example",)
    )
    zoe = dataclasses.replace(WORK, email="zo\u00eb@contoso.example", username="zo\u00eb")

    response = ms_identity_emulator.sign_in(browser := Browser(), zoe)

    assert response.headers["Location"] == "/home/"
    assert who(browser) != other.user.get_username()
    assert Identity.objects.count() == 2


def test_a_user_name_that_only_the_database_finds_taken_gets_a_suffix(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper("{identity: {traits: {}}, user: {username: 'zo\\u00eb'}}")}
    )
    get_user_model().objects.create_user("Zoe")

    response = ms_identity_emulator.sign_in(browser := Browser())

    assert response.status_code == 302
    assert who(browser).startswith("zo\u00eb")


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"sub": "a\0b"}, id="sub"),
        pytest.param({"name": "a\0b", "family_name": "\0"}, id="name"),
        pytest.param({"email": "a\0b@contoso.example"}, id="email"),
        pytest.param({"preferred_username": "a\0b"}, id="preferred_username"),
        pytest.param({"sid": "a\0b", "amr": ["p\0wd"], "login_hint": "a\0b"}, id="session"),
        pytest.param({"sid": "\ud800", "amr": ["\ud800"]}, id="half a character in the session"),
        pytest.param({"name": "\ud800", "preferred_username": "a\ud800"}, id="half a character"),
        pytest.param({"name": "\U0001f600" * 3, "preferred_username": "\U0001f600"}, id="outside the BMP"),
        pytest.param({"sid": "s" * 70, "preferred_username": "u" * 400}, id="long"),
    ],
)
def test_no_claim_ends_in_an_error_of_the_database(ms_identity_emulator, claims):
    person = dataclasses.replace(WORK, claims=claims)

    for _ in range(2):
        response = ms_identity_emulator.sign_in(Browser(), person)
        assert code_of(response) in ("", "mapper_result_invalid", "token_rejected")
    assert response.status_code != 500

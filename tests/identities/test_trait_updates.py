"""What a sign-in changes of a known identity, and what it leaves."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import DataError, IntegrityError

from django_ms_identity import signals
from django_ms_identity.exceptions import (
    IdentityInactive,
    MapperResultInvalid,
    MapperRuntimeFailed,
    TraitsInvalid,
    UserInvalid,
)
from django_ms_identity.models import Credential, Identity, VerifiableAddress
from tests.journeys.steps import statements, unquoted
from tests.support.builders import make_claims, make_identity, make_schema, make_settings

from .updates import addresses, groups, program, stored_identity, update, updated

pytestmark = pytest.mark.django_db

EMAIL = "ines@contoso.example"
MANY = {"microsoft_tenant": "common"}
WRITES = ("INSERT", "UPDATE", "DELETE")


# Traits and metadata


@pytest.mark.kratos(64, 66)
def test_update_merges_traits_and_keeps_an_omitted_one():
    identity = stored_identity(traits={"kept": 1, "changed": "old", "deep": {"a": [1], "b": 2}})

    identity = updated(identity, program(traits={"changed": "", "deep": {"a": []}, "new": None}))

    assert identity.traits == {"kept": 1, "changed": "", "deep": {"a": [], "b": 2}, "new": None}


@pytest.mark.kratos(67)
def test_update_keeps_metadata_that_the_mapper_leaves_out():
    identity = stored_identity(metadata_public={"a": 1}, metadata_admin={"b": 2})

    identity = updated(identity, program(traits={"new": 1}))

    assert (identity.metadata_public, identity.metadata_admin) == ({"a": 1}, {"b": 2})


@pytest.mark.kratos(64, 67)
def test_update_replaces_metadata_as_a_whole_and_an_empty_object_clears():
    identity = stored_identity(traits={"a": 1}, metadata_public={"a": 1}, metadata_admin={"b": 2})

    identity = updated(identity, program(metadata_public={"c": 3}, metadata_admin={}))

    assert (identity.metadata_public, identity.metadata_admin) == ({"c": 3}, {})
    assert identity.traits == {"a": 1}


@pytest.mark.kratos(67)
def test_update_shows_the_mapper_what_is_stored():
    identity = stored_identity(
        traits={"a": 1}, metadata_public={"b": 2}, metadata_admin={"c": 3}, self_asserted=["a"]
    )

    identity = updated(identity, "{identity: {traits: {}, metadata_public: {seen: std.extVar('identity')}}}")

    assert identity.metadata_public == {
        "seen": {
            "traits": {"a": 1},
            "metadata_public": {"b": 2},
            "metadata_admin": {"c": 3},
            "self_asserted": ["a"],
        }
    }


def test_update_takes_a_boolean_that_becomes_a_number_for_a_change():
    identity = updated(stored_identity(traits={"a": True}), program(traits={"a": 1}))

    assert identity.traits["a"] is not True


@pytest.mark.kratos(67)
def test_update_leaves_credentials_untouched():
    identity = make_identity()
    before = Credential.objects.values().get()

    updated(identity, program(traits={"a": 1}))

    assert Credential.objects.values().get() == before


# Written only when something changed


@pytest.mark.kratos(64, 67)
def test_update_writes_nothing_when_nothing_changed():
    identity = make_identity(
        email=EMAIL, first_name="Inès", is_staff=True, verified=(EMAIL, "second@contoso.example")
    )
    identity.user.groups.add(Group.objects.create(name="staff"))
    Identity.objects.update(
        traits={"a": 1, "b": {"c": [1.0], "d": False}}, metadata_admin={"x": 1}, granted_groups=["staff"]
    )
    before = Identity.objects.get().updated_at
    mapper = program(
        traits={"b": {"d": False, "c": [1]}, "a": 1.0},
        metadata_admin={"x": 1},
        verified=["Second@contoso.example", EMAIL],
        user={"first_name": "Inès", "is_staff": True, "groups": ["staff", "unknown"]},
    )
    with statements() as gathered:
        identity = updated(identity, mapper)

    # Of the test itself: the credential, and the identity after it.
    assert len(gathered) == 2 + 2, gathered
    assert not [sql for sql in gathered if sql.startswith(WRITES)]
    assert identity.updated_at == before


def test_update_asks_nothing_without_addresses_and_groups():
    identity = stored_identity(traits={"a": 1})

    with statements() as gathered:
        updated(identity, program(traits={"a": 1}))

    assert len(gathered) == 2, gathered


def test_update_asks_for_no_groups_of_people_without_groups():
    with statements() as gathered:
        updated(make_identity(), program(user={"groups": []}))

    assert not [sql for sql in gathered if '"auth_group"' in sql]


def test_update_sets_updated_at():
    identity = make_identity()
    before = identity.updated_at

    assert updated(identity, program(traits={"a": 1})).updated_at > before


def test_update_writes_no_column_that_did_not_change():
    """Another request may be writing them."""
    identity = make_identity()

    with statements() as gathered:
        updated(identity, program(metadata_admin={"a": 1}))

    lock, written = [unquoted(sql) for sql in gathered if sql.startswith(WRITES)]
    assert "traits =" not in lock
    assert "metadata_admin =" in written
    assert "traits =" not in written
    assert "state =" not in written


def test_update_keeps_what_another_request_wrote_meanwhile(listen):
    """The lock is worth nothing unless the row is read again behind it."""
    identity = stored_identity(traits={"a": 1})
    credential = Credential.objects.select_related("identity__user").get()
    Identity.objects.update(traits={"a": 1, "meanwhile": 2})
    get_user_model().objects.update(first_name="Meanwhile")

    update(credential, program(traits={"b": 3}, user={"last_name": "X"}))

    identity.refresh_from_db()
    assert identity.traits == {"a": 1, "meanwhile": 2, "b": 3}
    assert credential.identity.user.first_name == "Meanwhile"
    assert get_user_model().objects.get().first_name == "Meanwhile"


@pytest.mark.kratos(67)
def test_update_checks_the_schema_with_what_another_request_wrote(settings):
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=make_schema({}, maxProperties=2))
    identity = stored_identity(traits={"a": 1})
    credential = Credential.objects.select_related("identity__user").get()
    Identity.objects.update(traits={"a": 1, "meanwhile": 2})

    with pytest.raises(TraitsInvalid):
        update(credential, program(traits={"b": 3}))

    identity.refresh_from_db()
    assert identity.traits == {"a": 1, "meanwhile": 2}


@pytest.mark.kratos(67)
def test_update_refuses_traits_that_the_schema_refuses(settings):
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=make_schema({"a": {"type": "integer"}}))
    identity = stored_identity(traits={"a": 1})

    with statements() as gathered, pytest.raises(TraitsInvalid):
        updated(identity, program(traits={"a": "x"}))

    assert not [sql for sql in gathered if sql.startswith(WRITES)]


def test_update_refuses_an_identity_that_was_deleted_meanwhile():
    make_identity()
    credential = Credential.objects.select_related("identity__user").get()
    get_user_model().objects.all().delete()

    with pytest.raises(IdentityInactive):
        update(credential, program(traits={"a": 1}))

    assert not Identity.objects.exists()


# Refusals


@pytest.mark.parametrize(
    ("mapper", "refusal"),
    [
        ("error 'not today'", MapperRuntimeFailed),
        ("{identity: {}}", MapperResultInvalid),
        (program(traits={"a": 2}, verified=["x" * 321]), MapperResultInvalid),
    ],
)
def test_update_whose_mapper_fails_changes_nothing(mapper, refusal):
    identity = stored_identity(traits={"a": 1})

    with pytest.raises(refusal):
        updated(identity, mapper)

    identity.refresh_from_db()
    assert identity.traits == {"a": 1}


@pytest.mark.parametrize("error", [DataError, IntegrityError])
def test_update_that_the_database_refuses_is_undone_and_told(listen, error):
    from django.db.models.signals import post_save

    identity = stored_identity(traits={"a": 1})

    def refuse(sender, instance, **_):
        if sender is Identity:
            raise error("refused")

    listen(post_save, refuse)

    with pytest.raises(UserInvalid):
        updated(identity, program(traits={"a": 2}, user={"first_name": "New"}))

    identity.refresh_from_db()
    identity.user.refresh_from_db()
    assert (identity.traits, identity.user.first_name) == ({"a": 1}, "")


# The Django user


def test_update_lets_names_follow_the_mapper():
    identity = make_identity(first_name="Old", last_name="Old")

    identity = updated(identity, program(traits={"first_name": "New", "last_name": ""}))

    assert (identity.user.first_name, identity.user.last_name) == ("New", "")


def test_update_keeps_a_name_that_is_left_out():
    identity = make_identity(first_name="Old", last_name="Old")

    identity = updated(identity, program(traits={"last_name": "New"}))

    assert (identity.user.first_name, identity.user.last_name) == ("Old", "New")


@pytest.mark.parametrize("mapper", [{"traits": {"username": "new"}}, {"user": {"username": "new"}}])
def test_update_keeps_the_username(mapper):
    identity = make_identity(username="old")

    assert updated(identity, program(**mapper)).user.get_username() == "old"


def test_update_keeps_what_no_mapper_may_set():
    identity = make_identity()
    before = get_user_model().objects.values().get()

    updated(
        identity, program(user={"password": "x", "is_active": False, "id": 7, "date_joined": "2020-01-01"})
    )

    assert get_user_model().objects.values().get() == before


@pytest.mark.parametrize(("wanted", "expected"), [(False, False), (True, True), (None, True)])
def test_update_takes_a_privilege_only_when_the_mapper_says_so(wanted, expected):
    identity = make_identity(is_staff=True, is_superuser=True)
    user = {} if wanted is None else {"is_staff": wanted, "is_superuser": wanted}

    identity = updated(identity, program(user=user))

    assert (identity.user.is_staff, identity.user.is_superuser) == (expected, expected)


def test_update_gives_and_takes_no_privileges_of_any_tenants_people():
    for name in ("held", "new"):
        Group.objects.create(name=name)
    identity = stored_identity(granted_groups=["held"])
    identity.user.groups.add(Group.objects.get(name="held"))

    identity = updated(identity, program(user={"is_staff": True, "groups": ["new"]}), **MANY)
    identity = updated(identity, program(user={"groups": []}), **MANY)

    assert not identity.user.is_staff
    assert groups(identity) == ["held"]


def test_update_gives_guests_no_privileges():
    identity = updated(make_identity(), program(user={"is_staff": True}), claims=make_claims(acct=1))

    assert not identity.user.is_staff


# E-mail


def test_update_replaces_the_users_address_by_a_trusted_one():
    identity = make_identity(email="old@contoso.example")

    assert updated(identity, program(traits={"email": EMAIL})).user.email == EMAIL


def test_update_gives_the_user_no_untrusted_address():
    identity = make_identity(email="old@contoso.example")

    identity = updated(identity, program(traits={"email": EMAIL}, user={"email": EMAIL}), **MANY)

    assert identity.user.email == "old@contoso.example"
    assert identity.traits == {"email": EMAIL}


def test_update_keeps_an_address_that_is_still_trusted():
    identity = make_identity(email=EMAIL)

    identity = updated(identity, program(verified=["first@contoso.example", EMAIL]))

    assert identity.user.email == EMAIL


def test_update_without_an_address_keeps_the_users():
    identity = make_identity(email=EMAIL)

    assert updated(identity, program(user={"email": ""})).user.email == EMAIL


@pytest.mark.parametrize("how", ["user field", "verified here"])
def test_update_leaves_out_an_address_of_another_user_with_a_warning(how, caplog):
    other = {"email": EMAIL.upper()} if how == "user field" else {"verified": (EMAIL,)}
    make_identity(subject="other", **other)
    identity = make_identity(email="old@contoso.example")

    identity = updated(identity, program(traits={"email": EMAIL}, verified=[EMAIL]))

    assert identity.user.email == "old@contoso.example"
    assert addresses(identity) == []
    assert "another user's" in caplog.text
    assert EMAIL not in caplog.text


def test_update_gives_the_user_no_typed_address():
    identity = stored_identity(traits={"email": "typed@elsewhere.example"}, self_asserted=["email"])

    identity = updated(identity, "{identity: {traits: std.extVar('identity').traits {more: 1}}}")

    assert identity.user.email == ""
    assert identity.traits["more"] == 1


# Verified addresses


@pytest.mark.kratos(67)
def test_update_adds_verified_addresses_once_and_removes_none():
    identity = make_identity(verified=("old@contoso.example",))
    before = VerifiableAddress.objects.get().verified_at

    identity = updated(identity, program(verified=["straße@contoso.example", "strasse@contoso.example"]))
    identity = updated(identity, program(verified=["OLD@contoso.example"]))
    identity = updated(identity, program())

    assert len(addresses(identity)) == 2
    assert VerifiableAddress.objects.get(value="old@contoso.example").verified_at == before


def test_update_lets_people_share_what_is_no_email_address():
    make_identity(subject="other", email=EMAIL)
    mapper = f"{{identity: {{traits: {{}}, verified_addresses: [{{via: 'chat', value: '{EMAIL}'}}]}}}}"

    assert addresses(updated(make_identity(), mapper)) == [EMAIL]


def test_update_may_give_the_user_their_verified_address():
    identity = make_identity(verified=(EMAIL,))

    assert updated(identity, program(verified=[EMAIL])).user.email == EMAIL


def test_update_may_verify_the_users_own_address():
    identity = make_identity(email=EMAIL)

    assert addresses(updated(identity, program(verified=[EMAIL]))) == [EMAIL]


# The signal


@pytest.fixture
def heard(listen):
    heard = []
    listen(signals.identity_updated, lambda **arguments: heard.append(arguments))
    return heard


@pytest.mark.parametrize(
    "mapper",
    [
        program(traits={"a": 2}),
        program(metadata_public={"a": 2}),
        program(metadata_admin={"a": 2}),
    ],
)
def test_update_signal_has_the_new_identity(mapper, heard):
    identity = stored_identity(traits={"a": 1})

    updated(identity, mapper)

    (arguments,) = heard
    assert set(arguments) == {
        *["signal", "sender", "request", "provider", "identity", "credential", "claims"]
    }
    assert arguments["sender"] is Identity
    assert {"a": 2} in (
        arguments["identity"].traits,
        arguments["identity"].metadata_public,
        arguments["identity"].metadata_admin,
    )


@pytest.mark.parametrize(
    "mapper", [program(traits={"a": 1}), program(user={"first_name": "New"}, verified=[EMAIL])]
)
def test_update_signal_is_for_traits_and_metadata_alone(mapper, heard):
    updated(stored_identity(traits={"a": 1}), mapper)

    assert heard == []


def test_update_signal_receiver_that_fails_is_passed_over(listen):
    def fail(**_):
        raise RuntimeError("the project's own")

    listen(signals.identity_updated, fail)

    assert updated(make_identity(), program(traits={"a": 1})).traits == {"a": 1}

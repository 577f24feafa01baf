"""What a sign-in changes of a known identity, and what it leaves; kratos.md 5.8 and section 9, rows 64-67."""

from __future__ import annotations

import json

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
from django_ms_identity.identities.trait_updates import update_identity
from django_ms_identity.models import Credential, Identity, VerifiableAddress
from tests.journeys.steps import statements, unquoted
from tests.support.builders import (
    make_claims,
    make_context,
    make_identity,
    make_mapper,
    make_provider,
    make_schema,
    make_settings,
)

pytestmark = pytest.mark.django_db

EMAIL = "ines@contoso.example"
MANY = {"microsoft_tenant": "common"}
WRITES = ("INSERT", "UPDATE", "DELETE")


def program(user=None, verified=(), **identity):
    output = {
        "identity": {
            "traits": {},
            "verified_addresses": [{"via": "email", "value": value} for value in verified],
            **identity,
        }
    }
    return json.dumps(output | ({} if user is None else {"user": user}))


def updated(identity, mapper, *, claims=None, **provider):
    """Sign the person in as far as the update goes, and read what is stored then."""
    credential = Credential.objects.for_subject("microsoft", "subject").with_user().get()
    made = make_provider(mapper_url=make_mapper(mapper), update_identity_on_login="automatic", **provider)
    update_identity(make_context(made, claims), credential)
    known = credential.identity
    stored = Identity.objects.select_related("user").get(pk=identity.pk)
    assert (known.traits, known.user.email) == (stored.traits, stored.user.email)
    return stored


def mapped_by(mapper):
    return make_context(make_provider(mapper_url=make_mapper(mapper)))


def stored_identity(**columns):
    identity = make_identity()
    for name, value in columns.items():
        setattr(identity, name, value)
    identity.save()
    return identity


def addresses(identity):
    return sorted(identity.verifiable_addresses.values_list("value", flat=True))


def groups(identity):
    return sorted(identity.user.groups.values_list("name", flat=True))


# Traits and metadata


@pytest.mark.kratos(64, 66)
def test_traits_merge_and_an_omitted_one_stays():
    identity = stored_identity(traits={"kept": 1, "changed": "old", "deep": {"a": [1], "b": 2}})

    identity = updated(identity, program(traits={"changed": "", "deep": {"a": []}, "new": None}))

    assert identity.traits == {"kept": 1, "changed": "", "deep": {"a": [], "b": 2}, "new": None}


@pytest.mark.kratos(67)
def test_metadata_that_the_mapper_leaves_out_stay():
    identity = stored_identity(metadata_public={"a": 1}, metadata_admin={"b": 2})

    identity = updated(identity, program(traits={"new": 1}))

    assert (identity.metadata_public, identity.metadata_admin) == ({"a": 1}, {"b": 2})


@pytest.mark.kratos(64, 67)
def test_metadata_are_replaced_as_a_whole_and_an_empty_object_clears():
    identity = stored_identity(traits={"a": 1}, metadata_public={"a": 1}, metadata_admin={"b": 2})

    identity = updated(identity, program(metadata_public={"c": 3}, metadata_admin={}))

    assert (identity.metadata_public, identity.metadata_admin) == ({"c": 3}, {})
    assert identity.traits == {"a": 1}


@pytest.mark.kratos(67)
def test_the_mapper_sees_what_is_stored():
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


def test_a_boolean_that_becomes_a_number_is_a_change():
    identity = updated(stored_identity(traits={"a": True}), program(traits={"a": 1}))

    assert identity.traits["a"] is not True


@pytest.mark.kratos(67)
def test_credentials_are_untouched():
    identity = make_identity()
    before = Credential.objects.values().get()

    updated(identity, program(traits={"a": 1}))

    assert Credential.objects.values().get() == before


# Written only when something changed


@pytest.mark.kratos(64, 67)
def test_nothing_is_written_when_nothing_changed():
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


def test_without_addresses_and_groups_nothing_is_even_asked():
    identity = stored_identity(traits={"a": 1})

    with statements() as gathered:
        updated(identity, program(traits={"a": 1}))

    assert len(gathered) == 2, gathered


def test_somebody_without_groups_before_and_after_is_not_asked_for_them():
    with statements() as gathered:
        updated(make_identity(), program(user={"groups": []}))

    assert not [sql for sql in gathered if '"auth_group"' in sql]


def test_updated_at_tells_of_a_change():
    identity = make_identity()
    before = identity.updated_at

    assert updated(identity, program(traits={"a": 1})).updated_at > before


def test_columns_that_did_not_change_are_not_written():
    """Somebody else may be writing them."""
    identity = make_identity()

    with statements() as gathered:
        updated(identity, program(metadata_admin={"a": 1}))

    lock, written = [unquoted(sql) for sql in gathered if sql.startswith(WRITES)]
    assert "traits =" not in lock
    assert "metadata_admin =" in written
    assert "traits =" not in written
    assert "state =" not in written


def test_what_another_request_wrote_meanwhile_stays(listen):
    """The lock is worth nothing unless the row is read again behind it."""
    identity = stored_identity(traits={"a": 1})
    credential = Credential.objects.with_user().get()
    Identity.objects.update(traits={"a": 1, "meanwhile": 2})
    get_user_model().objects.update(first_name="Meanwhile")

    update_identity(
        make_context(
            make_provider(mapper_url=make_mapper(program(traits={"b": 3}, user={"last_name": "X"})))
        ),
        credential,
    )

    identity.refresh_from_db()
    assert identity.traits == {"a": 1, "meanwhile": 2, "b": 3}
    assert credential.identity.user.first_name == "Meanwhile"
    assert get_user_model().objects.get().first_name == "Meanwhile"


@pytest.mark.kratos(67)
def test_what_another_request_wrote_meanwhile_is_held_against_the_schema_too(settings):
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=make_schema({}, maxProperties=2))
    identity = stored_identity(traits={"a": 1})
    credential = Credential.objects.with_user().get()
    Identity.objects.update(traits={"a": 1, "meanwhile": 2})

    with pytest.raises(TraitsInvalid):
        update_identity(
            make_context(make_provider(mapper_url=make_mapper(program(traits={"b": 3})))), credential
        )

    identity.refresh_from_db()
    assert identity.traits == {"a": 1, "meanwhile": 2}


def test_an_identity_that_was_deleted_meanwhile_is_refused():
    make_identity()
    credential = Credential.objects.with_user().get()
    get_user_model().objects.all().delete()

    with pytest.raises(IdentityInactive):
        update_identity(
            make_context(make_provider(mapper_url=make_mapper(program(traits={"a": 1})))), credential
        )

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
def test_a_mapper_that_fails_does_no_damage(mapper, refusal):
    identity = stored_identity(traits={"a": 1})

    with pytest.raises(refusal):
        updated(identity, mapper)

    identity.refresh_from_db()
    assert identity.traits == {"a": 1}


@pytest.mark.parametrize("error", [DataError, IntegrityError])
def test_what_the_database_refuses_is_undone_and_told(listen, error):
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


def test_names_follow_the_mapper():
    identity = make_identity(first_name="Old", last_name="Old")

    identity = updated(identity, program(traits={"first_name": "New", "last_name": ""}))

    assert (identity.user.first_name, identity.user.last_name) == ("New", "")


def test_a_name_that_is_left_out_stays():
    identity = make_identity(first_name="Old", last_name="Old")

    identity = updated(identity, program(traits={"last_name": "New"}))

    assert (identity.user.first_name, identity.user.last_name) == ("Old", "New")


@pytest.mark.parametrize("mapper", [{"traits": {"username": "new"}}, {"user": {"username": "new"}}])
def test_nobody_is_renamed(mapper):
    identity = make_identity(username="old")

    assert updated(identity, program(**mapper)).user.get_username() == "old"


def test_what_no_mapper_may_set_stays():
    identity = make_identity()
    before = get_user_model().objects.values().get()

    updated(
        identity, program(user={"password": "x", "is_active": False, "id": 7, "date_joined": "2020-01-01"})
    )

    assert get_user_model().objects.values().get() == before


@pytest.mark.parametrize(("wanted", "expected"), [(False, False), (True, True), (None, True)])
def test_a_privilege_goes_only_when_the_mapper_says_so(wanted, expected):
    identity = make_identity(is_staff=True, is_superuser=True)
    user = {} if wanted is None else {"is_staff": wanted, "is_superuser": wanted}

    identity = updated(identity, program(user=user))

    assert (identity.user.is_staff, identity.user.is_superuser) == (expected, expected)


def test_people_of_any_tenant_get_and_lose_no_privileges_and_no_groups():
    for name in ("held", "new"):
        Group.objects.create(name=name)
    identity = stored_identity(granted_groups=["held"])
    identity.user.groups.add(Group.objects.get(name="held"))

    identity = updated(identity, program(user={"is_staff": True, "groups": ["new"]}), **MANY)
    identity = updated(identity, program(user={"groups": []}), **MANY)

    assert not identity.user.is_staff
    assert groups(identity) == ["held"]


def test_guests_get_no_privileges():
    identity = updated(make_identity(), program(user={"is_staff": True}), claims=make_claims(acct=1))

    assert not identity.user.is_staff


# E-mail


def test_a_trusted_address_replaces_one_that_is_not_vouched_for_any_more():
    identity = make_identity(email="old@contoso.example")

    assert updated(identity, program(traits={"email": EMAIL})).user.email == EMAIL


def test_an_address_that_nobody_vouches_for_does_not_reach_the_user():
    identity = make_identity(email="old@contoso.example")

    identity = updated(identity, program(traits={"email": EMAIL}, user={"email": EMAIL}), **MANY)

    assert identity.user.email == "old@contoso.example"
    assert identity.traits == {"email": EMAIL}


def test_an_address_that_is_still_vouched_for_stays_though_another_comes_first():
    identity = make_identity(email=EMAIL)

    identity = updated(identity, program(verified=["first@contoso.example", EMAIL]))

    assert identity.user.email == EMAIL


def test_no_address_takes_none_away():
    identity = make_identity(email=EMAIL)

    assert updated(identity, program(user={"email": ""})).user.email == EMAIL


@pytest.mark.parametrize("how", ["user field", "verified here"])
def test_an_address_of_another_user_is_left_out_with_a_warning(how, caplog):
    other = {"email": EMAIL.upper()} if how == "user field" else {"verified": (EMAIL,)}
    make_identity(subject="other", **other)
    identity = make_identity(email="old@contoso.example")

    identity = updated(identity, program(traits={"email": EMAIL}, verified=[EMAIL]))

    assert identity.user.email == "old@contoso.example"
    assert addresses(identity) == []
    assert "another user's" in caplog.text
    assert EMAIL not in caplog.text


def test_what_the_visitor_typed_does_not_become_the_users_address():
    identity = stored_identity(traits={"email": "typed@elsewhere.example"}, self_asserted=["email"])

    identity = updated(identity, "{identity: {traits: std.extVar('identity').traits {more: 1}}}")

    assert identity.user.email == ""
    assert identity.traits["more"] == 1


RELAYING = (
    "local email = std.extVar('identity').traits.email;"
    "{identity: {traits: {}, verified_addresses: [{via: 'email', value: email}]}}"
)


@pytest.mark.parametrize(
    ("provider", "claims"),
    [
        pytest.param(MANY, {"email": "ceo@victim.example"}, id="another tenant says it too"),
        pytest.param({}, {"email": "ceo@victim.example", "acct": 1}, id="a guest's tenant says it too"),
        pytest.param({}, {"email": "ceo@victim.example", "xms_edov": False}, id="Microsoft denies it"),
        pytest.param({}, {}, id="nobody says it"),
    ],
)
def test_what_the_visitor_typed_is_not_verified_by_a_mapper_that_hands_it_on(provider, claims):
    identity = stored_identity(traits={"email": "ceo@victim.example"}, self_asserted=["email"])

    identity = updated(identity, RELAYING, claims=make_claims(**claims), **provider)

    assert addresses(identity) == []
    assert identity.user.email == ""


def test_what_the_visitor_typed_is_not_verified_by_a_claim_that_happens_to_hold_it():
    """A display name is the person's own choice; only what the mapper makes of the claims alone counts."""
    identity = stored_identity(traits={"email": "ceo@victim.example"}, self_asserted=["email"])

    identity = updated(identity, RELAYING, claims=make_claims(name="ceo@victim.example"))

    assert addresses(identity) == []


FALLING_BACK = (
    "local claims = std.extVar('claims'), stored = std.extVar('identity');"
    "local email = std.get(claims, 'email', std.get(stored.traits, 'contact_email', ''));"
    "{identity: {traits: {email: email}, verified_addresses: [{via: 'email', value: email}]},"
    " user: {email: email}}"
)


@pytest.mark.parametrize("self_asserted", [["contact_email"], []], ids=["typed", "imported or hooked"])
def test_a_stored_trait_that_a_mapper_hands_back_is_not_trusted(self_asserted):
    identity = stored_identity(traits={"contact_email": "ceo@victim.example"}, self_asserted=self_asserted)

    identity = updated(identity, FALLING_BACK)

    assert (addresses(identity), identity.user.email) == ([], "")


def test_stored_metadata_that_a_mapper_hands_back_is_not_trusted():
    identity = stored_identity(metadata_admin={"email": "ceo@victim.example"})

    identity = updated(identity, "{identity: {traits: {email: std.extVar('identity').metadata_admin.email}}}")

    assert identity.user.email == ""


def test_an_address_that_folds_into_another_is_not_granted():
    identity = stored_identity(traits={"contact_email": "v\u0130ctim@contoso.example"})

    identity = updated(identity, FALLING_BACK)

    assert (addresses(identity), identity.user.email) == ([], "")


def test_a_verified_address_that_a_mapper_hands_back_stays_trusted():
    identity = make_identity(verified=(EMAIL,))
    Identity.objects.update(traits={"contact_email": EMAIL})

    identity = updated(identity, FALLING_BACK)

    assert identity.user.email == EMAIL


def test_an_address_that_the_claims_name_is_trusted_beside_stored_ones():
    identity = stored_identity(traits={"contact_email": "ceo@victim.example"})

    identity = updated(identity, FALLING_BACK, claims=make_claims(email=EMAIL))

    assert (addresses(identity), identity.user.email) == ([EMAIL], EMAIL)


def test_a_stored_trait_that_a_mapper_hands_back_grants_no_privilege():
    Group.objects.create(name="staff")
    identity = stored_identity(traits={"role": "staff"}, self_asserted=["role"])

    identity = updated(
        identity,
        "local role = std.get(std.extVar('identity').traits, 'role', '');"
        "{identity: {traits: {}}, user: {is_staff: role == 'staff', groups: [role]}}",
    )

    assert (identity.user.is_staff, groups(identity)) == (False, [])


# Verified addresses


@pytest.mark.kratos(67)
def test_verified_addresses_are_added_once_per_value_and_never_removed():
    identity = make_identity(verified=("old@contoso.example",))
    before = VerifiableAddress.objects.get().verified_at

    identity = updated(identity, program(verified=["straße@contoso.example", "strasse@contoso.example"]))
    identity = updated(identity, program(verified=["OLD@contoso.example"]))
    identity = updated(identity, program())

    assert len(addresses(identity)) == 2
    assert VerifiableAddress.objects.get(value="old@contoso.example").verified_at == before


def test_only_an_email_address_is_one_persons_alone():
    make_identity(subject="other", email=EMAIL)
    mapper = f"{{identity: {{traits: {{}}, verified_addresses: [{{via: 'chat', value: '{EMAIL}'}}]}}}}"

    assert addresses(updated(make_identity(), mapper)) == [EMAIL]


def test_the_persons_own_verified_address_can_become_the_users():
    identity = make_identity(verified=(EMAIL,))

    assert updated(identity, program(verified=[EMAIL])).user.email == EMAIL


def test_the_users_own_address_can_be_verified():
    identity = make_identity(email=EMAIL)

    assert addresses(updated(identity, program(verified=[EMAIL]))) == [EMAIL]


# Groups


@pytest.fixture
def three_groups():
    return [Group.objects.create(name=name) for name in ("by hand", "first", "second")]


def test_groups_are_joined_and_left_as_the_mapper_says(three_groups):
    identity = make_identity()
    identity.user.groups.add(three_groups[0])

    identity = updated(identity, program(user={"groups": ["first", "unknown"]}))
    assert (groups(identity), identity.granted_groups) == (["by hand", "first"], ["first"])

    identity = updated(identity, program(user={"groups": ["second"]}))
    assert (groups(identity), identity.granted_groups) == (["by hand", "second"], ["second"])

    identity = updated(identity, program(user={"groups": []}))
    assert (groups(identity), identity.granted_groups) == (["by hand"], [])
    assert Group.objects.count() == 3


def test_groups_are_made_where_the_settings_say_so(settings):
    settings.MS_IDENTITY = make_settings(CREATE_GROUPS=True)
    identity = stored_identity()

    identity = updated(identity, program(user={"groups": ["new", "", "x" * 151]}))
    assert (groups(identity), identity.granted_groups) == (["new"], ["new"])

    identity = updated(identity, program(user={"groups": []}))
    assert (groups(identity), identity.granted_groups) == ([], [])
    assert Group.objects.filter(name="new").exists()


def test_a_group_that_was_given_by_hand_stays_though_the_mapper_listed_it(three_groups):
    identity = make_identity()
    identity.user.groups.add(three_groups[0])

    identity = updated(identity, program(user={"groups": ["by hand"]}))
    identity = updated(identity, program(user={"groups": []}))

    assert groups(identity) == ["by hand"]


@pytest.mark.parametrize("user", [None, {}, {"first_name": "New"}])
def test_groups_stay_when_the_mapper_says_nothing_of_them(three_groups, user):
    identity = stored_identity(granted_groups=["first"])
    identity.user.groups.add(three_groups[1])

    identity = updated(identity, program(user=user, traits={"a": 1}))

    assert (groups(identity), identity.granted_groups) == (["first"], ["first"])


@pytest.mark.parametrize(
    "overage", [{"_claim_names": {"groups": "src1"}}, {"hasgroups": True}, {"hasgroups": "true"}]
)
def test_overage_leaves_groups_as_they_are_with_a_warning(three_groups, overage, caplog):
    identity = stored_identity(granted_groups=["first"])
    identity.user.groups.add(three_groups[1])

    identity = updated(
        identity, program(user={"groups": ["second"], "first_name": "New"}), claims=make_claims(**overage)
    )

    assert (groups(identity), identity.user.first_name) == (["first"], "New")
    assert "overage" in caplog.text


@pytest.mark.parametrize("claims", [{"_claim_names": {"roles": "src1"}}, {"hasgroups": False}])
def test_groups_that_fit_into_the_token_are_followed(three_groups, claims):
    identity = updated(make_identity(), program(user={"groups": ["first"]}), claims=make_claims(**claims))

    assert groups(identity) == ["first"]


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
def test_changed_traits_or_metadata_are_heard_with_the_new_identity(mapper, heard):
    identity = stored_identity(traits={"a": 1})

    updated(identity, mapper)

    (arguments,) = heard
    assert set(arguments) - {"signal"} == {
        "sender",
        "request",
        "provider",
        "identity",
        "credential",
        "claims",
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
def test_other_changes_and_none_are_not_heard(mapper, heard):
    updated(stored_identity(traits={"a": 1}), mapper)

    assert heard == []


def test_a_receiver_that_fails_harms_nobody(listen):
    def fail(**_):
        raise RuntimeError("the project's own")

    listen(signals.identity_updated, fail)

    assert updated(make_identity(), program(traits={"a": 1})).traits == {"a": 1}

from __future__ import annotations

import logging

import pytest
from django.contrib.auth import get_user_model
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.entra.clouds import CONSUMER_TENANT
from django_ms_identity.exceptions import UserInvalid
from django_ms_identity.identities.trusted_addresses import trusted_addresses, vouched_addresses
from django_ms_identity.identities.user_fields import (
    UserFields,
    apply,
    build_user,
    fields_for_imported_user,
    fields_for_new_user,
    with_suffix,
)
from django_ms_identity.traits.mapping_result import Address, MappedUser, MappingResult
from tests.support.builders import TENANT, make_claims, make_context, make_mapped, make_provider

OTHER = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
SINGLE = make_provider()
MANY = make_provider(microsoft_tenant="common")
EMAIL = "ines@contoso.example"


def fields(mapped, *, provider=SINGLE, claims=None):
    return wanted(mapped, provider=provider, claims=claims).fields


def wanted(mapped, *, provider=SINGLE, claims=None):
    context = make_context(provider, claims)
    return fields_for_new_user(context, mapped, trusted_addresses(context, mapped))


def imported(mapped):
    return fields_for_imported_user(SINGLE, "subject", mapped, vouched_addresses(mapped))


# From traits


def test_without_a_user_object_traits_of_the_same_name_are_used():
    mapped = make_mapped(username="ines", first_name="Ines", last_name="Okafor", email=EMAIL, badge=7)

    assert fields(mapped) == {
        "username": "ines",
        "first_name": "Ines",
        "last_name": "Okafor",
        "email": EMAIL,
    }


@pytest.mark.parametrize("name", ["is_staff", "is_superuser", "is_active", "password", "id", "pk", "groups"])
def test_traits_never_give_privileges(name):
    assert set(fields(make_mapped(**{name: True}))) == {"username"}


def test_an_untrusted_address_does_not_reach_the_user():
    assert "email" not in fields(make_mapped(email=EMAIL), provider=MANY)
    assert "email" not in fields(make_mapped(email=EMAIL), claims=make_claims(acct=1))
    assert "email" not in fields(make_mapped(user={"email": EMAIL}), provider=MANY)


def test_a_trusted_address_reaches_the_user():
    assert fields(make_mapped(verified=(EMAIL,)), provider=MANY)["email"] == EMAIL


def test_the_mapper_chooses_between_trusted_addresses():
    mapped = make_mapped(verified=("a@contoso.example", EMAIL), user={"email": EMAIL})

    assert fields(mapped, provider=MANY)["email"] == EMAIL


def test_the_mapper_may_spell_a_trusted_address_its_own_way():
    mapped = make_mapped(verified=(EMAIL,), user={"email": "Ines@contoso.example"})

    assert fields(mapped, provider=MANY)["email"] == "Ines@contoso.example"


@pytest.mark.parametrize("value", [["Ines"], {"a": 1}, 7, True, None])
def test_a_trait_that_is_no_text_is_left_out(value):
    assert "first_name" not in fields(make_mapped(first_name=value))


# From the user object


FORBIDDEN = {
    "password": "secret",
    "is_active": False,
    "last_login": "2020-01-01T00:00:00Z",
    "date_joined": "2020-01-01T00:00:00Z",
    "id": 1,
    "pk": 1,
    "user_permissions": "all",
    "ms_identity": "x",
    "logentry": "x",
    "absent": "x",
    "__class__": "x",
    "set_password": "x",
    "backend": "x",
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_user_fields_drop_what_no_mapper_may_set(name, caplog):
    mapped = make_mapped(user={"username": "ines", name: FORBIDDEN[name]})

    assert fields(mapped) == {"username": "ines"}
    assert f"user.{name} was dropped" in caplog.text


@pytest.mark.parametrize(
    "user",
    [
        {"password": "planted", "email": "planted@evil.example", "is_staff": "planted"},
        {"planted@evil.example": "x", "planted\nline": "x"},
    ],
)
def test_user_fields_log_neither_values_nor_unknown_names(caplog, user):
    fields(make_mapped(user=user))

    assert len(caplog.records) == len(user)
    assert "planted" not in caplog.text


@pytest.mark.parametrize("name", ["is_staff", "is_superuser"])
@pytest.mark.parametrize(
    ("provider", "tid", "given"),
    [
        pytest.param(SINGLE, TENANT, True, id="the single tenant"),
        pytest.param(MANY, TENANT, False, id="any tenant"),
        pytest.param(
            make_provider(microsoft_tenant="common", privileged_tenants=[TENANT]), TENANT, True, id="listed"
        ),
        pytest.param(
            make_provider(microsoft_tenant="common", privileged_tenants=[TENANT]),
            OTHER,
            False,
            id="not listed",
        ),
        pytest.param(make_provider(privileged_tenants=[]), TENANT, False, id="nobody"),
    ],
)
def test_privileges_are_for_privileged_tenants(name, provider, tid, given):
    mapped = make_mapped(user={name: True}, groups=("staff",))

    account = wanted(mapped, provider=provider, claims=make_claims(tid=tid))

    assert (name in account.fields) is given
    assert account.groups == (("staff",) if given else ())


@pytest.mark.parametrize("value", ["true", 1, "", 0, None])
def test_only_true_and_false_are_privileges(value):
    assert "is_superuser" not in fields(make_mapped(user={"is_superuser": value}))


def test_a_user_object_replaces_the_traits():
    assert fields(make_mapped(first_name="Trait", user={"username": "ines"})) == {"username": "ines"}


# Odd values


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("ines", "ines"),
        ("  ines  ", "ines"),
        ("Å" + "x" * 200, "Å" + "x" * 149),
        ("\uff49\uff4e\uff45\uff53", "ines"),
        ("in\0es", "ines"),
    ],
)
def test_a_username_is_made_to_fit(value, kept):
    assert fields(make_mapped(username=value))["username"] == kept


@pytest.mark.parametrize("value", ["", " ", "+44 7700 900417", "a/b", "\n", "ﷺ", None])
def test_a_username_that_the_model_refuses_is_derived(value):
    """From the credential: the same in every try, and no part of a claim."""
    username = fields(make_mapped(user={"username": value}))["username"]

    assert username.startswith("microsoft-")
    assert len(username) == len("microsoft-") + 12
    assert fields(make_mapped(user={"username": value}))["username"] == username


def test_a_name_longer_than_its_column_is_cut():
    assert fields(make_mapped(first_name="x" * 1000))["first_name"] == "x" * 150


def test_a_username_with_a_suffix_fits_too():
    account = wanted(make_mapped(username="x" * 150))

    username = with_suffix(account).fields["username"]

    assert len(username) == 150
    assert username.startswith("x" * 141 + "-")


@pytest.mark.parametrize(
    ("provider", "claims"),
    [
        pytest.param(MANY, {}, id="any tenant"),
        pytest.param(MANY, {"tid": CONSUMER_TENANT}, id="personal account"),
        pytest.param(SINGLE, {"acct": 1}, id="guest"),
    ],
)
def test_an_untrusted_address_is_no_username(provider, claims):
    mapped = make_mapped(username="ceo@contoso.example")

    assert fields(mapped, provider=provider, claims=make_claims(**claims))["username"].startswith(
        "microsoft-"
    )
    assert fields(mapped)["username"] == "ceo@contoso.example"


def test_a_user_field_of_the_wrong_type_is_a_refusal():
    """Django's date fields raise TypeError for it."""
    with pytest.raises(UserInvalid, match="refuses the type"):
        build_user(UserFields(fields={"username": "ines", "last_login": 5}, groups=()))


def test_a_verified_address_may_be_a_user_name_anywhere():
    mapped = make_mapped(username="CEO@contoso.example", verified=("ceo@contoso.example",))

    assert fields(mapped, provider=MANY)["username"] == "CEO@contoso.example"


def test_a_guest_gets_privileges_only_where_the_tenant_is_named():
    mapped, guest = make_mapped(user={"is_staff": True}), make_claims(acct=1)
    named = make_provider(privileged_tenants=[TENANT])

    assert "is_staff" not in fields(mapped, claims=guest)
    assert fields(mapped, provider=named, claims=guest)["is_staff"] is True


def test_user_fields_drop_characters_that_forge_what_is_read():
    names = make_mapped(first_name="In\u202ees\x1b[31m", last_name="Oka\x07for\u200b\0")

    assert fields(names)["first_name"] == "Ines[31m"
    assert fields(names)["last_name"] == "Okafor"


def test_a_username_suffix_cannot_be_told_beforehand():
    account = wanted(make_mapped(username="ines"))

    names = {with_suffix(account).fields["username"] for _ in range(3)}

    assert len(names) == 3


def test_a_user_field_that_the_model_refuses_is_named_without_its_value():
    with pytest.raises(UserInvalid) as caught:
        build_user(UserFields(fields={"username": "planted name", "email": "planted"}, groups=()))

    assert sorted(caught.value.detail.split(", ")) == ["email: invalid", "username: invalid"]
    assert "planted" not in f"{caught.value.detail} {caught.value.hint}"


@pytest.mark.parametrize("email", ["no address", f"{'x' * 300}@contoso.example", "ünï@contoso.example"])
def test_an_address_that_the_user_model_refuses_is_left_out(email):
    assert "email" not in fields(make_mapped(email=email))
    assert "email" not in fields(make_mapped(verified=(email,), user={"email": email}))


def test_the_first_address_that_the_user_model_accepts_is_taken():
    assert fields(make_mapped(verified=("ünï@contoso.example", EMAIL)))["email"] == EMAIL


def test_a_user_has_no_password_that_could_be_used():
    user = build_user(wanted(make_mapped(username="ines")))

    assert not user.has_usable_password()


# Without claims


def test_without_claims_only_verified_addresses_are_trusted():
    unverified = imported(make_mapped(email=EMAIL, username=EMAIL))
    verified = imported(make_mapped(email=EMAIL, username=EMAIL, verified=(EMAIL,)))

    assert unverified.fields.keys() == {"username"}
    assert "@" not in str(unverified.fields["username"])
    assert verified.fields == {"username": EMAIL, "email": EMAIL}


def test_without_claims_no_user_is_privileged():
    mapped = make_mapped(user={"username": "ines", "is_staff": True, "is_superuser": True}, groups=("staff",))

    account = imported(mapped)

    assert account == UserFields(fields={"username": "ines"}, groups=())


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
NAMES = st.one_of(
    st.sampled_from([field.name for field in get_user_model()._meta.get_fields()] + list(FORBIDDEN)),
    st.text(),
)


@given(asked=st.dictionaries(NAMES, SCALARS, max_size=6), traits=st.dictionaries(NAMES, SCALARS, max_size=3))
def test_any_user_object_makes_a_harmless_user_or_a_refusal(asked, traits):
    logging.disable(logging.CRITICAL)
    try:
        mapped = MappingResult(traits=traits, user=MappedUser(fields=asked, groups=("staff",)))
        account = wanted(mapped, provider=MANY)
        user = build_user(account)
    except UserInvalid:
        return
    finally:
        logging.disable(logging.NOTSET)

    assert (user.pk, user.is_active, user.is_staff, user.is_superuser) == (None, True, False, False)
    assert (user.email, user.last_login) == ("", None)
    assert not user.has_usable_password()
    assert account.groups == ()
    assert 0 < len(user.username) <= 150


def test_another_kind_of_address_is_no_user_email():
    """Kratos verifies telephone numbers too, and nothing holds a mapper or an export to their form."""
    sms = Address(via="sms", value="ines@contoso.example")

    account = imported(MappingResult(traits={}, verified_addresses=(sms,)))

    assert "email" not in account.fields


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"is_staff": True}, "user.is_staff was dropped: the tenant is not in privileged_tenants"),
        ({"email": "planted"}, "user.email was dropped: the user model refuses the address"),
    ],
)
def test_a_user_field_that_is_dropped_is_told_to_the_operator(caplog, asked, reason):
    wanted(make_mapped(user=asked, verified=("planted",)), provider=MANY)

    assert reason in caplog.text
    assert "planted" not in caplog.text


def test_groups_that_may_not_be_given_are_told_to_the_operator(caplog):
    wanted(make_mapped(groups=("planted",)), provider=MANY)

    assert "user.groups was dropped: the tenant is not in privileged_tenants" in caplog.text
    assert "planted" not in caplog.text


def test_a_user_field_change_that_the_model_refuses_is_a_refusal():
    with pytest.raises(UserInvalid, match="first_name: max_length"):
        apply(get_user_model()(), {"first_name": 10**160})


def test_a_typed_user_name_does_not_cost_the_mappers_own():
    mapping = make_mapped(user={"username": "ines@contoso.example"})
    typed = mapping.with_traits({"username": "whatever"}, self_asserted=("username",))

    assert fields(typed)["username"] == "ines@contoso.example"


def test_a_typed_trait_reaches_no_field_of_the_user():
    names = ("first_name", "last_name", "username")
    typed = make_mapped().with_traits(dict.fromkeys(names, "typed"), self_asserted=names)

    assert "typed" not in fields(typed).values()


def test_a_user_name_of_a_web_hook_borrows_no_address():
    changed = make_mapped(username="ines").with_traits({"username": "ceo@contoso.example"})

    assert fields(changed)["username"].startswith("microsoft-")

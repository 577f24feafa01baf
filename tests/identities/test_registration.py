from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from django_ms_identity.exceptions import AccountExists, MapperResultInvalid, RegistrationDisabled
from django_ms_identity.identities.linking.matching import users_with_any
from django_ms_identity.identities.registration import (
    SubjectTaken,
    is_registered,
    plan_registration,
    refuse_unstorable,
    register,
)
from django_ms_identity.identities.sign_in_decision import decide
from django_ms_identity.identities.trusted_addresses import trusted_addresses
from django_ms_identity.models import Identity, VerifiableAddress, credential_key
from django_ms_identity.signals import identity_registering
from django_ms_identity.traits.mapping_result import Address, MappingResult
from tests.journeys.steps import NOTHING, rows
from tests.support.builders import (
    make_claims,
    make_context,
    make_identity,
    make_mapped,
    make_provider,
    make_settings,
)

pytestmark = pytest.mark.django_db

OTHER = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
EMAIL = "ines@contoso.example"
MANY = {"microsoft_tenant": "common"}


def registered(mapped, *, claims=None, subject="subject", **provider):
    context = make_context(make_provider(**provider), claims or make_claims(sub=subject), subject=subject)
    refuse_unstorable(mapped)
    trusted = trusted_addresses(context, mapped)
    owners = users_with_any(trusted.emails)
    if owners and is_registered(context.provider, subject):
        raise SubjectTaken
    if refusals := decide(context, credential=None, owners=owners).refusals:
        raise refusals[0]
    return register(context, plan_registration(context, mapped, trusted))


# What is written


def test_registration_writes_user_identity_credential_and_addresses(db):
    mapped = MappingResult(
        traits={"email": EMAIL, "deep": {"list": [1, None, "ü"]}},
        metadata_public={"a": 1},
        metadata_admin={"b": 2},
        verified_addresses=(Address(via="email", value=EMAIL), Address(via="sms", value="+44 7700 900417")),
    )

    credential = registered(mapped, claims=make_claims(oid="the-object"))

    identity = Identity.objects.get()
    assert credential.identity == identity
    assert identity.traits == mapped.traits
    assert (identity.metadata_public, identity.metadata_admin) == ({"a": 1}, {"b": 2})
    assert (identity.state, identity.self_asserted) == ("active", [])
    assert (credential.provider, credential.subject, credential.subject_source, credential.object_id) == (
        "microsoft",
        "subject",
        "userinfo",
        "the-object",
    )
    addresses = VerifiableAddress.objects.order_by("via").values_list("via", "value", "normalised")
    assert list(addresses) == [("email", EMAIL, EMAIL), ("sms", "+44 7700 900417", "+44 7700 900417")]


def test_registration_stores_an_address_in_two_spellings_once():
    registered(make_mapped(verified=("straße@contoso.example", "strasse@contoso.example")))

    assert VerifiableAddress.objects.get().normalised == "strasse@contoso.example"


def test_registration_keeps_an_address_that_the_user_model_refuses_with_the_identity():
    """Django's validator knows ASCII names alone."""
    credential = registered(make_mapped(verified=("ünï@contoso.example",)))

    assert credential.identity.user.email == ""
    assert VerifiableAddress.objects.get().value == "ünï@contoso.example"


def test_registration_joins_groups_by_name_and_makes_none():
    staff = Group.objects.create(name="staff")

    credential = registered(make_mapped(user={}, groups=("staff", "absent", "")))

    assert list(credential.identity.user.groups.all()) == [staff]
    assert Group.objects.count() == 1


def test_registration_writes_privileges_of_the_single_tenant():
    credential = registered(make_mapped(user={"is_staff": True, "is_superuser": True}))

    user = get_user_model().objects.get()
    assert credential.identity.user == user
    assert (user.is_staff, user.is_superuser) == (True, True)


@pytest.mark.parametrize(
    "address",
    [
        Address(via="x" * 17, value="a"),
        Address(via="email", value="x" * 321),
        Address(via="email", value="ﷺ" * 20),
    ],
    ids=["kind", "value", "normalised"],
)
def test_registration_refuses_an_address_too_long_for_its_column(address):
    with pytest.raises(MapperResultInvalid):
        registered(MappingResult(traits={}, verified_addresses=(address,)), **MANY)

    assert rows() == NOTHING


# Taken usernames


def test_registration_adds_a_suffix_to_a_username_that_is_taken():
    get_user_model().objects.create_user("ines", is_superuser=True)

    credential = registered(make_mapped(username="ines"))

    username = credential.identity.user.get_username()
    assert username.startswith("ines-")
    assert len(username) == len("ines-") + 8
    assert not credential.identity.user.is_superuser
    assert get_user_model().objects.count() == 2


def test_registration_survives_squatters_of_a_username():
    """An attacker who knows the subject beforehand may take any names."""
    for name in ("ines", f"ines-{credential_key('microsoft', 'subject')[:8]}"):
        get_user_model().objects.create_user(name)

    assert registered(make_mapped(username="ines")).identity.user.get_username().startswith("ines-")


# Collisions


def test_registration_with_a_trusted_address_in_use_is_a_collision():
    make_identity(subject="old", verified=(EMAIL,), username="planted")

    with pytest.raises(AccountExists) as caught:
        registered(make_mapped(verified=("new@contoso.example", EMAIL)))

    assert rows()["Identity"] == 1
    assert EMAIL not in f"{caught.value.detail} {caught.value.hint}"
    assert "planted" not in f"{caught.value.detail} {caught.value.hint}"


@pytest.mark.parametrize(
    ("claims", "provider"),
    [
        pytest.param({"acct": 1}, {}, id="a guest's"),
        pytest.param({"idp": f"https://sts.windows.net/{OTHER}/"}, {}, id="from a foreign directory"),
        pytest.param({"idp": "live.com"}, {}, id="a personal account's in the tenant"),
        pytest.param({}, MANY, id="unverified at common"),
        pytest.param({"tid": OTHER}, {"microsoft_tenant": "organizations"}, id="of any organisation"),
    ],
)
def test_registration_with_an_untrusted_address_is_no_collision(claims, provider):
    """nOAuth: an administrator of a tenant can write any address into it."""
    make_identity(subject="old", verified=(EMAIL,), email=EMAIL)

    credential = registered(make_mapped(email=EMAIL), claims=make_claims(**claims), **provider)

    assert credential.identity.user.email == ""
    assert not credential.identity.verifiable_addresses.exists()
    assert Identity.objects.count() == 2


# Who may register


def test_registration_is_refused_before_receivers_are_asked_where_it_is_closed(settings, listen):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)
    asked = []
    listen(identity_registering, lambda **_: asked.append(1))

    with pytest.raises(RegistrationDisabled):
        registered(make_mapped())

    assert (rows(), asked) == (NOTHING, [])


def test_registration_reports_a_collision_before_it_reports_that_it_is_closed(settings):
    """A person with an account here is told so, rather than that they may not have one."""
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)
    make_identity(subject="old", verified=(EMAIL,))

    with pytest.raises(AccountExists):
        registered(make_mapped(verified=(EMAIL,)))


# Lost races


@pytest.mark.parametrize("winner", ["ines", "somebody"])
def test_registration_reports_that_another_request_registered_the_subject(listen, winner):
    listen(identity_registering, lambda **_: make_identity(subject="subject", username=winner))

    with pytest.raises(SubjectTaken):
        registered(make_mapped(username="ines"))

    assert rows() == NOTHING | {"User": 1, "Identity": 1, "Credential": 1}
    assert get_user_model().objects.get().username == winner


def test_registration_lost_to_another_request_is_no_collision():
    """The winner committed between our look for the subject and our look for the address."""
    make_identity(subject="subject", verified=(EMAIL,))

    with pytest.raises(SubjectTaken):
        registered(make_mapped(verified=(EMAIL,)))

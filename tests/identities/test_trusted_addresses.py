"""Which addresses are trusted: neither another tenant's, nor what was only stored or typed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from django_ms_identity.identities.trusted_addresses import trusted_addresses
from django_ms_identity.models import Identity
from django_ms_identity.traits.mapping_result import Address, MappingResult
from tests.support.builders import (
    TENANT,
    make_claims,
    make_context,
    make_identity,
    make_mapped,
    make_provider,
)

from .updates import addresses, groups, stored_identity, updated

pytestmark = pytest.mark.django_db


OTHER = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"


SINGLE = make_provider()


MANY = make_provider(microsoft_tenant="common")


EMAIL = "ines@contoso.example"


@pytest.mark.parametrize(
    ("provider", "claims", "mapped", "trusted"),
    [
        pytest.param(SINGLE, {}, make_mapped(email=EMAIL), (EMAIL,), id="member of the single tenant"),
        pytest.param(SINGLE, {"acct": 0}, make_mapped(email=EMAIL), (EMAIL,), id="said to be a member"),
        pytest.param(SINGLE, {"acct": 1}, make_mapped(email=EMAIL), (), id="guest"),
        pytest.param(SINGLE, {"acct": "1"}, make_mapped(email=EMAIL), (), id="guest, as text"),
        pytest.param(SINGLE, {"idp": "live.com"}, make_mapped(email=EMAIL), (), id="personal account inside"),
        pytest.param(
            SINGLE,
            {"idp": f"https://sts.windows.net/{OTHER}/"},
            make_mapped(email=EMAIL),
            (),
            id="foreign idp",
        ),
        pytest.param(
            SINGLE,
            {"idp": f"https://sts.windows.net/{TENANT}/"},
            make_mapped(email=EMAIL),
            (EMAIL,),
            id="own idp",
        ),
        pytest.param(MANY, {}, make_mapped(email=EMAIL), (), id="any tenant's word"),
        pytest.param(MANY, {}, make_mapped(verified=(EMAIL,)), (EMAIL,), id="vouched for by the mapper"),
        pytest.param(
            SINGLE,
            {"acct": 1},
            make_mapped(verified=(EMAIL,)),
            (EMAIL,),
            id="guest, vouched for by the mapper",
        ),
        pytest.param(
            SINGLE, {}, make_mapped(verified=(EMAIL,), email=EMAIL), (EMAIL,), id="the same address twice"
        ),
        pytest.param(SINGLE, {}, make_mapped(email=""), (), id="empty"),
        pytest.param(SINGLE, {}, make_mapped(email=[EMAIL]), (), id="no text"),
    ],
)
def test_trusted_addresses_are_those_of_the_single_tenant_or_the_mapper(provider, claims, mapped, trusted):
    assert trusted_addresses(make_context(provider, make_claims(**claims)), mapped).emails == trusted


def test_trusted_addresses_leave_out_other_kinds():
    mapped = MappingResult(traits={}, verified_addresses=(Address(via="sms", value="+44 7700 900417"),))

    assert trusted_addresses(make_context(MANY), mapped).emails == ()


RELAYING = (
    "local email = std.extVar('identity').traits.email;"
    "{identity: {traits: {}, verified_addresses: [{via: 'email', value: email}]}}"
)


@pytest.mark.parametrize(
    ("provider", "claims"),
    [
        pytest.param(
            {"microsoft_tenant": "common"}, {"email": "ceo@victim.example"}, id="another tenant says it too"
        ),
        pytest.param({}, {"email": "ceo@victim.example", "acct": 1}, id="a guest's tenant says it too"),
        pytest.param({}, {"email": "ceo@victim.example", "xms_edov": False}, id="Microsoft denies it"),
        pytest.param({}, {}, id="nobody says it"),
    ],
)
def test_a_typed_address_is_not_verified_by_a_mapper_that_hands_it_on(provider, claims):
    identity = stored_identity(traits={"email": "ceo@victim.example"}, self_asserted=["email"])

    identity = updated(identity, RELAYING, claims=make_claims(**claims), **provider)

    assert addresses(identity) == []
    assert identity.user.email == ""


def test_a_typed_address_is_not_verified_by_a_claim_that_happens_to_hold_it():
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


def test_a_stored_trait_that_a_mapper_hands_back_grants_no_group():
    Group.objects.create(name="staff")
    identity = stored_identity(traits={"role": "staff"})

    identity = updated(
        identity,
        "local role = std.get(std.extVar('identity').traits, 'role', '');"
        "{identity: {traits: {}}, user: {groups: [role]}}",
    )

    assert groups(identity) == []


def test_a_stored_address_that_is_not_verified_is_not_trusted():
    email = "ceo@victim.example"
    identity = stored_identity(traits={"contact_email": email})
    identity.verifiable_addresses.create(via="email", value=email, normalised=email)

    assert updated(identity, FALLING_BACK).user.email == ""

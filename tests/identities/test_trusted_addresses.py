"""Which addresses are trusted: neither another tenant's, nor what was only stored or typed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection

from django_ms_identity.identities.trusted_addresses import exact, trusted_addresses
from django_ms_identity.models import Identity
from django_ms_identity.traits.mapping_result import Address, MappingResult
from tests.journeys.steps import unquoted
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


# By what the mapper makes of the claims alone

STRANGER = "ceo@contoso.example"


def emails(mapping, *, known=(), **context):
    return trusted_addresses(make_context(**context), mapping, known=known).emails


def handed_back(mapping, *, of_claims=None):
    """Return what a mapper returned that saw a stored identity, and what it makes of the claims alone."""
    return replace(mapping, confirmation=of_claims or MappingResult(traits={}))


@pytest.mark.parametrize("mapping", [make_mapped(verified=(EMAIL,)), make_mapped(email=EMAIL)])
def test_address_that_the_claims_alone_do_not_give_is_not_trusted(mapping):
    assert emails(handed_back(mapping)) == ()


@pytest.mark.parametrize("mapping", [make_mapped(verified=(EMAIL,)), make_mapped(email=EMAIL)])
def test_address_that_the_claims_give_at_the_same_place_is_trusted(mapping):
    assert emails(handed_back(mapping, of_claims=mapping)) == (EMAIL,)


def test_address_that_the_claims_give_at_another_place_is_not_trusted():
    """The mapper vouches for what it lists as verified; a trait is a weaker word."""
    assert emails(handed_back(make_mapped(verified=(EMAIL,)), of_claims=make_mapped(email=EMAIL))) == ()


@pytest.mark.parametrize("mapping", [make_mapped(verified=(EMAIL,)), make_mapped(email=EMAIL)])
def test_address_that_the_identity_has_verified_stays_trusted(mapping):
    assert emails(handed_back(mapping), known=[EMAIL.upper()]) == (EMAIL,)


def test_verified_telephone_number_is_not_confirmed_by_an_address():
    mapping = MappingResult(traits={}, verified_addresses=(Address(via="sms", value=EMAIL),))

    assert trusted_addresses(make_context(), handed_back(mapping), known=[EMAIL]).verified == ()


def test_typed_email_trait_is_not_trusted():
    typed = make_mapped(team="Tools").with_traits({"email": EMAIL}, self_asserted=("email",))

    assert emails(typed) == ()


def test_email_trait_of_a_web_hook_is_not_trusted_but_the_mappers_is():
    assert emails(make_mapped(email=EMAIL).with_traits({"email": STRANGER})) == (EMAIL,)


@pytest.mark.parametrize(
    "spelling", ["v\u0130ctim@contoso.example", "v\u0131ctim@contoso.example", "\uff56ictim@contoso.example"]
)
def test_spelling_that_folds_into_a_verified_address_is_not_trusted(spelling):
    mapping = make_mapped(email=spelling, verified=(spelling,))

    assert emails(handed_back(mapping), known=["victim@contoso.example"]) == ()


def test_exact_form_folds_ascii_case_and_outer_space_alone():
    assert exact(" Ines@Contoso.Example ") == EMAIL
    assert exact("\u212a@contoso.example") == "\u212a@contoso.example"


def test_trusted_addresses_say_whether_a_value_is_among_them():
    trusted = trusted_addresses(make_context(), make_mapped(verified=(EMAIL,)))

    assert EMAIL.title() in trusted
    assert STRANGER not in trusted
    assert 7 not in trusted


def test_a_stored_trait_that_a_mapper_hands_back_grants_no_group():
    Group.objects.create(name="staff")
    identity = stored_identity(traits={"role": "staff"})

    identity = updated(
        identity,
        "local role = std.get(std.extVar('identity').traits, 'role', '');"
        "{identity: {traits: {}}, user: {groups: [role]}}",
    )

    assert groups(identity) == []


def test_a_privilege_that_only_stored_traits_grant_is_told_to_the_operator(caplog):
    identity = updated(stored_identity(traits={"role": "boss"}), ROLE)

    assert not identity.user.is_staff
    assert "user.is_staff was dropped: the claims alone do not grant it" in caplog.text


def test_a_stored_address_that_is_not_verified_is_not_trusted():
    email = "ceo@victim.example"
    identity = stored_identity(traits={"contact_email": email})
    identity.verifiable_addresses.create(via="email", value=email, normalised=email)

    assert updated(identity, FALLING_BACK).user.email == ""


def revoking(change):
    """Return a wrapper that makes a change between the plan of an update and its lock, once."""
    waiting = [change]

    def wrapper(execute, sql, params, many, context):
        if waiting and unquoted(sql).startswith("UPDATE ms_identity_identity SET updated_at"):
            waiting.pop()()
        return execute(sql, params, many, context)

    return wrapper


ROLE = (
    "local stored = std.extVar('identity').traits;"
    "{identity: {traits: {seen: 1}},"
    " user: {is_staff: std.get(stored, 'role', '') == 'boss', groups: [std.get(stored, 'role', 'x')]}}"
)


def test_a_privilege_that_is_revoked_meanwhile_does_not_come_back_by_a_typed_trait():
    identity = stored_identity(traits={"role": "boss"}, self_asserted=["role"])
    users = get_user_model().objects
    users.update(is_staff=True)

    with connection.execute_wrapper(revoking(lambda: users.update(is_staff=False))):
        identity = updated(identity, ROLE)

    assert (identity.traits["seen"], identity.user.is_staff) == (1, False)


def test_a_group_that_is_revoked_meanwhile_does_not_come_back_by_a_typed_trait():
    Group.objects.create(name="boss")
    identity = stored_identity(traits={"role": "boss"}, self_asserted=["role"], granted_groups=["boss", "x"])

    with connection.execute_wrapper(revoking(lambda: Identity.objects.update(granted_groups=[]))):
        identity = updated(identity, ROLE)

    assert (identity.traits["seen"], groups(identity)) == (1, [])

"""Which addresses count as a person's own, by what the mapper makes of the claims alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from django_ms_identity.identities.trusted_addresses import exact, trusted_addresses
from django_ms_identity.traits.mapping_result import Address, MappingResult
from tests.support.builders import make_claims, make_context, make_mapped, make_provider

EMAIL = "ines@contoso.example"
OTHER = "ceo@contoso.example"
MANY = make_provider(microsoft_tenant="common")


def emails(mapping, *, known=(), **context):
    return trusted_addresses(make_context(**context), mapping, known=known).emails


def handed_back(mapping, *, of_claims=None):
    """Return what a mapper returned that saw a stored identity, and what it makes of the claims alone."""
    return replace(mapping, confirmation=of_claims or MappingResult(traits={}))


def test_verified_address_is_trusted_of_any_tenant():
    assert emails(make_mapped(verified=(EMAIL,)), provider=MANY) == (EMAIL,)


def test_email_trait_is_trusted_of_a_member_of_the_single_tenant_alone():
    assert emails(make_mapped(email=EMAIL)) == (EMAIL,)
    assert emails(make_mapped(email=EMAIL), provider=MANY) == ()
    assert emails(make_mapped(email=EMAIL), claims=make_claims(acct=1)) == ()


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
    assert emails(make_mapped(email=EMAIL).with_traits({"email": OTHER})) == (EMAIL,)


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
    assert OTHER not in trusted
    assert 7 not in trusted

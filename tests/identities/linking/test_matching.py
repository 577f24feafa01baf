"""Who has an address here: in any spelling, verified or in the user model's own field."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from django_ms_identity.identities.linking.matching import emails_in_use, users_with_any
from django_ms_identity.models import normalised
from tests.journeys.steps import statements
from tests.support.builders import make_identity

pytestmark = pytest.mark.django_db

EMAIL = "ines@contoso.example"
WIDE = "\uff49\uff4e\uff45\uff53@contoso.example"
SPELLINGS = [EMAIL, "INES@CONTOSO.EXAMPLE", "Ines@Contoso.Example", "ines@contoso\uff0eexample", WIDE]


def is_found(address):
    """Ask in both ways, which must agree."""
    found = bool(users_with_any([address]))
    assert emails_in_use([address, "nobody@contoso.example"]) == ({normalised(address)} if found else set())
    return found


@pytest.mark.parametrize("asked", SPELLINGS)
@pytest.mark.parametrize("stored", [EMAIL, EMAIL.upper(), WIDE])
def test_matching_finds_a_verified_address_in_any_spelling(stored, asked):
    make_identity(verified=(stored,))

    assert is_found(asked)


@pytest.mark.parametrize("asked", SPELLINGS)
@pytest.mark.parametrize("stored", [EMAIL, "Ines@contoso.example", "INES@Contoso.example"])
def test_matching_finds_the_user_models_own_address_in_any_case(stored, asked):
    """Django's managers lower the domain and leave the name; what was loaded in bulk has any case."""
    get_user_model().objects.bulk_create([get_user_model()(username="local", email=stored)])

    assert is_found(asked)


@pytest.mark.parametrize("asked", ["Ünal@contoso.example", "ÜNAL@CONTOSO.example"])
@pytest.mark.parametrize("stored", ["Ünal@contoso.example", "ÜNAL@CONTOSO.example"])
def test_matching_finds_addresses_beyond_ascii_alike_in_both_ways(stored, asked):
    get_user_model().objects.create(username="local", email=stored)

    assert is_found(asked) or stored != asked


def test_matching_folds_verified_addresses():
    make_identity(verified=("straße@contoso.example",))

    assert is_found("STRASSE@contoso.example")


@pytest.mark.parametrize("asked", ["ines+tag@contoso.example", "ines", "nes@contoso.example"])
def test_matching_passes_over_similar_addresses(asked):
    make_identity(verified=(EMAIL,), email=EMAIL)

    assert not is_found(asked)


def test_matching_passes_over_the_user_whose_addresses_they_are():
    identity = make_identity(verified=(EMAIL,))

    assert users_with_any([EMAIL], besides=identity.user) == ()


def test_matching_asks_nothing_for_no_address():
    with statements() as gathered:
        assert emails_in_use([]) == set()
        assert users_with_any([]) == ()

    assert gathered == []

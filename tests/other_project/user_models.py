"""What a mapping may say of users of other shapes. Run as journeys.py: no test here asks a database."""

from __future__ import annotations

import pytest

from django_ms_identity.exceptions import EmailUnverified
from django_ms_identity.identities.trusted_addresses import trusted_addresses
from django_ms_identity.identities.user_fields import fields_for_new_user, username_is_email
from tests.support.builders import make_context, make_mapped

EMAIL = "ines.okafor@contoso.example"
MODELS = {"postbox": "other_project.Postbox", "handle": "other_project.Handle"}


@pytest.fixture(params=MODELS)
def address_field(request, settings):
    """Let the users of this project have their address in a field of this name."""
    settings.AUTH_USER_MODEL = MODELS[request.param]
    return request.param


def fields(**mapped):
    context, mapping = make_context(), make_mapped(**mapped)
    return fields_for_new_user(context, mapping, trusted_addresses(context, mapping)).fields


def test_people_sign_in_by_their_address(address_field):
    assert username_is_email()


def test_a_trusted_address_is_taken_as_it_is(address_field):
    assert fields(user={address_field: EMAIL}, verified=(EMAIL,)) == {address_field: EMAIL}


def test_an_address_that_nobody_vouches_for_is_not(address_field, caplog):
    with pytest.raises(EmailUnverified):
        fields(user={address_field: EMAIL})

    assert f"user.{address_field} was dropped: the address is not trusted" in caplog.text


def test_who_has_no_address_has_a_user_name_made_of_the_account(settings):
    settings.AUTH_USER_MODEL = "other_project.Visitor"

    assert not username_is_email()
    assert set(fields(verified=(EMAIL,))) == {"badge"}

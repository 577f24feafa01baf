"""The look-up of a credential where the user model needs joins and converters.

Run by tests/test_other_project.py in a process of its own, as journeys.py.
"""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model

from django_ms_identity.identities.credential_lookup import find_credential
from django_ms_identity.models import Credential, Identity, credential_key
from tests.support.lookups import loaded_values

from .models import Delegate

pytestmark = pytest.mark.django_db(databases=["default", "people", "replica"], transaction=True)


@pytest.fixture
def delegate():
    delegate = Delegate(badge="ines", motto="straight on", details={"seat": [1, None]}, fee=Decimal("12.50"))
    delegate.save(using="people")
    identity = Identity.objects.using("people").create(user=delegate, traits={"name": "Inès"})
    Credential.objects.using("people").create(
        identity=identity, provider="microsoft", subject="s", key=credential_key("microsoft", "s")
    )
    return delegate


def test_credential_lookup_loads_a_user_of_two_tables(delegate, django_assert_num_queries):
    assert get_user_model() is Delegate

    with django_assert_num_queries(1, using="people"):
        found = find_credential("microsoft", "s", using="people")
        user = found.identity.user

    assert user == delegate
    assert (user.badge, user.motto, user.details) == ("ines", "straight on", {"seat": [1, None]})
    assert (user.fee, user.joined_at.tzinfo) == (Decimal("12.50"), UTC)
    assert user.get_deferred_fields() == set()


def test_credential_lookup_loads_what_the_orm_loads(delegate):
    by_orm = (
        Credential.objects.using("people")
        .for_subject("microsoft", "s")
        .select_related("identity__user")
        .get()
    )

    assert loaded_values(find_credential("microsoft", "s", using="people")) == loaded_values(by_orm)


def test_credential_lookup_asks_the_database_that_is_named(delegate, django_assert_num_queries):
    for using in ("people", "replica"):
        with django_assert_num_queries(1, using=using):
            found = find_credential("microsoft", "s", using=using)

        assert {row._state.db for row in (found, found.identity, found.identity.user)} == {using}

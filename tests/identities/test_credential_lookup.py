from __future__ import annotations

import datetime
import uuid

import pytest
from django.contrib.auth import get_user_model

from django_ms_identity.identities.credential_lookup import find_credential
from django_ms_identity.models import Credential, Identity
from tests.support.builders import make_identity
from tests.support.lookups import loaded_values

pytestmark = pytest.mark.django_db


@pytest.fixture
def identity():
    identity = make_identity(subject="s", username="ines", email="ines@contoso.example")
    identity.traits = {"name": "Inès", "roles": ["a", 1, None]}
    identity.self_asserted = ["name"]
    identity.state_changed_at = identity.created_at
    identity.save()
    return identity


def by_orm():
    return (
        Credential.objects.using("default")
        .for_subject("microsoft", "s")
        .select_related("identity__user")
        .get()
    )


def test_credential_lookup_loads_what_the_orm_loads(identity):
    assert loaded_values(find_credential("microsoft", "s", using="default")) == loaded_values(by_orm())


def test_credential_lookup_converts_values(identity):
    found = find_credential("microsoft", "s", using="default")

    assert isinstance(found.identity_id, uuid.UUID)
    assert found.identity_id == found.identity.pk == identity.pk
    assert found.identity.traits == {"name": "Inès", "roles": ["a", 1, None]}
    assert found.mfa_trusted is True
    assert found.created_at.tzinfo is datetime.UTC


def test_credential_lookup_asks_once(identity, django_assert_num_queries):
    with django_assert_num_queries(1):
        found = find_credential("microsoft", "s", using="default")
        user = found.identity.user
        assert user.ms_identity is found.identity

    assert (user, user.email) == (identity.user, "ines@contoso.example")
    assert not any(row.get_deferred_fields() for row in (found, found.identity, user))


def test_credential_lookup_sees_changes(identity):
    find_credential("microsoft", "s", using="default")
    Identity.objects.update(state=Identity.State.INACTIVE)
    get_user_model().objects.update(is_active=False)

    found = find_credential("microsoft", "s", using="default")

    assert not found.identity.is_active
    assert not found.identity.user.is_active


@pytest.mark.parametrize(
    ("provider", "subject"),
    [
        ("microsoft", "S"),
        ("microsoft", "s "),
        ("microsoft", ""),
        ("other", "s"),
        ("", "microsofts"),
    ],
)
def test_credential_lookup_is_exact(identity, provider, subject):
    make_identity(subject="another")

    assert find_credential(provider, subject, using="default") is None


def test_credential_lookup_results_can_be_saved(identity):
    found = find_credential("microsoft", "s", using="default")
    found.account = "ines@contoso.example"
    found.save(update_fields=["account"])
    found.identity.user.save()

    assert by_orm().account == "ines@contoso.example"
    assert get_user_model().objects.count() == 1

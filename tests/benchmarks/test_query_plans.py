"""Every statement that runs often, or while somebody waits, has an index: no plan reads a whole table."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection

from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from tests.support import plans
from tests.support.builders import make_identity

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="others choose by the number of rows"),
]


def make_credential() -> Credential:
    identity = make_identity(verified=("ann@contoso.example",), email="ann@contoso.example")
    credential = identity.credentials.get()
    Credential.objects.update(object_id="755ec5f0-55ea-47ca-89c9-7fa0d0b1f962", account="ann@home.example")
    credential.refresh_from_db()
    SignIn.objects.create(identity=identity, credential=credential, provider="microsoft")
    # So old that clear-sign-ins has something to delete.
    SignIn.objects.update(created_at="1900-01-01T00:00:00Z")
    return credential


def make_many() -> None:
    """Let the database know that there are many people, and that hardly any are inactive."""
    users = User.objects.bulk_create(User(username=f"user {number}", password="!") for number in range(500))
    identities = Identity.objects.bulk_create(Identity(user=user) for user in users)
    credentials = Credential.objects.bulk_create(
        Credential(identity=it, provider="microsoft", subject=str(it.pk), key=it.pk.hex, object_id=str(it.pk))
        for it in identities
    )
    VerifiableAddress.objects.bulk_create(
        VerifiableAddress(identity=it, via="email", value=str(it.pk), normalised=str(it.pk))
        for it in identities
    )
    SignIn.objects.bulk_create(
        SignIn(identity=it.identity, credential=it, provider="microsoft") for it in credentials
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


@pytest.fixture
def credential() -> Credential:
    return make_credential()


NAMES = (
    "who has this subject",
    "whose session it is",
    "whose verified address it is",
    "who of all has one of these addresses",
    "the list",
    "the list by state",
    "the list by provider",
    "search by subject",
    "search by object id",
    "search by Microsoft account",
    "search by user name",
    "search by verified address",
    "search by identity id",
    "a person's page",
    "the latest sign-in",
    "when accounts were used last",
    plans.CLEAR,
)


@pytest.mark.parametrize("analyzed", [False, True], ids=["", "analyzed"])
@pytest.mark.parametrize("name", NAMES)
def test_no_plan_reads_a_whole_table(credential: Credential, name: str, analyzed: bool) -> None:
    if analyzed:
        make_many()
    act = plans.hot(credential, plans.administrator())[name]

    with plans.recorded() as statements:
        act()

    assert statements
    assert [(scan, it.sql) for it in statements for scan in plans.scans(it)] == []


def test_every_hot_statement_is_looked_at(credential: Credential) -> None:
    assert tuple(plans.hot(credential, plans.administrator())) == NAMES


def test_a_plan_that_reads_a_whole_table_is_noticed(credential: Credential) -> None:
    with plans.recorded() as statements:
        list(Identity.objects.filter(traits={}))
        list(Credential.objects.filter(tenant="x")[:1])
        list(Identity.objects.order_by("updated_at")[:1])

    assert [bool(plans.scans(statement)) for statement in statements] == [True, True, True]
    assert SignIn.objects.exists()

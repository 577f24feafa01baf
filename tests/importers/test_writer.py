"""The import of Kratos identities: the rows it writes, and the identities it skips."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection
from django.db.models.signals import post_save

from django_ms_identity.importers.kratos import read
from django_ms_identity.importers.record import ImportOptions, Outcome, Skip
from django_ms_identity.importers.writer import Import
from django_ms_identity.models import Credential, Identity, VerifiableAddress, credential_key
from tests.journeys.steps import NOTHING, rows, statements, unquoted
from tests.support.builders import TENANT, make_identity, make_provider

pytestmark = pytest.mark.django_db

ANN = "9f425a8d-7efc-4768-8f23-7647a74fdf13"
BEN = "2f1c1d33-5e7e-4f0c-9d3a-51a1f3a0c0aa"
OID = "00000000-0000-4000-8000-000000000001"
OTHER = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
EMAIL = "ann@contoso.example"
IDENTIFIER = "microsoft:subject-of-ann"
BY_OID = make_provider(subject_source="oid")


def verified(*values, via="email", **facts):
    return [{"value": value, "via": via, "verified": True, **facts} for value in values]


def exported(*identifiers, providers=(), **changes):
    """Make an entry of an export as Kratos writes it."""
    return {
        "id": ANN,
        "schema_id": "default",
        "state": "active",
        "traits": {"email": EMAIL},
        "verifiable_addresses": verified(EMAIL),
        "credentials": {
            "oidc": {
                "type": "oidc",
                "identifiers": list(identifiers or (IDENTIFIER,)),
                "config": {"providers": list(providers)},
            },
            "password": {"type": "password", "config": {"hashed_password": "planted-hash"}},
        },
        **changes,
    }


def run(*entries, **changes):
    options = {"providers": {"microsoft": make_provider()}, "tenant": "", "schema": None} | changes
    return Import(ImportOptions(**options)).run(read(json.dumps(entries)))


def take(*entries, **changes):
    return list(run(*entries, **changes))


def take_one(entry, **changes):
    [result] = take(entry, **changes)
    return result


# What is written


def test_import_writes_user_identity_credential_and_addresses():
    result = take_one(
        exported(
            state="inactive",
            state_changed_at="2024-05-06T07:08:09Z",
            created_at="2023-01-02T03:04:05Z",
            traits={"email": EMAIL, "name": {"first": "Ann", "last": "Ames"}, "deep": [1, None, "ü"]},
            metadata_public={"a": 1},
            metadata_admin={"b": 2},
            verifiable_addresses=verified(EMAIL, verified_at="2023-02-03T04:05:06Z"),
        )
    )

    assert (result.outcome, result.name) == (Outcome.IMPORTED, f"identity {ANN}")
    identity = Identity.objects.get()
    assert identity.id == UUID(ANN)
    assert (identity.state, identity.is_active) == ("inactive", False)
    assert identity.state_changed_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert identity.created_at == datetime(2023, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert identity.traits == {
        "email": EMAIL,
        "name": {"first": "Ann", "last": "Ames"},
        "deep": [1, None, "ü"],
    }
    assert (identity.metadata_public, identity.metadata_admin) == ({"a": 1}, {"b": 2})
    user = identity.user
    assert (user.username, user.email, user.first_name, user.last_name) == (EMAIL, EMAIL, "Ann", "Ames")
    assert not user.has_usable_password()
    assert user.is_active
    credential = identity.credentials.get()
    assert (credential.provider, credential.subject, credential.subject_source) == (
        "microsoft",
        "subject-of-ann",
        "userinfo",
    )
    assert (credential.tenant, credential.object_id) == ("", "")
    assert credential.key == credential_key("microsoft", "subject-of-ann")
    address = identity.verifiable_addresses.get()
    assert (address.via, address.value, address.normalised) == ("email", EMAIL, EMAIL)
    assert address.verified_at == datetime(2023, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_import_grants_no_privilege():
    traits = {
        "username": "ann",
        "is_staff": True,
        "is_superuser": True,
        "groups": ["admins"],
        "password": "x",
    }

    take_one(exported(traits=traits))

    user = get_user_model().objects.get()
    assert (user.is_staff, user.is_superuser, user.has_usable_password()) == (False, False, False)
    assert not user.groups.exists()


def test_import_records_object_id_where_it_is_the_subject():
    take_one(exported(f"microsoft:{OID}"), providers={"microsoft": BY_OID}, tenant=TENANT)

    credential = Credential.objects.get()
    assert (credential.subject_source, credential.object_id, credential.tenant) == ("oid", OID, TENANT)


def test_import_writes_several_credentials_of_one_identity():
    providers = {"a": make_provider(id="a"), "b": make_provider(id="b")}

    take_one(exported("a:s", "b:s"), providers=providers)

    assert sorted(Credential.objects.values_list("provider", flat=True)) == ["a", "b"]
    assert Identity.objects.count() == 1


@pytest.mark.parametrize(
    ("traits", "username"),
    [
        pytest.param({"username": "ann"}, "ann", id="user name"),
        pytest.param({"username": EMAIL}, EMAIL, id="verified address as user name"),
        pytest.param({"email": EMAIL.upper()}, EMAIL.upper(), id="verified address"),
        pytest.param({"username": "ceo@contoso.example", "email": EMAIL}, EMAIL, id="borrowed user name"),
        pytest.param({"preferred_username": EMAIL}, EMAIL, id="preferred user name"),
        pytest.param({"preferred_username": "ceo"}, None, id="no address"),
        pytest.param({"username": "ceo@contoso.example"}, None, id="nothing but a borrowed name"),
        pytest.param({"email": "ceo@contoso.example"}, None, id="nothing but an unverified address"),
        pytest.param({"username": 5, "name": "Ann", "first_name": []}, None, id="other types"),
        pytest.param({"username": "a b\u202e?"}, None, id="no user name"),
    ],
)
def test_imported_user_name_is_a_plain_name_a_verified_address_or_derived(traits, username):
    take_one(exported(traits=traits))

    derived = f"microsoft-{credential_key('microsoft', 'subject-of-ann')[:12]}"
    user = get_user_model().objects.get()
    assert user.username == (username or derived)
    assert user.email == EMAIL


def test_import_ignores_unverified_address():
    addresses = [{"value": EMAIL, "via": "email", "verified": False, "status": "sent"}]

    take_one(exported(verifiable_addresses=addresses))

    assert get_user_model().objects.get().email == ""
    assert not VerifiableAddress.objects.exists()


def test_imported_user_gets_the_verified_address_in_the_traits():
    take_one(exported(verifiable_addresses=verified("old@contoso.example", EMAIL)))

    assert get_user_model().objects.get().email == EMAIL
    assert VerifiableAddress.objects.exclude(verified_at=None).count() == 2


def test_import_adds_suffix_to_taken_user_name():
    get_user_model().objects.create_user("ann")

    result = take_one(exported(traits={"username": "ann"}))

    assert result.outcome is Outcome.IMPORTED
    assert Identity.objects.get().user.username.startswith("ann-")


def test_imported_times_are_naive_without_time_zones(settings):
    settings.USE_TZ = False

    result = take_one(exported(created_at="2023-01-02T03:04:05Z"))

    assert result.outcome is Outcome.IMPORTED
    assert Identity.objects.get().created_at.tzinfo is None


# Who is not imported


def test_repeated_import_leaves_identity_as_it_is():
    take_one(exported())
    Identity.objects.update(traits={"changed": "here"})

    with statements() as gathered:
        result = take_one(exported())

    assert result.outcome is Outcome.ALREADY_HERE
    assert Identity.objects.get().traits == {"changed": "here"}
    assert all(sql.startswith("SELECT") for sql in gathered)


def test_import_recognises_credential_of_earlier_sign_in():
    known = make_identity(subject="subject-of-ann", verified=(EMAIL,))

    assert take_one(exported()).outcome is Outcome.ALREADY_HERE
    assert Identity.objects.get() == known


def test_import_adds_no_credential_to_existing_identity():
    Identity.objects.create(id=ANN, user=get_user_model().objects.create(username="ann"))

    assert take_one(exported()).outcome is Outcome.ALREADY_HERE
    assert not Credential.objects.exists()


@pytest.mark.parametrize("here", [True, False])
def test_import_skips_credential_of_another_identity(here):
    make_identity(subject="taken")
    if here:
        Identity.objects.create(id=ANN, user=get_user_model().objects.create(username="ann"))
    before = rows()

    result = take_one(exported("microsoft:taken", "microsoft:free"))

    assert (result.outcome, result.reason) == (Outcome.SKIPPED, Skip.CREDENTIAL_TAKEN)
    assert rows() == before


def test_import_does_not_merge_two_existing_identities():
    make_identity(subject="one")
    make_identity(subject="two")

    assert take_one(exported("microsoft:one", "microsoft:two")).reason == Skip.CREDENTIAL_TAKEN


@pytest.mark.parametrize("email", [EMAIL, "ANN@contoso.example"])
def test_import_never_attaches_existing_user(email):
    user = get_user_model().objects.create_user("somebody", email)
    before = rows()

    result = take_one(exported())

    assert (result.outcome, result.reason) == (Outcome.SKIPPED, Skip.ACCOUNT_EXISTS)
    assert rows() == before
    assert not Identity.objects.filter(user=user).exists()


def test_import_skips_verified_address_of_another_identity():
    make_identity(subject="other", verified=(EMAIL,))

    assert take_one(exported()).reason == Skip.ACCOUNT_EXISTS


@pytest.mark.kratos(63)
@pytest.mark.parametrize(
    ("identifier", "entry", "changes", "reason"),
    [
        pytest.param("google:s", {}, {}, "provider 'google' is not configured here", id="other provider"),
        pytest.param("a b\n:s", {}, {}, "provider '…' is not configured here", id="odd provider"),
        pytest.param("microsoft:s", {"use_auto_link": True}, {}, "use_auto_link", id="use_auto_link"),
        pytest.param(f"microsoft:{'s' * 256}", {}, {}, "none that Microsoft gives", id="long subject"),
        pytest.param("microsoft:ü", {}, {}, "none that Microsoft gives", id="subject not in ASCII"),
        pytest.param("microsoft:s", {}, {"providers": {"microsoft": BY_OID}}, "no object id", id="no oid"),
        pytest.param("microsoft:s", {}, {"tenant": OTHER}, "another tenant", id="other tenant"),
    ],
)
def test_import_skips_identity_without_usable_credential(identifier, entry, changes, reason):
    provider, _, subject = identifier.partition(":")
    providers = [{"provider": provider, "subject": subject, **entry}]

    result = take_one(exported(identifier, providers=providers), **changes)

    assert (result.outcome, result.reason) == (Outcome.SKIPPED, Skip.NO_CREDENTIAL)
    [left_out] = result.left_out
    assert reason in left_out
    assert subject not in left_out or subject == "s"
    assert rows() == NOTHING


def test_import_leaves_out_one_of_several_credentials():
    result = take_one(exported(IDENTIFIER, "google:s"))

    assert result.outcome is Outcome.IMPORTED
    assert result.left_out == ("provider 'google' is not configured here",)
    assert Credential.objects.get().provider == "microsoft"


def test_import_recognises_registration_during_the_run():
    """The look-up for the whole batch is over by then; the database knows better."""
    ben = exported("microsoft:ben", id=BEN, verifiable_addresses=[])
    results = run(exported(), ben)
    next(results)
    make_identity(subject="ben")
    before = rows()

    result = next(results)

    assert result.outcome is Outcome.ALREADY_HERE
    assert rows() == before


@pytest.mark.parametrize("dry_run", [False, True])
def test_import_finds_address_collision_across_batches(dry_run):
    crowd = [
        exported(f"microsoft:{place}", id=str(UUID(int=place)), verifiable_addresses=[])
        for place in range(1, 51)
    ]

    results = take(exported(), *crowd, exported("microsoft:other", id=BEN), dry_run=dry_run)

    assert results[-1].reason == Skip.ACCOUNT_EXISTS


def test_import_costs_one_statement_per_row():
    """User, identity, credential, address: who is here is asked for all of them together."""

    def costs(*places):
        entries = [
            exported(
                f"microsoft:{place}",
                id=str(UUID(int=place)),
                verifiable_addresses=verified(f"{place}@contoso.example"),
            )
            for place in places
        ]
        with statements() as gathered:
            assert {result.outcome for result in take(*entries)} == {Outcome.IMPORTED}
        return len(gathered)

    assert costs(1, 2, 3) - costs(4, 5) == 4


# Failures


def test_import_of_too_long_address_fails_alone():
    [broken, fine] = take(exported(id=BEN, verifiable_addresses=verified("x" * 321)), exported())

    assert broken.outcome is Outcome.FAILED
    assert "too long" in broken.reason
    assert fine.outcome is Outcome.IMPORTED


@pytest.fixture
def _receiver_that_raises():
    def raise_for_ben(instance, **_):
        if instance.first_name == "Ben":
            raise ValueError("planted-person")

    post_save.connect(raise_for_ben, sender=get_user_model())
    yield
    post_save.disconnect(raise_for_ben, sender=get_user_model())


@pytest.mark.usefixtures("_receiver_that_raises")
def test_import_survives_receiver_that_raises():
    ben = exported("microsoft:ben", id=BEN, traits={"first_name": "Ben"}, verifiable_addresses=[])

    [broken, fine] = take(ben, exported())

    assert (broken.outcome, broken.reason) == (Outcome.FAILED, "ValueError while it was written")
    assert fine.outcome is Outcome.IMPORTED
    assert Identity.objects.get().id == UUID(ANN)
    assert get_user_model().objects.count() == 1


def test_import_refused_by_the_database_leaves_no_rows():
    """A user whose key another table refuses: the transaction takes the user back."""

    def refuse(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO ms_identity_credential"):
            raise IntegrityError("planted-detail")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        result = take_one(exported())

    assert result.outcome is Outcome.FAILED
    assert "planted-detail" not in result.reason
    assert rows() == NOTHING


# Dry run


def test_import_dry_run_writes_nothing_and_reports_the_same():
    entries = [
        exported(),
        exported(id=BEN),
        exported("microsoft:ben", id=BEN),
        exported("microsoft:cleo", id=OTHER, verifiable_addresses=[]),
        exported(),
        exported("google:s", id=OID, verifiable_addresses=[]),
    ]

    with statements() as gathered:
        tried = take(*entries, dry_run=True)

    assert all(sql.startswith("SELECT") for sql in gathered)
    assert rows() == NOTHING
    assert tried == take(*entries)
    assert [result.outcome for result in tried] == [
        Outcome.IMPORTED,
        Outcome.ALREADY_HERE,
        Outcome.SKIPPED,
        Outcome.IMPORTED,
        Outcome.ALREADY_HERE,
        Outcome.SKIPPED,
    ]

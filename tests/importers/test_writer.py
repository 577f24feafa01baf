"""Identities of Ory Kratos become rows: what is taken over, what is left out, and nobody is attached."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection
from django.db.models.signals import post_save

from django_ms_identity.importers.kratos_export import read
from django_ms_identity.importers.record import Outcome, Plan, Skip
from django_ms_identity.importers.writer import Import
from django_ms_identity.models import Credential, Identity, VerifiableAddress, credential_key
from django_ms_identity.traits.schema import parse_schema
from tests.journeys.steps import NOTHING, rows, statements, unquoted
from tests.support.builders import TENANT, make_identity, make_provider

pytestmark = pytest.mark.django_db

ANN = "9f425a8d-7efc-4768-8f23-7647a74fdf13"
BEN = "2f1c1d33-5e7e-4f0c-9d3a-51a1f3a0c0aa"
OID = "00000000-0000-4000-8000-000000000001"
OTHER = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
EMAIL = "ann@contoso.example"
IDENTIFIER = "microsoft:subject-of-ann"


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


def plan(**changes):
    providers = changes.pop("providers", None) or {"microsoft": make_provider()}
    return Plan(providers=providers, **{"tenant": "", "schema": None, **changes})


def take(*entries, **changes):
    return list(Import(plan(**changes)).take(read(json.dumps(entries))))


def take_one(entry, **changes):
    [verdict] = take(entry, **changes)
    return verdict


# What is written


def test_an_identity_becomes_user_identity_credential_and_addresses():
    verdict = take_one(
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

    assert (verdict.outcome, verdict.name) == (Outcome.IMPORTED, f"identity {ANN}")
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


def test_a_verified_address_without_a_time_is_verified_all_the_same():
    take_one(exported())

    assert VerifiableAddress.objects.get().verified_at is not None


def test_no_privilege_comes_along():
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


def test_object_ids_are_known_where_they_are_the_subjects():
    provider = make_provider(subject_source="oid")

    take_one(exported(f"microsoft:{OID}"), providers={"microsoft": provider}, tenant=TENANT)

    credential = Credential.objects.get()
    assert (credential.subject_source, credential.object_id, credential.tenant) == ("oid", OID, TENANT)


def test_a_provider_may_have_another_name_here():
    take_one(exported("azure:s"), providers={"azure": make_provider(id="ours")})

    credential = Credential.objects.get()
    assert (credential.provider, credential.key) == ("ours", credential_key("ours", "s"))


def test_one_person_may_have_several_credentials():
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
def test_a_user_name_is_a_plain_name_a_verified_address_or_derived(traits, username):
    take_one(exported(traits=traits))

    derived = f"microsoft-{credential_key('microsoft', 'subject-of-ann')[:12]}"
    user = get_user_model().objects.get()
    assert user.username == (username or derived)
    assert user.email == EMAIL


def test_an_address_that_nobody_verified_reaches_no_user_and_no_row():
    addresses = [{"value": EMAIL, "via": "email", "verified": False, "status": "sent"}]

    take_one(exported(verifiable_addresses=addresses))

    assert get_user_model().objects.get().email == ""
    assert not VerifiableAddress.objects.exists()


def test_the_user_gets_the_verified_address_that_the_person_goes_by():
    take_one(exported(verifiable_addresses=verified("old@contoso.example", EMAIL)))

    assert get_user_model().objects.get().email == EMAIL
    assert VerifiableAddress.objects.count() == 2


def test_a_taken_user_name_gets_a_suffix():
    get_user_model().objects.create_user("ann")

    verdict = take_one(exported(traits={"username": "ann"}))

    assert verdict.outcome is Outcome.IMPORTED
    assert Identity.objects.get().user.username.startswith("ann-")


def test_times_are_naive_where_the_project_has_no_zones(settings):
    settings.USE_TZ = False

    verdict = take_one(exported(created_at="2023-01-02T03:04:05Z"))

    assert verdict.outcome is Outcome.IMPORTED
    assert Identity.objects.get().created_at.tzinfo is None


# Who is not imported


def test_what_is_here_already_is_left_as_it_is():
    take_one(exported())
    Identity.objects.update(traits={"changed": "here"})

    with statements() as gathered:
        verdict = take_one(exported())

    assert verdict.outcome is Outcome.ALREADY_HERE
    assert Identity.objects.get().traits == {"changed": "here"}
    assert all(sql.startswith("SELECT") for sql in gathered)


def test_who_signed_in_here_before_the_import_is_already_here():
    known = make_identity(subject="subject-of-ann", verified=(EMAIL,))

    assert take_one(exported()).outcome is Outcome.ALREADY_HERE
    assert Identity.objects.get() == known


def test_an_identity_that_is_here_without_its_credentials_stays_so():
    Identity.objects.create(id=ANN, user=get_user_model().objects.create(username="ann"))

    assert take_one(exported()).outcome is Outcome.ALREADY_HERE
    assert not Credential.objects.exists()


@pytest.mark.parametrize("here", [True, False])
def test_a_credential_of_somebody_else_is_reported(here):
    make_identity(subject="taken")
    if here:
        Identity.objects.create(id=ANN, user=get_user_model().objects.create(username="ann"))
    before = rows()

    verdict = take_one(exported("microsoft:taken", "microsoft:free"))

    assert (verdict.outcome, verdict.reason) == (Outcome.SKIPPED, Skip.CREDENTIAL_TAKEN)
    assert rows() == before


def test_two_people_here_are_not_made_one():
    make_identity(subject="one")
    make_identity(subject="two")

    assert take_one(exported("microsoft:one", "microsoft:two")).reason == Skip.CREDENTIAL_TAKEN


@pytest.mark.parametrize("email", [EMAIL, "ANN@contoso.example"])
def test_an_existing_user_is_never_attached(email):
    user = get_user_model().objects.create_user("somebody", email)
    before = rows()

    verdict = take_one(exported())

    assert (verdict.outcome, verdict.reason) == (Outcome.SKIPPED, Skip.ACCOUNT_EXISTS)
    assert rows() == before
    assert not Identity.objects.filter(user=user).exists()


def test_a_verified_address_of_another_identity_is_a_collision():
    make_identity(subject="other", verified=(EMAIL,))

    assert take_one(exported()).reason == Skip.ACCOUNT_EXISTS


@pytest.mark.kratos(63)
@pytest.mark.parametrize(
    ("identifier", "entry", "reason"),
    [
        pytest.param("google:s", {}, "provider 'google' is not configured here", id="other provider"),
        pytest.param("a b\n:s", {}, "provider '…' is not configured here", id="odd provider"),
        pytest.param("microsoft:s", {"use_auto_link": True}, "use_auto_link", id="use_auto_link"),
        pytest.param(f"microsoft:{'s' * 256}", {}, "none that Microsoft gives", id="long subject"),
        pytest.param("microsoft:ü", {}, "none that Microsoft gives", id="subject not in ASCII"),
    ],
)
def test_who_has_no_credential_left_stays_out(identifier, entry, reason):
    provider, _, subject = identifier.partition(":")

    providers = [{"provider": provider, "subject": subject, **entry}]

    verdict = take_one(exported(identifier, providers=providers))

    assert (verdict.outcome, verdict.reason) == (Outcome.SKIPPED, Skip.NO_CREDENTIAL)
    [left_out] = verdict.left_out
    assert reason in left_out
    assert subject not in left_out or subject == "s"
    assert rows() == NOTHING


def test_a_subject_that_is_no_object_id_is_left_out_where_subjects_are_object_ids():
    provider = make_provider(subject_source="oid")

    verdict = take_one(exported(), providers={"microsoft": provider})

    assert verdict.reason == Skip.NO_CREDENTIAL
    assert "no object id" in verdict.left_out[0]


def test_nobody_gets_a_tenant_that_the_provider_would_refuse():
    verdict = take_one(exported(), tenant=OTHER)

    assert verdict.reason == Skip.NO_CREDENTIAL
    assert "another tenant" in verdict.left_out[0]


def test_one_credential_that_is_left_out_keeps_nobody_out():
    verdict = take_one(exported(IDENTIFIER, "google:s"))

    assert verdict.outcome is Outcome.IMPORTED
    assert verdict.left_out == ("provider 'google' is not configured here",)
    assert Credential.objects.get().provider == "microsoft"


def test_a_subject_that_looks_like_an_object_id_is_noticed():
    assert take_one(exported(f"microsoft:{OID}")).has_foreign_subject
    assert not take_one(exported(id=BEN, verifiable_addresses=[])).has_foreign_subject


def test_who_registers_during_the_run_is_already_here():
    """The look-up for the whole batch is over by then; the database knows better."""
    ben = exported("microsoft:ben", id=BEN, verifiable_addresses=[])
    verdicts = Import(plan()).take(read(json.dumps([exported(), ben])))
    next(verdicts)
    make_identity(subject="ben")
    before = rows()

    verdict = next(verdicts)

    assert verdict.outcome is Outcome.ALREADY_HERE
    assert rows() == before


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_address_is_found_whatever_the_batch(dry_run):
    crowd = [
        exported(f"microsoft:{place}", id=str(UUID(int=place)), verifiable_addresses=[])
        for place in range(1, 51)
    ]

    verdicts = take(exported(), *crowd, exported("microsoft:other", id=BEN), dry_run=dry_run)

    assert verdicts[-1].reason == Skip.ACCOUNT_EXISTS


def test_one_more_identity_costs_a_statement_per_row():
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
            assert {verdict.outcome for verdict in take(*entries)} == {Outcome.IMPORTED}
        return len(gathered)

    assert costs(1, 2, 3) - costs(4, 5) == 4


# Traits and schema


def test_traits_that_the_schema_refuses_are_imported_and_noticed():
    schema = parse_schema(json.dumps({"properties": {"traits": {"type": "object", "required": ["phone"]}}}))

    verdict = take_one(exported(), schema=schema)

    assert (verdict.outcome, verdict.has_invalid_traits) == (Outcome.IMPORTED, True)
    assert Identity.objects.get().traits == {"email": EMAIL}


# Failures


def test_a_misshapen_entry_fails_alone():
    [broken, fine] = take({"id": BEN, "traits": 5}, exported())

    assert (broken.outcome, broken.name) == (Outcome.FAILED, f"identity {BEN}")
    assert broken.reason == "traits is an integer; expected is an object"
    assert fine.outcome is Outcome.IMPORTED


def test_an_address_that_does_not_fit_fails_alone():
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
def test_whatever_a_receiver_raises_fails_alone_and_is_not_repeated():
    ben = exported("microsoft:ben", id=BEN, traits={"first_name": "Ben"}, verifiable_addresses=[])

    [broken, fine] = take(ben, exported())

    assert (broken.outcome, broken.reason) == (Outcome.FAILED, "ValueError while it was written")
    assert fine.outcome is Outcome.IMPORTED
    assert Identity.objects.get().id == UUID(ANN)
    assert get_user_model().objects.count() == 1


def test_what_the_database_refuses_leaves_nothing_behind():
    """A user whose key another table refuses: the transaction takes the user back."""

    def refuse(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO ms_identity_credential"):
            raise IntegrityError("planted-detail")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        verdict = take_one(exported())

    assert verdict.outcome is Outcome.FAILED
    assert "planted-detail" not in verdict.reason
    assert rows() == NOTHING


# Dry run


def test_a_dry_run_writes_nothing_and_says_the_same():
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
    assert [verdict.outcome for verdict in tried] == [
        Outcome.IMPORTED,
        Outcome.ALREADY_HERE,
        Outcome.SKIPPED,
        Outcome.IMPORTED,
        Outcome.ALREADY_HERE,
        Outcome.SKIPPED,
    ]

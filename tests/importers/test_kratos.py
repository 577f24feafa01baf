"""The reader of Kratos exports: every shape of a file, every part of an identity, every fault."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.importers.kratos import (
    ExportedCredential,
    ExportedIdentity,
    ExportUnreadable,
    InvalidEntry,
    count,
    read,
)
from django_ms_identity.traits.mapping_result import Address

ANN = "9f425a8d-7efc-4768-8f23-7647a74fdf13"
BEN = "2f1c1d33-5e7e-4f0c-9d3a-51a1f3a0c0aa"


def identity(**changes):
    return {"id": ANN, "traits": {"email": "ann@contoso.example"}, **changes}


def oidc(*providers, identifiers=()):
    return {"credentials": {"oidc": {"identifiers": list(identifiers), "config": {"providers": providers}}}}


def one(**changes):
    [entry] = read(json.dumps(identity(**changes)))
    return entry


# The file


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(json.dumps([identity(), identity(id=BEN)]), id="array"),
        pytest.param(json.dumps({"identities": [identity(), identity(id=BEN)]}, indent=2), id="page"),
        pytest.param(f"{json.dumps(identity())}\n{json.dumps(identity(id=BEN))}\n", id="lines"),
        pytest.param(f"{json.dumps([identity()])}\n{json.dumps([identity(id=BEN)])}", id="two arrays"),
        pytest.param(f" [ {json.dumps(identity())}\n ,\n{json.dumps(identity(id=BEN))} ] \n", id="spaces"),
    ],
)
def test_export_is_read_in_every_shape(text):
    assert [str(entry.id) for entry in read(text)] == [ANN, BEN]
    assert count(text) == 2


@pytest.mark.parametrize("text", ["[]", '{"identities": []}', "[ ]"])
def test_export_may_be_empty(text):
    assert count(text) == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "it is empty", id="empty"),
        pytest.param(" \n", "it is empty", id="blank"),
        pytest.param("kratos: not found", "line 1, column 1", id="no JSON"),
        pytest.param(f"[{json.dumps(identity())},\n  {{", "line 2, column 4", id="cut off in an identity"),
        pytest.param(f"[{json.dumps(identity())}\n", "not JSON at line 2", id="cut off after an identity"),
        pytest.param(f"[{json.dumps(identity())} 1]", "not JSON at line 1", id="no comma"),
        pytest.param("[1,]", "not JSON at line 1, column 4", id="comma at the end"),
        pytest.param("[" * 100_000, "not JSON|nested too deeply", id="deep"),
        pytest.param('{"a":' * 100_000, "nested too deeply", id="deep objects"),
        pytest.param(f"[{'9' * 5000}]", "a number that is too long", id="long number"),
    ],
)
def test_unreadable_export_is_refused_with_its_place(text, reason):
    with pytest.raises(ExportUnreadable, match=reason):
        count(text)


@given(st.text())
def test_export_of_any_text_is_counted_or_refused(text):
    try:
        counted = count(text)
    except ExportUnreadable:
        return
    assert counted == len(list(read(text)))


# One identity


def test_exported_identity_is_read_with_all_its_parts():
    entry = one(
        state="inactive",
        state_changed_at="2024-05-06T07:08:09.123456789Z",
        created_at="2023-01-02T03:04:05+02:00",
        metadata_public={"a": 1},
        metadata_admin={"b": None},
        verifiable_addresses=[
            {
                "value": " Ann@Contoso.example",
                "via": "email",
                "verified": True,
                "verified_at": "2023-01-02T03:04:05Z",
            },
            {"value": "+44 7700 900417", "via": "sms", "status": "completed"},
            {"value": "new@contoso.example", "via": "email", "verified": False, "status": "sent"},
        ],
        **oidc({"provider": "microsoft", "subject": "s"}),
    )

    assert isinstance(entry, ExportedIdentity)
    assert (entry.id, entry.is_active) == (UUID(ANN), False)
    assert entry.state_changed_at == datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    assert entry.created_at == datetime(2023, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert (entry.metadata_public, entry.metadata_admin) == ({"a": 1}, {"b": None})
    assert list(entry.verified_addresses.items()) == [
        (Address(via="email", value="ann@contoso.example"), datetime(2023, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (Address(via="sms", value="+44 7700 900417"), None),
    ]
    assert entry.credentials == (ExportedCredential(provider="microsoft", subject="s"),)


def test_exported_identity_has_defaults_for_what_is_absent_or_null():
    entry = one(state=[], created_at="0001-01-01T00:00:00Z", metadata_public=None, credentials=None)

    assert entry.is_active
    assert (entry.created_at, entry.state_changed_at) == (None, None)
    assert (entry.metadata_public, entry.metadata_admin, entry.credentials) == ({}, {}, ())


def test_exported_credentials_are_split_at_the_first_colon_and_not_repeated():
    entry = one(
        **oidc({"provider": "m", "subject": "s", "use_auto_link": True}, identifiers=["m:s", "m:a:b"])
    )

    assert entry.credentials == (
        ExportedCredential(provider="m", subject="s", auto_link=True),
        ExportedCredential(provider="m", subject="a:b"),
    )


def test_export_repr_shows_neither_personal_data_nor_tokens():
    entry = one(
        traits={"name": "Planted"},
        metadata_admin={"note": "Planted"},
        verifiable_addresses=[{"value": "planted@contoso.example", "via": "email", "verified": True}],
        **oidc({"provider": "m", "subject": "s", "initial_access_token": "planted-token"}),
    )

    assert "lanted" not in repr(entry)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        pytest.param({"id": "ann"}, "id is no UUID", id="id"),
        pytest.param({"id": None}, "id is no UUID", id="no id"),
        pytest.param({"id": f"{{{ANN}}}"}, "id is no UUID", id="braces"),
        pytest.param({"id": ANN.replace("-", "")}, "id is no UUID", id="no hyphens"),
        pytest.param({"state": "gone"}, "state is neither", id="state"),
        pytest.param({"created_at": "yesterday"}, "created_at is no time", id="time"),
        pytest.param({"created_at": "2023-01-02T03:04:05"}, "created_at is no time", id="no zone"),
        pytest.param({"created_at": "9999-12-31T23:59:59-01:00"}, "created_at is no time", id="too late"),
        pytest.param({"state_changed_at": 5}, "state_changed_at is no time", id="number"),
        pytest.param({"traits": None}, "traits is null; expected is an object", id="no traits"),
        pytest.param({"traits": []}, "traits is an array; expected is an object", id="array of traits"),
        pytest.param({"traits": {"a": "\0"}}, "traits holds a NUL character", id="NUL"),
        pytest.param(
            {"traits": {"a": float("inf")}}, "traits holds a number that is not finite", id="infinite"
        ),
        pytest.param({"metadata_public": "x"}, "metadata_public is a string", id="metadata"),
        pytest.param({"verifiable_addresses": {}}, "verifiable_addresses is an object", id="addresses"),
        pytest.param({"verifiable_addresses": [1]}, "verifiable_addresses[0] is an integer", id="address"),
        pytest.param(
            {"verifiable_addresses": [{"via": "email", "verified": True}]},
            "verifiable_addresses[0].value is no text or empty",
            id="no value",
        ),
        pytest.param({"credentials": []}, "credentials is an array", id="credentials"),
        pytest.param({"credentials": {"oidc": 1}}, "oidc is an integer", id="oidc"),
        pytest.param(oidc(5), "credentials.oidc.config.providers[0] is an integer", id="provider"),
        pytest.param(oidc({"provider": "m"}), "providers[0].subject is no text or empty", id="no subject"),
        pytest.param(oidc({"provider": "m", "subject": "\0"}), "subject is no text", id="NUL in subject"),
        pytest.param(oidc(identifiers=["microsoft"]), "identifiers[0] is not", id="no colon"),
        pytest.param(oidc(identifiers=[None]), "identifiers[0] is not", id="no text"),
        pytest.param(oidc(identifiers=[{"m": "s"}]), "identifiers[0] is not", id="object with a colon"),
    ],
)
def test_exported_identity_fault_is_named(changes, fault):
    [named] = one(**changes).faults

    assert fault in named


def test_exported_identity_faults_are_all_named_under_its_id():
    entry = one(state="gone", traits=[], metadata_admin=1)

    assert entry.name == f"identity {ANN}"
    assert len(entry.faults) == 3


def test_export_entry_without_id_is_named_by_its_place():
    entries = list(read(json.dumps([identity(), 5, {"id": "x", "traits": {}}])))

    assert [entry.name for entry in entries[1:]] == ["entry 2", "entry 3"]
    assert entries[1].faults == ("it is an integer; expected is an object",)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = ("id", "state", "created_at", "traits", "metadata_admin", "verifiable_addresses", "credentials")


@given(st.dictionaries(st.sampled_from(KEYS), json_values))
def test_export_entry_is_an_identity_or_its_faults(changes):
    assert isinstance(one(**changes), ExportedIdentity | InvalidEntry)

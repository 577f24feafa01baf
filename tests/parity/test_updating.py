"""``update_identity_on_login``: what a sign-in changes of somebody who is known."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from django_ms_identity import signals
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from tests.journeys.steps import code_of, statements, unquoted
from tests.support.builders import make_mapper, make_schema, make_settings
from tests.support.web import Browser

from .steps import FAILS, WORK, row, who

pytestmark = pytest.mark.django_db

AUTOMATIC = {"update_identity_on_login": "automatic"}


def mapped(verified=(), **identity):
    """Make a mapper that emits exactly this."""
    addresses = [{"via": "email", "value": value} for value in verified]
    return make_mapper(json.dumps({"identity": {"traits": {}, "verified_addresses": addresses, **identity}}))


@pytest.fixture
def come_back(ms_identity_emulator, settings, client):
    """Register with one mapper and sign in with another; return the answer of the second sign-in."""

    def run(first, second, *, mode=AUTOMATIC, between=lambda: None, **changes):
        settings.MS_IDENTITY = make_settings({"mapper_url": first})
        ms_identity_emulator.sign_in(Browser())
        between()
        settings.MS_IDENTITY = make_settings(mode | {"mapper_url": second}, **changes)
        return ms_identity_emulator.sign_in(client)

    return run


def stored():
    identity = Identity.objects.get()
    return identity.traits, identity.metadata_public, identity.metadata_admin


@row(64)
@pytest.mark.parametrize(
    ("mode", "emitted", "expected"),
    [
        pytest.param(
            AUTOMATIC,
            {"traits": {"a": 2}, "metadata_public": {"p": 2}, "metadata_admin": {"m": 2}},
            ({"a": 2}, {"p": 2}, {"m": 2}),
            id="everything",
        ),
        pytest.param(
            AUTOMATIC,
            {"traits": {"a": 1}, "metadata_public": {"p": 1}, "metadata_admin": {"m": 1}},
            ({"a": 1}, {"p": 1}, {"m": 1}),
            id="nothing new",
        ),
        pytest.param(
            {"update_identity_on_login": "never"},
            {"traits": {"a": 2}, "metadata_public": {"p": 2}},
            ({"a": 1}, {"p": 1}, {"m": 1}),
            id="never",
        ),
        pytest.param({}, {"traits": {"a": 2}}, ({"a": 1}, {"p": 1}, {"m": 1}), id="by default never"),
        pytest.param(
            AUTOMATIC,
            {"metadata_public": {"p": 2}},
            ({"a": 1}, {"p": 2}, {"m": 1}),
            id="one metadata alone",
        ),
    ],
)
def test_a_sign_in_brings_traits_and_metadata_up_to_date(come_back, mode, emitted, expected):
    first = mapped(traits={"a": 1}, metadata_public={"p": 1}, metadata_admin={"m": 1})

    come_back(first, mapped(**emitted), mode=mode)

    assert stored() == expected


@row(65)
def test_a_mapper_that_breaks_refuses_the_sign_in_and_changes_nothing(client, come_back):
    response = come_back(mapped(traits={"a": 1}), FAILS)

    assert (code_of(response), response.status_code) == ("mapper_runtime_failed", 503)
    assert stored() == ({"a": 1}, {}, {})
    assert (who(client), SignIn.objects.count()) == ("nobody", 1)


@row(66)
def test_a_trait_that_the_mapper_leaves_out_stays(come_back):
    come_back(mapped(traits={"kept": 1, "deep": {"a": 1, "b": 1}}), mapped(traits={"deep": {"a": 2}}))

    assert stored()[0] == {"kept": 1, "deep": {"a": 2, "b": 1}}


@row(67)
def test_the_mapper_sees_what_is_stored(come_back):
    second = make_mapper("{identity: {traits: {}, metadata_admin: {seen: std.extVar('identity')}}}")

    come_back(mapped(traits={"a": 1}, metadata_public={"p": 1}), second)

    seen = stored()[2]["seen"]
    assert (seen["traits"], seen["metadata_public"], seen["metadata_admin"]) == ({"a": 1}, {"p": 1}, {})


@row(67)
@pytest.mark.parametrize(
    ("emitted", "is_change"),
    [
        pytest.param({"traits": {"b": 2, "a": {"y": 2, "x": 1}}}, False, id="another order"),
        pytest.param({"traits": {"a": {"x": 1}}}, False, id="a part of it"),
        pytest.param({"traits": {"b": 3}}, True, id="a trait"),
        pytest.param({"traits": {"b": "2"}}, True, id="another type"),
        pytest.param({"traits": {}, "metadata_public": {}}, False, id="metadata as empty as before"),
        pytest.param({"traits": {}, "metadata_public": {"p": 1}}, True, id="metadata"),
    ],
)
def test_only_what_differs_is_written_and_told(come_back, listen, emitted, is_change):
    heard = []
    listen(signals.identity_updated, lambda **_: heard.append(1))

    with statements() as gathered:
        come_back(mapped(traits={"a": {"x": 1, "y": 2}, "b": 2}), mapped(**emitted))

    # A registration inserts; only an update updates.
    written = [sql for sql in gathered if unquoted(sql).startswith("UPDATE ms_identity_identity")]
    assert (bool(written), bool(heard)) == (is_change, is_change)


@row(67)
@pytest.mark.parametrize(("emitted", "kept"), [({"metadata_public": {}}, {}), ({}, {"p": 1})])
def test_an_empty_object_clears_metadata_and_an_absent_one_leaves_them(come_back, emitted, kept):
    come_back(mapped(metadata_public={"p": 1}), mapped(traits={"a": 1}, **emitted))

    assert stored()[1] == kept


@row(67)
def test_an_update_leaves_the_credential_alone(come_back):
    before = []

    come_back(
        mapped(traits={"a": 1}),
        mapped(traits={"a": 2}),
        between=lambda: before.extend(Credential.objects.values()),
    )

    assert list(Credential.objects.values()) == before
    assert stored()[0] == {"a": 2}


@row(67)
def test_a_verified_address_stays_and_another_joins_it(come_back):
    long_ago = timezone.now() - timedelta(days=9)

    come_back(
        mapped((WORK,)),
        mapped(("new@contoso.example",)),
        between=lambda: VerifiableAddress.objects.update(verified_at=long_ago),
    )

    addresses = dict(VerifiableAddress.objects.values_list("value", "verified_at"))
    assert set(addresses) == {WORK, "new@contoso.example"}
    assert addresses[WORK] == long_ago


@row(67)
def test_traits_that_fail_the_schema_refuse_the_sign_in(client, come_back):
    schema = make_schema({"a": {"type": "integer"}})

    response = come_back(mapped(traits={"a": 1}), mapped(traits={"a": "x"}), IDENTITY_SCHEMA_URL=schema)

    assert code_of(response) == "traits_invalid"
    assert stored()[0] == {"a": 1}
    assert who(client) == "nobody"

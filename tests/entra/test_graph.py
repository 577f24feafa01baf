"""Graph's ``/me``: whose access token it is, compared with the ID token."""

from __future__ import annotations

from types import MappingProxyType

import pytest
import requests

from django_ms_identity.entra import graph
from django_ms_identity.entra.clouds import Cloud
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.exceptions import (
    ClientMisconfigured,
    MicrosoftAnswerInvalid,
    MicrosoftUnavailable,
    MSIdentityError,
    SubjectMismatch,
    SubjectMissing,
)
from django_ms_identity.net.http import HttpClient

from . import forge
from .forge import CONSUMERS, OID, TID

ME = "https://graph.microsoft.com/v1.0/me"
ACCESS_TOKEN = "planted-access-token"
PERSONAL_ID = "fde926f844473904"
PERSONAL_OID = "00000000-0000-0000-fde9-26f844473904"


def claims(oid: str = OID, tid: str = TID) -> Claims:
    return Claims(tid=tid, sub="pairwise", oid=oid, payload=MappingProxyType({}))


def me(who: Claims | None = None, *, access_token: str = ACCESS_TOKEN, cloud: Cloud = Cloud.GLOBAL) -> str:
    return graph.me(access_token, claims=who or claims(), cloud=cloud, http=HttpClient(connect=1, read=1))


def test_graph_id_of_a_work_account_is_its_oid(wire):
    wire.get(ME, json={"id": OID, "displayName": "x"})

    assert me() == OID
    assert wire.calls[0].request.headers["Authorization"] == f"Bearer {ACCESS_TOKEN}"


def test_graph_id_of_a_personal_account_is_the_end_of_its_oid(wire):
    wire.get(ME, json={"id": PERSONAL_ID})

    assert me(claims(PERSONAL_OID, CONSUMERS)) == PERSONAL_ID


@pytest.mark.parametrize("cloud", Cloud)
def test_graph_host_differs_by_cloud(wire, cloud):
    wire.get(f"{cloud.graph}/v1.0/me", json={"id": OID})

    assert me(cloud=cloud) == OID


@pytest.mark.parametrize(
    ("answered", "who"),
    [
        pytest.param("0" * 8 + OID[8:], claims(), id="another person"),
        pytest.param(OID.upper(), claims(), id="upper case"),
        pytest.param(OID, claims(oid=""), id="no oid in the ID token"),
        pytest.param(PERSONAL_ID, claims(PERSONAL_OID), id="personal id in an organisation"),
        pytest.param(PERSONAL_OID, claims(PERSONAL_OID, CONSUMERS), id="oid for a personal account"),
        pytest.param(PERSONAL_ID[:-1], claims(PERSONAL_OID, CONSUMERS), id="id cut short"),
        pytest.param("1" + PERSONAL_ID[1:], claims(PERSONAL_OID, CONSUMERS), id="another personal account"),
    ],
)
def test_graph_id_of_another_person_is_refused(wire, answered, who):
    wire.get(ME, json={"id": answered})

    with pytest.raises(SubjectMismatch):
        me(who)


@pytest.mark.kratos(1)
@pytest.mark.parametrize(
    ("answer", "leaf"),
    [
        pytest.param({"status": 401}, ClientMisconfigured, id="401"),
        pytest.param({"status": 403}, ClientMisconfigured, id="403"),
        pytest.param({"status": 404}, MicrosoftAnswerInvalid, id="404"),
        pytest.param({"status": 404, "json": {"id": OID}}, MicrosoftAnswerInvalid, id="404 with an id"),
        pytest.param({"status": 302, "json": {"id": OID}}, MicrosoftAnswerInvalid, id="302 with an id"),
        pytest.param({"status": 302, "headers": {"Location": ME}}, MicrosoftAnswerInvalid, id="redirect"),
        pytest.param({"status": 429}, MicrosoftUnavailable, id="429"),
        pytest.param({"status": 500}, MicrosoftUnavailable, id="500"),
        pytest.param(
            {"body": requests.ConnectionError(ACCESS_TOKEN)}, MicrosoftUnavailable, id="no connection"
        ),
        pytest.param({"body": "planted"}, MicrosoftAnswerInvalid, id="not JSON"),
        pytest.param({"json": {}}, SubjectMissing, id="no id"),
        pytest.param({"json": {"id": ""}}, SubjectMissing, id="id empty"),
        pytest.param({"json": {"id": 7}}, SubjectMissing, id="id a number"),
        pytest.param({"json": [{"id": OID}]}, SubjectMissing, id="a list"),
    ],
)
def test_bad_graph_answer_raises_our_exception_without_secrets(wire, answer, leaf):
    wire.get(ME, **answer)

    with pytest.raises(MSIdentityError) as caught:
        me()

    assert type(caught.value) is leaf
    assert str(answer.get("status", "")) in caught.value.detail
    assert "planted" not in forge.chain_text(caught.value)


def test_graph_is_not_asked_without_access_token(wire):
    with pytest.raises(MicrosoftAnswerInvalid):
        me(access_token="")

    assert len(wire.calls) == 0


@pytest.mark.parametrize("access_token", ["planted\r\nX: y", "planted\nX: y"])
def test_access_token_cannot_add_headers_to_the_graph_request(wire, access_token):
    wire.get(ME, json={"id": OID})

    with pytest.raises(MicrosoftUnavailable) as caught:
        me(access_token=access_token)

    assert "planted" not in forge.chain_text(caught.value)
    assert len(wire.calls) == 0

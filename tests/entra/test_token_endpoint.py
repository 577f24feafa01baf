"""The request that exchanges a code for tokens, and what becomes of every answer."""

from __future__ import annotations

import gzip
import json
from urllib.parse import parse_qs

import pytest
import requests

from django_ms_identity.entra import code_exchange
from django_ms_identity.entra.code_exchange import Tokens
from django_ms_identity.exceptions import (
    ClientMisconfigured,
    CodeExpired,
    MicrosoftAnswerInvalid,
    MicrosoftRefused,
    MicrosoftUnavailable,
    MSIdentityError,
)
from django_ms_identity.net.http import HttpClient

from . import forge
from .forge import CLIENT_ID, LEFT_OUT, LOGIN, SECRET, TID

REDIRECT_URI = "https://www.example.com/ms/callback/microsoft/"
TOKEN_URL = f"{LOGIN}/{TID}/oauth2/v2.0/token"
CODE, VERIFIER = "planted-code", "planted-verifier-" + "v" * 26


def redeem(**changes: object) -> Tokens:
    return code_exchange.redeem(
        forge.provider(**changes),
        code=CODE,
        verifier=VERIFIER,
        redirect_uri=REDIRECT_URI,
        http=HttpClient(connect=1, read=1),
    )


def answer(**changes: object) -> dict[str, object]:
    """Build what Microsoft answers to a code; a change to ``LEFT_OUT`` leaves the member out."""
    members = {
        "token_type": "Bearer",
        "scope": "email openid profile",
        "expires_in": 3600,
        "ext_expires_in": 3600,
        "access_token": "planted-access-token",
        "id_token": forge.token(),
        "client_info": forge.b64(b'{"uid":"u","utid":"t"}').decode(),
        **changes,
    }
    return {name: value for name, value in members.items() if value is not LEFT_OUT}


@pytest.mark.parametrize(
    "changes",
    [{}, {"microsoft_tenant": "common"}, {"subject_source": "me"}, {"scope": []}, {"cloud": "usgov"}],
)
def test_code_is_redeemed_with_one_post(wire, changes):
    by = forge.provider(**changes)
    url = f"{by.cloud.login}/{by.tenant.value}/oauth2/v2.0/token"
    wire.post(url, json=answer())

    received = redeem(**changes)

    assert received.id_token.count(".") == 2
    assert received.access_token == "planted-access-token"
    assert [(call.request.method, call.request.url) for call in wire.calls] == [("POST", url)]


@pytest.mark.kratos(29)
def test_token_request_carries_code_verifier_and_secret_in_its_body_only(wire):
    wire.post(TOKEN_URL, json=answer())

    redeem()

    (call,) = wire.calls
    body = {name: values[0] for name, values in parse_qs(call.request.body).items()}
    assert set(body.pop("scope").split()) == {"openid", "profile", "email"}
    assert body == {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "code": CODE,
        "code_verifier": VERIFIER,
        "redirect_uri": REDIRECT_URI,
    }
    elsewhere = call.request.url + str(call.request.headers)
    assert not [value for value in (SECRET, CODE, VERIFIER) if value in elsewhere]


def test_repr_of_tokens_shows_none(wire):
    wire.post(TOKEN_URL, json=answer())

    assert repr(redeem()) == "Tokens()"


def test_token_answer_needs_no_access_token_and_no_client_info(wire):
    wire.post(TOKEN_URL, json=answer(access_token=LEFT_OUT, client_info=LEFT_OUT))

    assert redeem().id_token
    assert redeem().access_token == ""


OAUTH_ERROR = {
    "error": "invalid_grant",
    "error_description": "AADSTS54005: planted. Trace ID: 3e1d9e52-5b0b-4cbb-9c2e-2d4b0a1f0e00",
    "error_codes": [54005],
    "trace_id": "3e1d9e52-5b0b-4cbb-9c2e-2d4b0a1f0e00",
}
ELSEWHERE = "https://evil.example/token"
HOSTILE = [
    pytest.param({"body": "planted"}, MicrosoftAnswerInvalid, id="not JSON"),
    pytest.param(
        {"body": "<html>planted</html>", "content_type": "text/html"}, MicrosoftAnswerInvalid, id="HTML"
    ),
    pytest.param({"json": [answer()]}, MicrosoftAnswerInvalid, id="a list"),
    pytest.param({"json": "planted error"}, MicrosoftAnswerInvalid, id="a text"),
    pytest.param({"status": 400, "json": ["error"]}, MicrosoftAnswerInvalid, id="400 with a list"),
    pytest.param({"json": None}, MicrosoftAnswerInvalid, id="null"),
    pytest.param({"body": ""}, MicrosoftAnswerInvalid, id="empty"),
    pytest.param({"json": {}}, MicrosoftAnswerInvalid, id="an empty object"),
    pytest.param({"body": "[" * 100_000}, MicrosoftAnswerInvalid, id="deep"),
    pytest.param({"body": b"\xff\xfe{planted"}, MicrosoftAnswerInvalid, id="not UTF-8"),
    pytest.param({"body": json.dumps(answer())[:-20]}, MicrosoftAnswerInvalid, id="cut off"),
    pytest.param({"body": b" " * (2 * 1024 * 1024)}, MicrosoftAnswerInvalid, id="2 MiB"),
    pytest.param({"json": OAUTH_ERROR}, CodeExpired, id="error with 200"),
    pytest.param({"json": {**answer(), **OAUTH_ERROR}}, CodeExpired, id="error and tokens with 200"),
    pytest.param({"status": 400, "json": OAUTH_ERROR}, CodeExpired, id="400"),
    pytest.param(
        {"status": 401, "json": {"error": "invalid_client", "error_description": "AADSTS7000222: planted"}},
        ClientMisconfigured,
        id="401",
    ),
    pytest.param({"status": 400, "json": {"error": ["planted"]}}, MicrosoftRefused, id="error a list"),
    pytest.param({"status": 400, "json": {"error": None}}, MicrosoftRefused, id="error null"),
    pytest.param(
        {"status": 400, "json": {"error": "planted error\n"}}, MicrosoftRefused, id="error a sentence"
    ),
    pytest.param(
        {"status": 400, "json": {"error": "invalid_grant", "error_description": {"planted": 1}}},
        CodeExpired,
        id="description an object",
    ),
    pytest.param({"status": 400, "json": {"planted": 1}}, MicrosoftAnswerInvalid, id="400 without error"),
    pytest.param({"status": 400, "body": "planted"}, MicrosoftAnswerInvalid, id="400, not JSON"),
    pytest.param({"status": 404, "json": answer()}, MicrosoftAnswerInvalid, id="404 with tokens"),
    pytest.param({"status": 201, "json": answer()}, MicrosoftAnswerInvalid, id="201"),
    pytest.param({"status": 204}, MicrosoftAnswerInvalid, id="204"),
    pytest.param({"status": 429, "json": OAUTH_ERROR}, MicrosoftUnavailable, id="429 JSON"),
    pytest.param(
        {"status": 429, "body": "planted", "headers": {"Retry-After": "60"}},
        MicrosoftUnavailable,
        id="429 text",
    ),
    pytest.param({"status": 500, "json": OAUTH_ERROR}, MicrosoftUnavailable, id="500"),
    pytest.param({"status": 503, "body": "planted"}, MicrosoftUnavailable, id="503"),
    *(
        pytest.param(
            {"status": status, "headers": {"Location": target}}, MicrosoftAnswerInvalid, id=f"{status} {kind}"
        )
        for status in (301, 302, 303, 307, 308)
        for kind, target in (("to itself", TOKEN_URL), ("elsewhere", ELSEWHERE))
    ),
    pytest.param({"json": answer(id_token=LEFT_OUT)}, MicrosoftAnswerInvalid, id="no ID token"),
    pytest.param({"json": answer(id_token="")}, MicrosoftAnswerInvalid, id="ID token empty"),
    pytest.param({"json": answer(id_token=None)}, MicrosoftAnswerInvalid, id="ID token null"),
    pytest.param({"json": answer(id_token=7)}, MicrosoftAnswerInvalid, id="ID token a number"),
    pytest.param(
        {"json": answer(access_token=["planted"])}, MicrosoftAnswerInvalid, id="access token a list"
    ),
    pytest.param({"body": requests.ConnectionError("planted")}, MicrosoftUnavailable, id="no connection"),
    pytest.param({"body": requests.ReadTimeout("planted")}, MicrosoftUnavailable, id="time-out"),
    pytest.param({"body": requests.exceptions.SSLError("planted")}, MicrosoftUnavailable, id="TLS"),
    pytest.param(
        {"body": requests.exceptions.ChunkedEncodingError("planted")}, MicrosoftUnavailable, id="broken off"
    ),
]


@pytest.mark.parametrize(("hostile", "expected"), HOSTILE)
def test_bad_token_answer_raises_our_exception_without_secrets(wire, caplog, hostile, expected):
    wire.post(TOKEN_URL, **hostile)
    wire.post(ELSEWHERE, json=answer())

    with caplog.at_level("DEBUG"), pytest.raises(MSIdentityError) as caught:
        redeem()

    assert type(caught.value) is expected
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "planted" not in forge.chain_text(caught.value) + caplog.text
    assert SECRET not in forge.chain_text(caught.value) + caplog.text
    assert [call.request.url for call in wire.calls] == [TOKEN_URL]


def test_token_answer_that_is_a_compressed_bomb_is_refused(wire):
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    wire.post(TOKEN_URL, body=bomb, headers={"Content-Encoding": "gzip"})

    with pytest.raises(MicrosoftAnswerInvalid, match="larger than"):
        redeem()


def test_failed_token_request_does_not_disturb_the_next(wire):
    failed = wire.post(TOKEN_URL, status=429, headers={"Retry-After": "3600"})
    with pytest.raises(MicrosoftUnavailable):
        redeem()

    wire.remove(failed)
    wire.post(TOKEN_URL, json=answer())

    assert redeem().id_token

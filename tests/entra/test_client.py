"""MSAL as it is, over a faked wire: what it sends, and what becomes of every answer."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import warnings
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
import responses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_ms_identity.entra import client
from django_ms_identity.entra.clouds import Cloud
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
from .forge import CLIENT_ID, LEFT_OUT, LOGIN, NONCE, SECRET, TID

REDIRECT_URI = "https://www.example.com/ms/callback/microsoft/"
TOKEN_URL = f"{LOGIN}/{TID}/oauth2/v2.0/token"
CODE, STATE, VERIFIER = "planted-code", "planted-state-0123", "planted-verifier-" + "v" * 26


def begin(*, asked: str = "", emulator_url: str = "", **changes: object) -> client.Authorization:
    return client.begin(
        forge.provider(**changes), redirect_uri=REDIRECT_URI, prompt=asked, emulator_url=emulator_url
    )


def query_of(begun: client.Authorization) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(begun.url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_the_visitor_is_sent_to_the_tenants_authorize_endpoint_with_what_oauth_needs(wire):
    begun = begin()

    query = query_of(begun)
    challenge = hashlib.sha256(begun.verifier.encode()).digest()
    assert begun.url.partition("?")[0] == f"{LOGIN}/{TID}/oauth2/v2.0/authorize"
    assert set(query.pop("scope").split()) == {"openid", "profile", "email"}
    assert query == {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "response_mode": "query",
        "redirect_uri": REDIRECT_URI,
        "state": begun.state,
        "nonce": hashlib.sha256(begun.nonce.encode()).hexdigest(),
        "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "client_info": "1",
    }
    assert len(wire.calls) == 0


def test_nothing_is_used_twice(wire):
    first, second = begin(), begin()

    for name in ("state", "nonce", "verifier"):
        assert getattr(first, name) != getattr(second, name)
        assert len(getattr(first, name)) >= 22
        assert getattr(first, name) not in repr(first).replace(first.url, "")


@pytest.mark.parametrize("pkce", ["auto", "force", "never"])
def test_pkce_is_always_used(wire, pkce):
    assert query_of(begin(pkce=pkce))["code_challenge_method"] == "S256"


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        pytest.param({"response_mode": "form_post"}, {"response_mode": "form_post"}, id="form_post"),
        pytest.param(
            {"domain_hint": "contoso.example"}, {"domain_hint": "contoso.example"}, id="domain_hint"
        ),
        pytest.param(
            {"domain_hint": "x&response_mode=form_post"},
            {"domain_hint": "x&response_mode=form_post", "response_mode": "query"},
            id="domain_hint that looks like a parameter",
        ),
        pytest.param(
            {"requested_claims": {"id_token": {"acrs": {"essential": True, "value": "c1"}}}},
            {"claims": '{"id_token":{"acrs":{"essential":true,"value":"c1"}}}'},
            id="claims",
        ),
        pytest.param({"prompt": "login"}, {"prompt": "login"}, id="prompt of the provider"),
        pytest.param({"asked": "select_account"}, {"prompt": "select_account"}, id="prompt of the link"),
        pytest.param(
            {"prompt": "login", "asked": "consent"}, {"prompt": "login"}, id="the provider's prompt wins"
        ),
    ],
)
def test_options_become_parameters(wire, changes, parameters):
    query = query_of(begin(**changes))

    assert {name: query[name] for name in parameters} == parameters


@pytest.mark.parametrize("name", ["prompt", "domain_hint", "claims", "login_hint"])
def test_what_is_not_set_is_not_sent(wire, name):
    assert name not in query_of(begin())


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        pytest.param({"scope": []}, {"openid", "profile"}, id="none"),
        pytest.param(
            {"scope": ["openid", "profile", "email"]}, {"openid", "profile", "email"}, id="reserved"
        ),
        pytest.param({"scope": ["offline_access"]}, {"openid", "profile"}, id="no refresh token"),
        pytest.param({"subject_source": "me"}, {"openid", "profile", "email", "User.Read"}, id="me"),
        pytest.param(
            {"subject_source": "me", "scope": ["https://graph.microsoft.com/user.read"]},
            {"openid", "profile", "https://graph.microsoft.com/user.read"},
            id="me, named by the operator",
        ),
        pytest.param(
            {"scope": ["GroupMember.Read.All"]}, {"openid", "profile", "GroupMember.Read.All"}, id="more"
        ),
    ],
)
def test_scopes_are_those_of_the_provider(wire, changes, scopes):
    assert set(query_of(begin(**changes))["scope"].split()) == scopes


@pytest.mark.parametrize(
    ("tenant", "segment"),
    [("common", "common"), ("Organizations", "organizations"), ("consumers", "consumers"),
     ("contoso.example", "contoso.example"), (TID.upper(), TID)],
)  # fmt: skip
@pytest.mark.parametrize("cloud", Cloud)
def test_the_endpoint_is_that_of_cloud_and_tenant(wire, cloud, tenant, segment):
    begun = begin(cloud=cloud.value, microsoft_tenant=tenant)

    assert begun.url.startswith(f"{cloud.login}/{segment}/oauth2/v2.0/authorize?")


def test_with_an_emulator_the_visitor_is_sent_there(wire):
    begun = begin(emulator_url="http://localhost:8000/emulator")

    assert begun.url.startswith(
        f"http://localhost:8000/emulator/login.microsoftonline.com/{TID}/oauth2/v2.0/authorize?"
    )


def test_no_warning_filter_is_touched(wire):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        begin()
        begin(response_mode="form_post")

        assert warnings.filters == before


def redeem(*, transport: HttpClient | None = None, nonce: str = NONCE, **changes: object) -> client.Tokens:
    return client.redeem(
        forge.provider(**changes),
        code=CODE,
        state=STATE,
        nonce=nonce,
        verifier=VERIFIER,
        redirect_uri=REDIRECT_URI,
        transport=transport or HttpClient(connect=1, read=1),
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
def test_a_code_is_redeemed_with_one_post(wire, changes):
    by = forge.provider(**changes)
    url = f"{by.cloud.login}/{by.tenant.value}/oauth2/v2.0/token"
    wire.post(url, json=answer())

    received = redeem(**changes)

    assert received.id_token.count(".") == 2
    assert received.access_token == "planted-access-token"
    assert [(call.request.method, call.request.url) for call in wire.calls] == [("POST", url)]


def test_the_post_carries_code_verifier_and_secret_in_its_body_alone(wire):
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
        "client_info": "1",
    }
    elsewhere = call.request.url + str(call.request.headers)
    assert not [value for value in (SECRET, CODE, VERIFIER, STATE, NONCE) if value in elsewhere]


def test_tokens_are_not_shown(wire):
    wire.post(TOKEN_URL, json=answer())

    assert repr(redeem()) == "Tokens()"


def test_an_answer_without_access_token_is_enough(wire):
    wire.post(TOKEN_URL, json=answer(access_token=LEFT_OUT))

    assert redeem().access_token == ""


def test_tokens_may_come_without_client_info(wire):
    wire.post(TOKEN_URL, json=answer(client_info=LEFT_OUT))

    assert redeem().id_token


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
    pytest.param({"json": "planted"}, MicrosoftAnswerInvalid, id="a text"),
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
    pytest.param({"json": answer(id_token="planted")}, MicrosoftAnswerInvalid, id="ID token no JWT"),
    pytest.param(
        {"json": answer(id_token="planted.planted.planted")}, MicrosoftAnswerInvalid, id="ID token no JSON"
    ),
    pytest.param(
        {"json": answer(id_token=forge.token(["planted"]))}, MicrosoftAnswerInvalid, id="ID token a list"
    ),
    pytest.param(
        {"json": answer(id_token=forge.token(forge.payload(nonce="planted")))},
        MicrosoftAnswerInvalid,
        id="other nonce",
    ),
    pytest.param(
        {"json": answer(id_token=forge.token(forge.payload(nonce=LEFT_OUT)))},
        MicrosoftAnswerInvalid,
        id="no nonce",
    ),
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


@pytest.mark.parametrize(("hostile", "leaf"), HOSTILE)
def test_every_bad_answer_is_one_of_our_exceptions_and_tells_no_secret(wire, caplog, hostile, leaf):
    wire.post(TOKEN_URL, **hostile)
    wire.post(ELSEWHERE, json=answer())

    with caplog.at_level("DEBUG"), pytest.raises(MSIdentityError) as caught:
        redeem()

    assert type(caught.value) is leaf
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "planted" not in forge.chain_text(caught.value) + caplog.text
    assert NONCE not in forge.chain_text(caught.value) + caplog.text
    assert [call.request.url for call in wire.calls] == [TOKEN_URL]


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("body", ["[]", '["error"]', '"error"', "null", "7"])
def test_an_answer_that_is_no_object_is_named_as_such(wire, status, body):
    wire.post(TOKEN_URL, status=status, body=body)

    with pytest.raises(MicrosoftAnswerInvalid, match=f"answered {status} and no OAuth answer"):
        redeem()


def test_a_compressed_bomb_is_refused(wire):
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    wire.post(TOKEN_URL, body=bomb, headers={"Content-Encoding": "gzip"})

    with pytest.raises(MicrosoftAnswerInvalid, match="larger than"):
        redeem()


def test_one_visitors_failure_does_not_disturb_the_next(wire):
    failed = wire.post(TOKEN_URL, status=429, headers={"Retry-After": "3600"})
    with pytest.raises(MicrosoftUnavailable):
        redeem()

    wire.remove(failed)
    wire.post(TOKEN_URL, json=answer())

    assert redeem().id_token


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    status=st.sampled_from([200, 200, 200, 302, 400, 401, 403, 429, 500]),
    changes=st.dictionaries(
        st.sampled_from([*answer(), "error", "error_description", "refresh_token", "id_token_claims"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(max_size=3), max_size=2),
        max_size=3,
    ),
)
def test_any_answer_gives_tokens_or_our_exception(status, changes):
    with responses.RequestsMock() as wire:
        wire.post(TOKEN_URL, status=status, json=answer(**changes))
        try:
            received = redeem()
        except MSIdentityError:
            return
    assert re.fullmatch(r"[^.]+\.[^.]+\.[^.]*", received.id_token)

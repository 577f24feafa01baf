"""The token endpoint: each check alone, with Microsoft's error codes."""

from __future__ import annotations

import re

import pytest

from django_ms_identity.emulator import TENANT_ID

from .wire import LOGIN, NOW

PATH = f"/{LOGIN}/{TENANT_ID}/oauth2/v2.0/token"


def test_code_is_exchanged_for_tokens(wire):
    response = wire.redeem(wire.code())

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store, no-cache"
    assert set(response.json()) == {
        *("token_type", "scope", "expires_in", "ext_expires_in", "access_token", "id_token", "client_info")
    }
    assert response.json()["scope"] == "openid profile email"


@pytest.mark.parametrize("changes", [{}, {"code_verifier": "w" * 43}], ids=["tokens", "failure"])
def test_code_is_redeemed_once(wire, changes):
    code = wire.code()
    wire.redeem(code, **changes)

    response = wire.redeem(code)

    assert (response.status_code, response.json()["error_codes"]) == (400, [54005])


@pytest.mark.parametrize("changes", [{"client_secret": "wrong"}, {"redirect_uri": None}])
def test_refused_request_without_a_code_lookup_keeps_the_code(wire, changes):
    code = wire.code()
    wire.redeem(code, **changes)

    assert wire.redeem(code).status_code == 200


@pytest.mark.parametrize(("age", "status"), [(599, 200), (600, 400)])
def test_code_expires_after_ten_minutes(wire, age, status):
    code = wire.code()
    NOW[0] += age

    response = wire.redeem(code)

    assert response.status_code == status
    if status == 400:
        assert response.json()["error_codes"] == [70008]


@pytest.mark.parametrize(
    ("changes", "status", "error", "code"),
    [
        pytest.param({"grant_type": None}, 400, "invalid_request", 900144, id="no grant type"),
        pytest.param(
            {"grant_type": "refresh_token"}, 400, "unsupported_grant_type", 70003, id="other grant type"
        ),
        pytest.param({"client_id": None}, 400, "invalid_request", 900144, id="no client"),
        pytest.param({"client_id": "stranger"}, 400, "unauthorized_client", 700016, id="unknown client"),
        pytest.param({"client_secret": None}, 401, "invalid_client", 7000218, id="no secret"),
        pytest.param({"client_secret": "wrong"}, 401, "invalid_client", 7000215, id="wrong secret"),
        pytest.param(
            {"client_id": "other-client", "client_secret": "other-secret"},
            *(400, "invalid_grant", 70000),
            id="code of another client",
        ),
        pytest.param({"redirect_uri": None}, 400, "invalid_request", 900144, id="no redirect URI"),
        pytest.param(
            {"redirect_uri": "http://localhost:8000/other/"},
            *(400, "invalid_client", 500112),
            id="other redirect URI",
        ),
        pytest.param({"code": None}, 400, "invalid_request", 900144, id="no code"),
        pytest.param({"code": "1.unknown"}, 400, "invalid_grant", 70000, id="unknown code"),
        pytest.param({"tenant": "common"}, 400, "invalid_grant", 700005, id="code of a tenant at common"),
        pytest.param({"tenant": "fabrikam.example"}, 400, "invalid_grant", 700005, id="another tenant"),
        pytest.param({"host": "login.microsoftonline.us"}, 400, "invalid_grant", 700005, id="another cloud"),
        pytest.param({"tenant": "nobody.example"}, 400, "invalid_tenant", 90002, id="unknown tenant"),
        pytest.param({"code_verifier": None}, 400, "invalid_grant", 50148, id="no verifier"),
        pytest.param({"code_verifier": "w" * 43}, 400, "invalid_grant", 501481, id="wrong verifier"),
    ],
)
def test_token_request_error_has_microsofts_code_and_form(wire, changes, status, error, code):
    response = wire.redeem(**{"code": wire.code(), **changes})

    answer = response.json()
    assert (response.status_code, answer["error"], answer["error_codes"]) == (status, error, [code])
    assert set(answer) == {
        *("error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri")
    }
    assert re.fullmatch(
        rf"AADSTS{code}: .+ Trace ID: {answer['trace_id']} Correlation ID: {answer['correlation_id']} "
        rf"Timestamp: {answer['timestamp']}",
        answer["error_description"],
    )
    assert answer["error_uri"] == f"https://login.microsoftonline.com/error?code={code}"


def test_code_of_a_tenants_domain_is_redeemed_at_its_guid(wire):
    assert wire.redeem(wire.code("contoso.example"), TENANT_ID).status_code == 200


def test_duplicated_parameter_is_refused(wire):
    response = wire.client.post(PATH, {"grant_type": ["authorization_code", "authorization_code"]})

    assert response.json()["error_codes"] == [9000411]


def test_correlation_id_of_the_client_is_returned(wire):
    request_id = "0b5bd4d4-9d7f-4f5b-9d3a-3f0b0a3f6a10"

    response = wire.client.post(PATH, {}, headers={"client-request-id": request_id})

    assert response.json()["correlation_id"] == request_id


def test_token_endpoint_refuses_get(wire):
    assert wire.get(PATH).status_code == 405


def test_log_has_no_secrets(wire, caplog):
    caplog.set_level("DEBUG")
    code = wire.code()
    tokens = wire.redeem(code).json()
    wire.redeem(code, client_secret="planted-secret")

    assert "work" in caplog.text
    for secret in (code, tokens["access_token"], tokens["id_token"], "planted-secret", "ines.okafor"):
        assert secret not in caplog.text

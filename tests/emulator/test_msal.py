"""MSAL, Microsoft's own library, is satisfied with the emulator."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import msal
import pytest

REDIRECT_URI = "https://app.example/callback/"
TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"


def application(authority=TENANT, secret="planted-client-secret"):
    return msal.ConfidentialClientApplication(
        "11111111-2222-3333-4444-555555555555",
        client_credential=secret,
        authority=f"https://login.microsoftonline.com/{authority}",
    )


def answer(emulator, flow, persona="work"):
    return dict(parse_qsl(urlsplit(emulator.authorize(flow["auth_uri"], persona)).query))


@pytest.mark.filterwarnings("ignore:response_mode")
@pytest.mark.parametrize(
    ("authority", "persona"),
    [
        (TENANT, "work"),
        (TENANT, "guest"),
        ("common", "personal"),
        ("organizations", "work"),
        ("consumers", "personal"),
    ],
)
def test_a_login_passes_its_nonce_check(ms_identity_emulator, authority, persona):
    app = application(authority)
    flow = app.initiate_auth_code_flow(["email"], redirect_uri=REDIRECT_URI)

    result = app.acquire_token_by_auth_code_flow(flow, answer(ms_identity_emulator, flow, persona))

    assert "error" not in result
    assert result["id_token_claims"]["oid"]
    assert app.get_accounts()


@pytest.mark.filterwarnings("ignore:response_mode")
def test_a_max_age_passes_its_check(ms_identity_emulator):
    app = application()
    flow = app.initiate_auth_code_flow(["User.Read"], redirect_uri=REDIRECT_URI, max_age=0)

    result = app.acquire_token_by_auth_code_flow(flow, answer(ms_identity_emulator, flow))

    assert result["id_token_claims"]["auth_time"]


@pytest.mark.filterwarnings("ignore:response_mode")
def test_a_wrong_secret_is_microsofts_refusal(ms_identity_emulator):
    app = application(secret="wrong")
    flow = app.initiate_auth_code_flow(["email"], redirect_uri=REDIRECT_URI)

    result = app.acquire_token_by_auth_code_flow(flow, answer(ms_identity_emulator, flow))

    assert (result["error"], result["error_codes"]) == ("invalid_client", [7000215])


@pytest.mark.filterwarnings("ignore:response_mode")
def test_a_cancelled_login_is_an_error(ms_identity_emulator):
    app = application()
    flow = app.initiate_auth_code_flow(["email"], redirect_uri=REDIRECT_URI)

    result = app.acquire_token_by_auth_code_flow(flow, answer(ms_identity_emulator, flow, "cancel"))

    assert result["error"] == "access_denied"

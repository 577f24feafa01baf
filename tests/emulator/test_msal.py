"""MSAL, Microsoft's own library, signs in at the emulator."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import msal
import pytest

TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
pytestmark = pytest.mark.filterwarnings("ignore:response_mode")


def sign_in(emulator, persona="work", *, authority=TENANT, secret="planted-client-secret", **options):
    app = msal.ConfidentialClientApplication(
        "11111111-2222-3333-4444-555555555555",
        client_credential=secret,
        authority=f"https://login.microsoftonline.com/{authority}",
    )
    flow = app.initiate_auth_code_flow(["email"], redirect_uri="https://app.example/callback/", **options)
    answer = dict(parse_qsl(urlsplit(emulator.authorize(flow["auth_uri"], persona)).query))
    return app, app.acquire_token_by_auth_code_flow(flow, answer)


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
def test_msal_accepts_the_id_token(ms_identity_emulator, authority, persona):
    app, result = sign_in(ms_identity_emulator, persona, authority=authority, max_age=0)

    assert "error" not in result
    assert result["id_token_claims"]["oid"]
    assert result["id_token_claims"]["auth_time"]
    assert app.get_accounts()


def test_msal_returns_the_error_of_a_wrong_secret(ms_identity_emulator):
    _app, result = sign_in(ms_identity_emulator, secret="wrong")

    assert (result["error"], result["error_codes"]) == ("invalid_client", [7000215])


def test_msal_returns_the_error_of_a_cancelled_sign_in(ms_identity_emulator):
    _app, result = sign_in(ms_identity_emulator, "cancel")

    assert result["error"] == "access_denied"

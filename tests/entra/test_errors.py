"""Every AADSTS code of the catalogue, and hostile texts around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.entra.errors import error_for
from django_ms_identity.exceptions import (
    AccountBlocked,
    AccountNotAllowed,
    ClientMisconfigured,
    CodeExpired,
    ConsentRequired,
    InteractionRequired,
    MicrosoftRefused,
    MicrosoftUnavailable,
    MSIdentityError,
    PolicyBlocked,
    SignInCancelled,
)

TRACE = "3e1d9e52-5b0b-4cbb-9c2e-2d4b0a1f0e00"
# Exception class, a word of the hint, codes.
# Source: "Microsoft Entra authentication and authorization error codes".
CODES = [
    (AccountNotAllowed, "tenant", [16000, 50020]),
    (ClientMisconfigured, "redirect URI", [50011]),
    (AccountNotAllowed, "directory", [50034, 51004, 50014]),
    (AccountBlocked, "locked", [50053]),
    (AccountBlocked, "password has expired", [50055, 50144]),
    (AccountBlocked, "disabled", [50057]),
    (InteractionRequired, "interactive", [50058]),
    (InteractionRequired, "Multi-factor", [50072, 50074, 50076, 50079]),
    (InteractionRequired, "expired", [50078, 70043]),
    (AccountNotAllowed, "Enterprise applications", [50105]),
    (AccountBlocked, "password", [50126]),
    (PolicyBlocked, "Conditional Access", [50131, 53003, 530032]),
    (InteractionRequired, "external", [50158]),
    (InteractionRequired, "revoked", [50173, 50089, 50132, 50133]),
    (ClientMisconfigured, "microsoft_tenant", [50194]),
    (ClientMisconfigured, "loop", [50196]),
    (ClientMisconfigured, "scope", [500011, 650057, 70011]),
    (PolicyBlocked, "restrictions", [500021, 500022, 500212, 500213]),
    (AccountNotAllowed, "another account", [500208]),
    (PolicyBlocked, "device", [53000, 53001]),
    (AccountBlocked, "risk", [53004, 53011]),
    (CodeExpired, "redeemed", [54005]),
    (ConsentRequired, "consent", [65001]),
    (SignInCancelled, "declined", [65004]),
    (ClientMisconfigured, "API permissions", [650052, 650056]),
    (CodeExpired, "expired", [70000, 70008, 700082]),
    (ClientMisconfigured, "client_id", [700016, 700011]),
    (ClientMisconfigured, "another tenant's endpoint", [700005]),
    (ClientMisconfigured, "Web platform", [700025]),
    (ClientMisconfigured, "certificate", [700027, 50012]),
    (ClientMisconfigured, "Enable", [7000112, 70001]),
    (ClientMisconfigured, "Secret ID", [7000215, 70002]),
    (ClientMisconfigured, "client_secret", [7000218]),
    (ClientMisconfigured, "EXPIRED", [7000222]),
    (CodeExpired, "PKCE", [501481, 50147]),
    (ClientMisconfigured, "malformed", [9002313, 90014, 900144]),
    (ClientMisconfigured, "Single-page", [9002325, 9002327]),
    (ClientMisconfigured, "organizations", [9002332, 90130, 90124, 9001023]),
    (ClientMisconfigured, "cloud", [90002]),
    (ClientMisconfigured, "national cloud", [90038, 900382, 900432]),
    (ConsentRequired, "administrator", [90094, 90095]),
    (MicrosoftUnavailable, "status", [90033, 90006, 90012, 90024, 90055, 50000, 50033, 70012]),
]


@pytest.mark.parametrize(
    ("code", "exception", "hint"),
    [pytest.param(code, exception, hint, id=str(code)) for exception, hint, codes in CODES for code in codes],
)
def test_each_aadsts_code_has_an_exception_and_a_hint(code, exception, hint):
    error = error_for(
        "invalid_grant", f"AADSTS{code}: planted.\r\nTrace ID: {TRACE}\r\nCorrelation ID: x\r\nTimestamp: y"
    )

    assert type(error) is exception
    assert hint in error.hint
    assert error.detail == f"Microsoft answered invalid_grant (AADSTS{code})"
    assert error.trace_id == TRACE


@pytest.mark.parametrize(
    ("name", "exception"),
    [
        ("access_denied", SignInCancelled),
        ("consent_required", ConsentRequired),
        ("interaction_required", InteractionRequired),
        ("login_required", InteractionRequired),
        ("invalid_grant", CodeExpired),
        ("invalid_client", ClientMisconfigured),
        ("invalid_request", ClientMisconfigured),
        ("invalid_resource", ClientMisconfigured),
        ("invalid_scope", ClientMisconfigured),
        ("unauthorized_client", ClientMisconfigured),
        ("unsupported_response_type", ClientMisconfigured),
        ("unsupported_grant_type", ClientMisconfigured),
        ("server_error", MicrosoftUnavailable),
        ("temporarily_unavailable", MicrosoftUnavailable),
        ("something_new", MicrosoftRefused),
    ],
)
@pytest.mark.parametrize("description", ["", None, "AADSTS4242424: unknown to us", "Sorry. AADSTS65004"])
def test_oauth_error_decides_without_a_known_aadsts_code(name, exception, description):
    error = error_for(name, description)

    assert type(error) is exception
    assert error.hint
    assert name in error.detail


@pytest.mark.parametrize(
    ("description", "trace_id"),
    [
        (f"Trace ID: {TRACE}", TRACE),
        (f"AADSTS50011: x Trace ID: {TRACE.upper()} Correlation ID: y", TRACE),
        ("Trace ID: <script>alert(1)</script>", ""),
        (f"Trace ID: {TRACE[:-1]}", ""),
        (f"Correlation ID: {TRACE}", ""),
        ("x" * 4096 + f"Trace ID: {TRACE}", ""),
    ],
)
def test_trace_id_of_an_error_is_a_uuid_or_empty(description, trace_id):
    assert error_for("invalid_grant", description).trace_id == trace_id


@pytest.mark.parametrize(
    "code",
    [
        "AADSTS",
        "AADSTS123",
        "AADSTS65004999",
        "AADSTS\u0666\u0665\u0660\u0660\u0664",
        " AADSTS65004",
        "aadsts65004",
        "AADSTS65004x",
    ],
)
def test_text_that_looks_like_an_aadsts_code_is_none(code):
    assert type(error_for("something_new", code)) is MicrosoftRefused


@pytest.mark.parametrize("name", ["", "planted\r\nlog line", "<b>planted</b>", "x" * 65, None, 7, ["x"], "é"])
def test_error_that_is_no_oauth_name_is_not_repeated(name):
    error = error_for(name, "planted description, AADSTS, <script>")

    assert type(error) is MicrosoftRefused
    assert error.detail == "Microsoft answered unknown"
    assert "planted" not in repr(vars(error))


@given(
    error=st.none() | st.text() | st.integers() | st.lists(st.text()),
    description=st.none() | st.text() | st.text().map("AADSTS50011: ".__add__) | st.integers() | st.binary(),
)
def test_any_error_answer_is_one_of_our_exceptions(error, description):
    refused = error_for(error, description)

    assert isinstance(refused, MSIdentityError)
    assert type(refused) is not MSIdentityError
    assert refused.hint

"""Microsoft's errors: their codes, the document that describes one, and the checks of parameters."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus

from django.http import HttpRequest, JsonResponse, QueryDict


@dataclass(frozen=True, slots=True)
class Refusal:
    """One AADSTS code; ``error`` is the OAuth error code that goes with it."""

    error: str
    code: int
    text: str
    """What ``Refused`` fills the placeholders of."""
    status: HTTPStatus = field(default=HTTPStatus.BAD_REQUEST, kw_only=True)
    title: str = field(default="Sorry, but we're having trouble signing you in.", kw_only=True)
    """The heading of Microsoft's own page."""


class Refused(Exception):
    """Carry a refusal, with the values that its text names, to the endpoint."""

    def __init__(self, refusal: Refusal, *values: str) -> None:
        super().__init__(refusal.code)
        self.refusal = replace(refusal, text=refusal.text.format(*values)) if values else refusal


def describe(refusal: Refusal, request: HttpRequest) -> dict[str, object]:
    """Return the token endpoint's error document; the correlation id is the client's own if it sent one."""
    try:
        correlation_id = str(uuid.UUID(request.headers.get("client-request-id", "")))
    except ValueError:
        correlation_id = str(uuid.uuid4())
    trace_id, timestamp = str(uuid.uuid4()), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    return {
        "error": refusal.error,
        "error_description": f"AADSTS{refusal.code}: {refusal.text} Trace ID: {trace_id} "
        f"Correlation ID: {correlation_id} Timestamp: {timestamp}",
        "error_codes": [refusal.code],
        "timestamp": timestamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
        "error_uri": f"https://login.microsoftonline.com/error?code={refusal.code}",
    }


def json_refusal(request: HttpRequest, refusal: Refusal) -> JsonResponse:
    """Answer a server: as the token endpoint, the metadata and the keys do."""
    headers = {"Cache-Control": "no-store, no-cache"}
    return JsonResponse(describe(refusal, request), status=refusal.status, headers=headers)


def parse_parameters(query: QueryDict) -> dict[str, str]:
    """Return the parameters of a request, none of which may be sent twice (RFC 6749 section 3.1)."""
    for name, values in query.lists():
        if len(values) > 1:
            raise Refused(DUPLICATED, name)
    return {name: str(value) for name, value in query.items()}


def require(parameters: Mapping[str, str], *names: str) -> None:
    """Refuse a request in which one of ``names`` is missing or empty."""
    for name in names:
        if not parameters.get(name):
            raise Refused(MISSING, name)


UNKNOWN_TENANT = Refusal(
    "invalid_tenant",
    90002,
    "Tenant '{}' not found. Check to make sure you have the correct tenant ID and are signing into the "
    "correct cloud.",
)
UNKNOWN_CLIENT = Refusal(
    "unauthorized_client",
    700016,
    "Application with identifier '{}' was not found in the directory '{}'. This can happen if the "
    "application has not been installed by the administrator of the tenant.",
)
MISSING = Refusal("invalid_request", 900144, "The request body must contain the following parameter: '{}'.")
DUPLICATED = Refusal(
    "invalid_request", 9000411, "The request is not properly formatted. The parameter '{}' is duplicated."
)

# The authorize endpoint
WRONG_REDIRECT_URI = Refusal(
    "invalid_request",
    50011,
    "The redirect URI '{}' specified in the request does not match the redirect URIs configured for the "
    "application '{}'.",
)
NOT_IN_TENANT = Refusal(
    "access_denied",
    50020,
    "User account '{}' does not exist in tenant '{}' and cannot access the application '{}' in that "
    "tenant. The account needs to be added as an external user first.",
    title="Selected user account does not exist in tenant",
)
WRONG_ACCOUNT_TYPE = Refusal(
    "access_denied",
    500208,
    "The domain is not a valid login domain for the account type.",
    title="You can't sign in here with this kind of account",
)
CANCELLED = Refusal("access_denied", 65004, "User declined to consent to access the app.")
NO_SESSION = Refusal("login_required", 50058, "A silent sign-in request was sent but no user is signed in.")
MALFORMED = Refusal("invalid_request", 9002313, "Invalid request. Request is malformed or invalid.")
SCOPE_INVALID = Refusal(
    "invalid_scope",
    70011,
    "The provided value for the input parameter 'scope' is not valid: it must hold openid.",
)
RESPONSE_TYPE_UNSUPPORTED = Refusal(
    "unsupported_response_type", 70005, "The response_type is not supported: the emulator knows code."
)
RESPONSE_MODE_UNSUPPORTED = Refusal(
    "invalid_request", 70007, "The response_mode is not supported: the emulator knows query and form_post."
)
PROMPT_UNSUPPORTED = Refusal("invalid_request", 90023, "Unsupported 'prompt' value.")
CHALLENGE_METHOD_INVALID = Refusal(
    "invalid_request", 50149, "Invalid Code_Challenge_method parameter: the emulator knows S256."
)
CHALLENGE_INVALID = Refusal("invalid_request", 501491, "Invalid size of Code_Challenge parameter.")

# The token endpoint
NO_SECRET = Refusal(
    "invalid_client",
    7000218,
    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    status=HTTPStatus.UNAUTHORIZED,
)
WRONG_SECRET = Refusal(
    "invalid_client",
    7000215,
    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
    "value, not the client secret ID.",
    status=HTTPStatus.UNAUTHORIZED,
)
GRANT_TYPE_UNSUPPORTED = Refusal(
    "unsupported_grant_type", 70003, "The app requested an unsupported grant type."
)
CODE_INVALID = Refusal("invalid_grant", 70000, "The provided value for the 'code' parameter is not valid.")
CODE_EXPIRED = Refusal(
    "invalid_grant", 70008, "The provided authorization code or refresh token has expired due to inactivity."
)
CODE_REDEEMED = Refusal(
    "invalid_grant",
    54005,
    "OAuth2 Authorization code was already redeemed, please retry with a new valid code.",
)
OTHER_AUTHORITY = Refusal(
    "invalid_grant",
    700005,
    "Provided Authorization Code is intended to use against other tenant, thus rejected.",
)
OTHER_REDIRECT_URI = Refusal(
    "invalid_client",
    500112,
    "The reply address does not match the reply address provided when requesting Authorization code.",
)
VERIFIER_MISSING = Refusal(
    "invalid_grant",
    50148,
    "The code_verifier does not match the code_challenge supplied in the authorization request.",
)
VERIFIER_WRONG = Refusal(
    "invalid_grant",
    501481,
    "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
)

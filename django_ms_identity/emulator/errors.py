"""Microsoft's refusals: their codes, and the form in which each endpoint says them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from django.http import HttpRequest, JsonResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One AADSTS code; ``error`` is the OAuth word that goes with it."""

    error: str
    code: int
    text: str
    status: HTTPStatus = HTTPStatus.BAD_REQUEST
    title: str = "Sorry, but we're having trouble signing you in."
    """The heading of Microsoft's own page."""


class Refused(Exception):
    """Carry a refusal to the edge of an endpoint."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A refusal that happened: with the ids and the time that Microsoft gives each."""

    refusal: Refusal
    trace_id: str
    correlation_id: str
    timestamp: str

    @property
    def description(self) -> str:
        return (
            f"AADSTS{self.refusal.code}: {self.refusal.text} Trace ID: {self.trace_id} "
            f"Correlation ID: {self.correlation_id} Timestamp: {self.timestamp}"
        )

    @property
    def uri(self) -> str:
        return f"https://login.microsoftonline.com/error?code={self.refusal.code}"


def occur(refusal: Refusal, request: HttpRequest) -> Occurrence:
    """Stamp a refusal; the correlation id is the client's own when it sent one."""
    try:
        correlation_id = str(uuid.UUID(request.headers.get("client-request-id", "")))
    except ValueError:
        correlation_id = str(uuid.uuid4())
    return Occurrence(
        refusal=refusal,
        trace_id=str(uuid.uuid4()),
        correlation_id=correlation_id,
        timestamp=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}",
    )


def json_refusal(refusal: Refusal, request: HttpRequest) -> JsonResponse:
    """Answer as the token endpoint does."""
    occurrence = occur(refusal, request)
    return JsonResponse(
        {
            "error": refusal.error,
            "error_description": occurrence.description,
            "error_codes": [refusal.code],
            "timestamp": occurrence.timestamp,
            "trace_id": occurrence.trace_id,
            "correlation_id": occurrence.correlation_id,
            "error_uri": occurrence.uri,
        },
        status=refusal.status,
    )


def unknown_tenant(segment: str) -> Refusal:
    text = (
        f"Tenant '{segment}' not found. Check to make sure you have the correct tenant ID and are signing "
        "into the correct cloud."
    )
    return Refusal(error="invalid_tenant", code=90002, text=text)


def unknown_client(client_id: str, directory: str) -> Refusal:
    text = (
        f"Application with identifier '{client_id}' was not found in the directory '{directory}'. "
        "This can happen if the application has not been installed by the administrator of the tenant."
    )
    return Refusal(error="unauthorized_client", code=700016, text=text)


def wrong_redirect_uri(redirect_uri: str, client_id: str) -> Refusal:
    text = (
        f"The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs "
        f"configured for the application '{client_id}'."
    )
    return Refusal(error="invalid_request", code=50011, text=text)


def missing(parameter: str) -> Refusal:
    text = f"The request body must contain the following parameter: '{parameter}'."
    return Refusal(error="invalid_request", code=900144, text=text)


def duplicated(parameter: str) -> Refusal:
    text = f"The request is not properly formatted. The parameter '{parameter}' is duplicated."
    return Refusal(error="invalid_request", code=9000411, text=text)


def not_in_tenant(username: str, tenant: str, client_id: str) -> Refusal:
    text = (
        f"User account '{username}' does not exist in tenant '{tenant}' and cannot access the application "
        f"'{client_id}' in that tenant. The account needs to be added as an external user first."
    )
    return Refusal(
        error="access_denied", code=50020, text=text, title="Selected user account does not exist in tenant"
    )


WRONG_ACCOUNT_TYPE = Refusal(
    error="access_denied",
    code=500208,
    text="The domain is not a valid login domain for the account type.",
    title="You can't sign in here with this kind of account",
)
CANCELLED = Refusal(error="access_denied", code=65004, text="User declined to consent to access the app.")
NO_SESSION = Refusal(
    error="login_required",
    code=50058,
    text="A silent sign-in request was sent but no user is signed in.",
)
MALFORMED = Refusal(
    error="invalid_request", code=9002313, text="Invalid request. Request is malformed or invalid."
)
SCOPE_INVALID = Refusal(
    error="invalid_scope",
    code=70011,
    text="The provided value for the input parameter 'scope' is not valid: it must hold openid.",
)
RESPONSE_TYPE_UNSUPPORTED = Refusal(
    error="unsupported_response_type",
    code=70005,
    text="The response_type is not supported: the emulator knows code.",
)
RESPONSE_MODE_UNSUPPORTED = Refusal(
    error="invalid_request",
    code=70007,
    text="The response_mode is not supported: the emulator knows query and form_post.",
)
PROMPT_UNSUPPORTED = Refusal(error="invalid_request", code=90023, text="Unsupported 'prompt' value.")
CHALLENGE_METHOD_INVALID = Refusal(
    error="invalid_request",
    code=50149,
    text="Invalid Code_Challenge_method parameter: the emulator knows S256.",
)
CHALLENGE_INVALID = Refusal(
    error="invalid_request", code=501491, text="Invalid size of Code_Challenge parameter."
)

NO_SECRET = Refusal(
    error="invalid_client",
    code=7000218,
    text="The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    status=HTTPStatus.UNAUTHORIZED,
)
WRONG_SECRET = Refusal(
    error="invalid_client",
    code=7000215,
    text=(
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
        "value, not the client secret ID."
    ),
    status=HTTPStatus.UNAUTHORIZED,
)
GRANT_TYPE_UNSUPPORTED = Refusal(
    error="unsupported_grant_type", code=70003, text="The app requested an unsupported grant type."
)
CODE_INVALID = Refusal(
    error="invalid_grant", code=70000, text="The provided value for the 'code' parameter is not valid."
)
CODE_EXPIRED = Refusal(
    error="invalid_grant",
    code=70008,
    text="The provided authorization code or refresh token has expired due to inactivity.",
)
CODE_REDEEMED = Refusal(
    error="invalid_grant",
    code=54005,
    text="OAuth2 Authorization code was already redeemed, please retry with a new valid code.",
)
OTHER_AUTHORITY = Refusal(
    error="invalid_grant",
    code=700005,
    text="Provided Authorization Code is intended to use against other tenant, thus rejected.",
)
OTHER_REDIRECT_URI = Refusal(
    error="invalid_client",
    code=500112,
    text="The reply address does not match the reply address provided when requesting Authorization code.",
)
VERIFIER_MISSING = Refusal(
    error="invalid_grant",
    code=50148,
    text="The code_verifier does not match the code_challenge supplied in the authorization request.",
)
VERIFIER_WRONG = Refusal(
    error="invalid_grant",
    code=501481,
    text="The Code_Verifier does not match the code_challenge supplied in the authorization request.",
)

"""Microsoft's errors: the document that describes one, and the checks that all endpoints make."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from django.http import HttpRequest, JsonResponse, QueryDict


@dataclass(frozen=True, slots=True)
class Refusal:
    """One AADSTS code, 0 at Graph; ``error`` is the OAuth or Graph error code that goes with it."""

    error: str
    code: int
    text: str
    status: HTTPStatus = HTTPStatus.BAD_REQUEST
    title: str = "Sorry, but we're having trouble signing you in."
    """The heading of Microsoft's own page."""


class Refused(Exception):
    """Carry a refusal to the endpoint."""

    def __init__(self, error: str, code: int, text: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(code)
        self.refusal = Refusal(error, code, text, status)


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
            text = f"The request is not properly formatted. The parameter '{name}' is duplicated."
            raise Refused("invalid_request", 9000411, text)
    return {name: str(value) for name, value in query.items()}


def require(parameters: Mapping[str, str], *names: str) -> None:
    """Refuse a request in which one of ``names`` is missing or empty."""
    for name in names:
        if not parameters.get(name):
            text = f"The request body must contain the following parameter: '{name}'."
            raise Refused("invalid_request", 900144, text)

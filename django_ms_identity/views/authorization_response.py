"""Reads what Microsoft sent back: the query of a callback, or the form of a form_post."""

from __future__ import annotations

from django.http import HttpRequest, QueryDict

from django_ms_identity.exceptions import CallbackInvalid
from django_ms_identity.flows.authorization_request import AuthorizationResponse

from .base import UNREADABLE
from .error_reports import empty_query

MAX_CODE = 2800
"""Characters of a code that fit into a cookie (4,096 bytes) once sealed; Microsoft's have about 1,200."""
PARAMETERS = ("state", "code", "error", "error_description")


def pop_query(request: HttpRequest) -> QueryDict:
    """Take what Microsoft sent out of the request, so that no template, report or later code shows it."""
    try:
        query = request.POST if request.method == "POST" else request.GET
    except UNREADABLE as error:
        raise CallbackInvalid(f"the request cannot be read: {type(error).__name__}") from None
    finally:
        empty_query(request)
    return query


def parse(query: QueryDict) -> AuthorizationResponse:
    """Read the code or the error, or raise ``CallbackInvalid``."""
    code, error = query.get("code", ""), query.get("error", "")
    if code and error:
        raise CallbackInvalid("code and error came together")
    # RFC 6749 appendix A.11; also what the cookie's size counts on.
    if len(code) > MAX_CODE or not (code.isascii() and code.isprintable()):
        raise CallbackInvalid("the code is too long or holds characters that no code has")
    return AuthorizationResponse(
        code=code, error=error[:64], description=query.get("error_description", "")[:1024]
    )

"""What an authorization request and the answer to it may not be."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from django_ms_identity.exceptions import CallbackInvalid
from django_ms_identity.flows.flow_cookies import MAX_CODE, AuthorizationResponse


def test_a_code_and_an_error_together_are_refused() -> None:
    with pytest.raises(CallbackInvalid, match="code and error"):
        AuthorizationResponse.parse(QueryDict("code=abc&error=access_denied"))


def test_a_code_that_no_cookie_can_hold_is_refused() -> None:
    assert AuthorizationResponse.parse(QueryDict(f"code={'x' * MAX_CODE}")).code == "x" * MAX_CODE

    with pytest.raises(CallbackInvalid, match="too long"):
        AuthorizationResponse.parse(QueryDict(f"code={'x' * (MAX_CODE + 1)}"))


@pytest.mark.parametrize("code", ["caf\u00e9", "a b\x7f", "a\r\nb", "a\0"])
def test_a_code_with_characters_that_no_code_has_is_refused(code: str) -> None:
    query = QueryDict(mutable=True)
    query["code"] = code

    with pytest.raises(CallbackInvalid, match="no code has"):
        AuthorizationResponse.parse(query)


def test_an_error_without_a_code_is_read_within_its_limits() -> None:
    query = QueryDict(mutable=True)
    query.update({"error": "e" * 65, "error_description": "d" * 1025})

    assert AuthorizationResponse.parse(query) == AuthorizationResponse(error="e" * 64, description="d" * 1024)

"""Requests that must not start a sign-in."""

from __future__ import annotations

import pytest

from tests.journeys.steps import code_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("destination", ["iframe", "image", "script", "empty"])
def test_a_sign_in_is_not_started_from_inside_a_page(client, destination):
    response = client.get("/ms/start/microsoft/", headers={"Sec-Fetch-Dest": destination})

    assert response.context["code"] == "embedded_refused"
    assert not response.cookies


def test_a_form_with_text_that_cannot_be_encoded_starts_no_sign_in(client):
    body = b'--x\r\nContent-Disposition: form-data; name="next"\r\n\r\n\\ud800\r\n--x--\r\n'
    content_type = "multipart/form-data; boundary=x; charset=unicode_escape"

    response = client.generic("POST", "/ms/start/microsoft/", body, content_type=content_type)

    assert code_of(response) == "form_unreadable", response.headers

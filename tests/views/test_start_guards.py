"""Requests that must not start a sign-in."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("destination", ["iframe", "image", "script", "empty"])
def test_a_sign_in_is_not_started_from_inside_a_page(client, destination):
    response = client.get("/ms/start/microsoft/", headers={"Sec-Fetch-Dest": destination})

    assert response.context["code"] == "embedded_refused"
    assert not response.cookies


def test_a_form_in_an_unknown_charset_starts_no_sign_in(client):
    content_type = "application/x-www-form-urlencoded; charset=none-such"

    response = client.generic("POST", "/ms/start/microsoft/", b"next=/home/", content_type=content_type)

    assert response.context["code"] == "form_unreadable"

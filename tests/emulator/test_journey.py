"""Whole sign-ins by the fixture, as the tests of a project do them."""

from __future__ import annotations

import pytest
import requests

pytestmark = pytest.mark.django_db


def signed_in(client) -> bool:
    return "_auth_user_id" in client.session


def with_provider(settings, **changes):
    provider = {**settings.MS_IDENTITY["PROVIDERS"][0], **changes}
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "PROVIDERS": [provider]}


@pytest.mark.parametrize(("next_url", "location"), [(None, "/home/"), ("/home/?page=2", "/home/?page=2")])
def test_sign_in_returns_the_redirect_to_the_app(client, ms_identity_emulator, next_url, location):
    response = ms_identity_emulator.sign_in(client, persona="admin", next=next_url)

    assert (response.status_code, response["Location"]) == (302, location)
    assert signed_in(client)


@pytest.mark.parametrize("persona", ["cancel", "disabled", "admin-consent", "personal"])
def test_sign_in_of_a_refused_persona_ends_on_an_error_page(client, ms_identity_emulator, persona):
    response = ms_identity_emulator.sign_in(client, persona=persona)

    assert response.status_code >= 400
    assert not signed_in(client)


@pytest.mark.parametrize(
    ("endpoint", "failure"),
    [
        ("token", {"status": 503}),
        ("token", {"exception": requests.Timeout()}),
        ("token", {"body": "not JSON"}),
        ("keys", {"body": '{"keys": []}'}),
    ],
)
def test_sign_in_ends_on_an_error_page_while_microsoft_fails(client, ms_identity_emulator, endpoint, failure):
    # Twice, because documents are requested a second time.
    for _attempt in range(2):
        ms_identity_emulator.answer_next(endpoint, **failure)

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code >= 500
    assert not signed_in(client)


@pytest.mark.parametrize(
    ("tenant", "persona"),
    [
        ("common", "personal"),
        ("common", "work"),
        ("organizations", "guest"),
        ("consumers", "personal-without-email"),
        ("contoso.example", "many-groups"),
        ("mycompany.example", "work"),
    ],
)
def test_sign_in_works_for_every_kind_of_tenant(client, ms_identity_emulator, settings, tenant, persona):
    with_provider(settings, microsoft_tenant=tenant)

    ms_identity_emulator.sign_in(client, persona=persona)

    assert signed_in(client)


@pytest.mark.parametrize(
    ("persona", "changes"),
    [
        pytest.param("work", {}, id="work"),
        pytest.param("guest", {}, id="guest"),
        pytest.param("personal", {"microsoft_tenant": "consumers"}, id="personal"),
        pytest.param("work", {"cloud": "usgov"}, id="usgov"),
        pytest.param("work", {"cloud": "usgov_dod"}, id="usgov_dod"),
        pytest.param("work", {"cloud": "china"}, id="china"),
    ],
)
def test_sign_in_with_the_subject_from_graph(client, ms_identity_emulator, settings, persona, changes):
    with_provider(settings, subject_source="me", **changes)

    ms_identity_emulator.sign_in(client, persona=persona)

    assert signed_in(client)
    assert ms_identity_emulator.requests[-1][1].endswith("/v1.0/me")


@pytest.mark.parametrize(
    ("origin", "response_mode"), [("https://testserver", "form_post"), ("https://localhost", "query")]
)
def test_sign_in_follows_redirects_and_form_post(
    client, ms_identity_emulator, settings, origin, response_mode
):
    with_provider(settings, response_mode=response_mode)
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "BASE_REDIRECT_URI": origin}

    assert ms_identity_emulator.sign_in(client)["Location"] == "/home/"
    assert signed_in(client)


def test_sign_in_of_a_signed_in_user_sends_nothing_to_microsoft(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    before = len(ms_identity_emulator.requests)

    response = ms_identity_emulator.sign_in(client, next="/home/")

    assert response["Location"] == "/home/"
    assert len(ms_identity_emulator.requests) == before

"""Whole sign-ins by the fixture, as a project's own tests would write them."""

from __future__ import annotations

import pytest
import requests
from django.contrib.auth import get_user
from django.test import Client

pytestmark = pytest.mark.django_db


def signed_in(client) -> bool:
    return "_auth_user_id" in client.session


def with_provider(settings, **changes):
    provider = {**settings.MS_IDENTITY["PROVIDERS"][0], **changes}
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "PROVIDERS": [provider]}


def test_one_line_signs_somebody_in(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client)

    assert (response.status_code, response["Location"]) == (302, "/home/")
    assert signed_in(client)


def test_the_sign_in_leads_to_next(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client, persona="admin", next="/home/?page=2")

    assert response["Location"] == "/home/?page=2"


def test_who_turns_back_is_not_signed_in(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client, persona="cancel")

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
    # Twice, because what is only read is asked for a second time.
    for _attempt in range(2):
        ms_identity_emulator.answer_next(endpoint, **failure)

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code >= 500
    assert not signed_in(client)


@pytest.mark.parametrize("persona", ["disabled", "admin-consent", "personal"])
def test_who_is_refused_is_not_signed_in(client, ms_identity_emulator, persona):
    response = ms_identity_emulator.sign_in(client, persona=persona)

    assert response.status_code >= 400
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
def test_every_kind_of_tenant_signs_in(client, ms_identity_emulator, settings, tenant, persona):
    with_provider(settings, microsoft_tenant=tenant)

    ms_identity_emulator.sign_in(client, persona=persona)

    assert signed_in(client)


@pytest.mark.parametrize("persona", ["work", "guest"])
def test_the_subject_may_come_from_graph(client, ms_identity_emulator, settings, persona):
    with_provider(settings, subject_source="me")

    ms_identity_emulator.sign_in(client, persona=persona)

    assert signed_in(client)
    assert ms_identity_emulator.requests[-1] == ("GET", "https://graph.microsoft.com/v1.0/me")


def test_a_personal_subject_may_come_from_graph(client, ms_identity_emulator, settings):
    with_provider(settings, subject_source="me", microsoft_tenant="consumers")

    ms_identity_emulator.sign_in(client, persona="personal")

    assert signed_in(client)


def test_the_form_post_journey_is_followed(client, ms_identity_emulator, settings):
    with_provider(settings, response_mode="form_post")
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "BASE_REDIRECT_URI": "https://testserver"}

    response = ms_identity_emulator.sign_in(client)

    assert response["Location"] == "/home/"
    assert signed_in(client)


def test_a_form_without_its_cookie_is_a_refusal(client, ms_identity_emulator, settings):
    with_provider(settings, response_mode="form_post")
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "BASE_REDIRECT_URI": "https://testserver"}
    started = client.get("/ms/start/microsoft/", secure=True)

    response = ms_identity_emulator.callback(started["Location"]).send(Client())

    assert response.status_code >= 400


def test_the_host_of_base_redirect_uri_is_followed(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "BASE_REDIRECT_URI": "https://localhost"}

    ms_identity_emulator.sign_in(client)

    assert signed_in(client)


@pytest.mark.parametrize("cloud", ["usgov", "usgov_dod", "china"])
def test_other_clouds_sign_in(client, ms_identity_emulator, settings, cloud):
    with_provider(settings, cloud=cloud, subject_source="me")

    ms_identity_emulator.sign_in(client)

    assert signed_in(client)


def test_a_fault_at_microsoft_is_a_refusal(client, ms_identity_emulator):
    ms_identity_emulator.answer_next("token", status=503)

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 503
    assert not signed_in(client)


def test_a_forged_claim_is_a_refusal(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", claims={"aud": "somebody-else"})

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 403
    assert not signed_in(client)


def test_two_personas_are_two_users(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client, persona="work")
    first = get_user(client).pk
    client.logout()
    ms_identity_emulator.sign_in(client, persona="admin")

    assert get_user(client).pk != first


def test_a_signed_in_visitor_does_not_go_to_microsoft(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    asked = len(ms_identity_emulator.requests)

    response = ms_identity_emulator.sign_in(client, next="/home/")

    assert response["Location"] == "/home/"
    assert len(ms_identity_emulator.requests) == asked

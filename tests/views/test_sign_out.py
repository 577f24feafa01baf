"""Signing out, here and at Microsoft."""

from __future__ import annotations

import pytest
from django.middleware.csrf import get_token
from django.test import RequestFactory

from django_ms_identity.models import SignIn
from tests.journeys.steps import asked, sign_in_locally
from tests.support.builders import make_settings
from tests.support.web import Browser

pytestmark = pytest.mark.django_db


def test_signing_out_needs_the_csrf_token(ms_identity_emulator):
    browser = Browser(enforce_csrf_checks=True)
    ms_identity_emulator.sign_in(browser)

    refused = browser.post("/ms/sign-out/")
    assert refused.status_code == 403
    assert browser.get("/home/").content == b"ines.okafor@contoso.example"

    request = RequestFactory().get("/")
    token = get_token(request)
    browser.cookies["csrftoken"] = request.META["CSRF_COOKIE"]
    accepted = browser.post("/ms/sign-out/", {"csrfmiddlewaretoken": token})

    assert accepted.status_code == 302
    assert browser.get("/home/").content == b"nobody"


@pytest.mark.parametrize(
    ("setting", "location"), [(None, "/"), ("/bye/", "/bye/"), ("ms_identity:sign_in", "/ms/sign-in/")]
)
def test_signing_out_leads_where_the_project_says(client, ms_identity_emulator, settings, setting, location):
    settings.LOGOUT_REDIRECT_URL = setting
    ms_identity_emulator.sign_in(client)

    response = client.post("/ms/sign-out/", {"next": "https://evil.example/"})

    assert response.headers["Location"] == location
    assert SignIn.objects.get().ended_at is not None


def test_signing_out_anonymously_is_no_error(client):
    assert client.post("/ms/sign-out/").status_code == 302


def test_signing_out_can_go_by_way_of_microsoft(client, ms_identity_emulator, settings):
    settings.LOGOUT_REDIRECT_URL = "/home/"
    ms_identity_emulator.persona("work", claims={"login_hint": "O.hint"})
    ms_identity_emulator.sign_in(client)

    location = client.post("/ms/sign-out/", {"microsoft": "1"}).headers["Location"]

    assert location.startswith(
        "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/oauth2/v2.0/logout?"
    )
    assert asked(location) == {
        "post_logout_redirect_uri": "http://testserver/home/",
        "logout_hint": "O.hint",
    }
    assert client.get("/home/").content == b"nobody"
    assert SignIn.objects.get().ended_at is not None


def test_signing_out_keeps_microsofts_session_unless_it_is_asked_for(client, ms_identity_emulator, settings):
    settings.LOGOUT_REDIRECT_URL = "/home/"
    ms_identity_emulator.sign_in(client)

    assert client.post("/ms/sign-out/").headers["Location"] == "/home/"


def test_signing_out_of_a_password_session_does_not_go_to_microsoft(client, settings):
    settings.LOGOUT_REDIRECT_URL = "/home/"
    sign_in_locally(client)

    assert client.post("/ms/sign-out/", {"microsoft": "1"}).headers["Location"] == "/home/"


def test_signing_out_works_after_the_provider_is_gone(client, ms_identity_emulator, settings):
    settings.LOGOUT_REDIRECT_URL = "/home/"
    ms_identity_emulator.sign_in(client)
    settings.MS_IDENTITY = make_settings({"id": "other"})

    assert client.post("/ms/sign-out/", {"microsoft": "1"}).headers["Location"] == "/home/"
    assert client.get("/home/").content == b"nobody"


def test_signing_out_goes_to_the_emulator_in_microsofts_place(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(client)
    settings.DEBUG = True
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "EMULATOR_URL": "http://localhost:8000/emulator"}

    location = client.post("/ms/sign-out/", {"microsoft": "1"}).headers["Location"]

    assert location.startswith("http://localhost:8000/emulator/login.microsoftonline.com/")


@pytest.mark.parametrize(
    "fault", [{"EMULATOR_URL": "http://localhost:1/elsewhere"}, {"BASE_REDIRECT_URI": "http://evil.example"}]
)
def test_signing_out_with_faulty_settings_ends_the_session_and_stays_here(
    client, ms_identity_emulator, settings, fault
):
    """Settings with a fault are not acted upon, and the claim login_hint goes nowhere."""
    ms_identity_emulator.persona("work", claims={"login_hint": "O.hint"})
    ms_identity_emulator.sign_in(client)
    settings.MS_IDENTITY = make_settings(**fault)

    response = client.post("/ms/sign-out/", {"microsoft": "1"})

    assert response.headers["Location"] == "/"
    settings.MS_IDENTITY = make_settings()
    assert client.get("/home/").content == b"nobody"

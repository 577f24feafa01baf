"""The page with a button for each provider."""

from __future__ import annotations

import pytest

from tests.journeys.steps import page
from tests.support.builders import make_settings

pytestmark = pytest.mark.django_db


@pytest.fixture
def login_required(settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    settings.LOGIN_URL = "ms_identity:sign_in"


def test_a_site_that_requires_a_login_everywhere_lets_people_sign_in(
    client, ms_identity_emulator, login_required
):
    turned_away = client.get("/home/?a=1")
    assert turned_away.headers["Location"] == "/ms/sign-in/?next=/home/%3Fa%3D1"

    shown = client.get(turned_away.headers["Location"])
    (button,) = shown.context["providers"]
    location = client.get(button["url"]).headers["Location"]
    response = ms_identity_emulator.callback(location).send(client)

    assert response.headers["Location"] == "/home/?a=1"
    assert client.get("/home/?a=1").content == b"ines.okafor@contoso.example"


@pytest.mark.kratos(71)
def test_the_sign_in_page_has_a_button_for_each_provider(client, settings):
    settings.MS_IDENTITY = make_settings({"label": "Contoso"}, {"id": "partners", "label": "Partners"})

    response = client.get("/ms/sign-in/?next=/home/")

    assert response.context["providers"] == [
        {"id": "microsoft", "label": "Contoso", "url": "/ms/start/microsoft/?next=%2Fhome%2F"},
        {"id": "partners", "label": "Partners", "url": "/ms/start/partners/?next=%2Fhome%2F"},
    ]
    assert "Sign in with Partners" in page(response)


def test_the_sign_in_page_offers_a_signed_in_user_another_account(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)

    (button,) = client.get("/ms/sign-in/").context["providers"]

    assert button["url"] == "/ms/start/microsoft/?prompt=select_account"


@pytest.mark.parametrize("debug", [True, False])
def test_the_sign_in_page_tells_developers_alone_what_is_missing(client, settings, debug):
    settings.MS_IDENTITY = {}
    settings.DEBUG = debug

    response = client.get("/ms/sign-in/")

    assert response.status_code == 200
    assert ("manage.py check" in page(response)) is debug

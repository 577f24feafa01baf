"""Where a visitor may be sent afterwards: asked at the start, and again at the end."""

from __future__ import annotations

from secrets import token_urlsafe
from urllib.parse import urlencode

import pytest

from tests.support.builders import make_settings

from .steps import pick, press

ALLOWED = ["https://app.example.com/", "https://docs.example.com/team"]
BAD = ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _allowed(settings):
    settings.MS_IDENTITY = make_settings(ALLOWED_RETURN_URLS=ALLOWED)


@pytest.mark.parametrize("url", ["/home/?a=1&b=2#part", "https://docs.example.com/team/a", "/ünï"])
def test_return_to_an_allowed_url(client, ms_identity_emulator, url):
    response = ms_identity_emulator.sign_in(client, next=url)

    assert response.headers["Location"] == url.replace("ünï", "%C3%BCn%C3%AF")


@pytest.mark.kratos(86)
@pytest.mark.parametrize("url", BAD)
def test_return_to_the_default_instead_of_another_url(client, ms_identity_emulator, url):
    assert ms_identity_emulator.sign_in(client, next=url).headers["Location"] == "/home/"
    assert press(client, next=url).headers["Location"] == "/home/"


def test_return_to_is_checked_again_when_it_is_used(client, ms_identity_emulator, settings):
    callback = pick(client, ms_identity_emulator, next="https://app.example.com/x")
    settings.MS_IDENTITY = make_settings()

    assert callback.send(client).headers["Location"] == "/home/"


def test_return_to_is_checked_again_when_a_callback_is_repeated(client, ms_identity_emulator, settings):
    callback = pick(client, ms_identity_emulator, next="https://app.example.com/x")
    callback.send(client)
    settings.MS_IDENTITY = make_settings()

    assert callback.send(client).headers["Location"] == "/home/"


def test_return_to_the_default_instead_of_a_url_too_long_for_a_cookie(client, ms_identity_emulator):
    # Compressed, 'x' * 1000 would fit.
    response = ms_identity_emulator.sign_in(client, next=f"/{token_urlsafe(750)}")

    assert response.headers["Location"] == "/home/"


@pytest.mark.parametrize("url", BAD)
def test_return_to_another_url_is_not_passed_on_by_the_sign_in_page(client, url):
    response = client.get(f"/ms/sign-in/?{urlencode({'next': url})}")

    assert response.context["next"] == ""
    assert [button["url"] for button in response.context["providers"]] == ["/ms/start/microsoft/"]


@pytest.mark.kratos(89)
def test_return_to_is_kept_by_the_page_of_a_refusal(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client, "cancel", next="/home/?x")

    assert response.context["retry_url"] == "/ms/start/microsoft/?next=%2Fhome%2F%3Fx"

"""The fixture that projects use in their own tests."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest
import requests
from django.urls import get_urlconf

from django_ms_identity import conf
from django_ms_identity.testing.emulator import Emulator, ShownByMicrosoft

from .wire import CHALLENGE

LOGIN = "https://login.microsoftonline.com"
TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
CLIENT = "11111111-2222-3333-4444-555555555555"
QUERY = (
    f"client_id={CLIENT}&response_type=code&redirect_uri=https://app.example/cb&scope=openid+profile&state=s"
    f"&nonce=n&code_challenge={CHALLENGE}&code_challenge_method=S256"
)
LOCATION = f"{LOGIN}/{TENANT}/oauth2/v2.0/authorize?{QUERY}"


def test_requests_to_microsoft_are_answered_and_counted(ms_identity_emulator):
    url = f"{LOGIN}/common/discovery/v2.0/keys"

    response = requests.get(url, timeout=1)

    assert len(response.json()["keys"]) == 3
    assert response.headers["Content-Type"] == "application/json"
    assert ms_identity_emulator.requests == [("GET", url)]


def test_other_hosts_are_refused(ms_identity_emulator):
    with pytest.raises(requests.ConnectionError):
        requests.get("https://evil.example/login.microsoftonline.com/", timeout=1)


def test_a_test_may_answer_for_other_hosts(ms_identity_emulator):
    ms_identity_emulator.wire.get("https://mapper.example/", body="{}")

    assert requests.get("https://mapper.example/", timeout=1).text == "{}"


def test_an_unknown_path_does_not_exist(ms_identity_emulator):
    assert requests.get(f"{LOGIN}/nothing", timeout=1).status_code == 404


def test_the_projects_urls_are_left_as_they_were(ms_identity_emulator):
    before = get_urlconf()
    requests.get(f"{LOGIN}/common/discovery/v2.0/keys", timeout=1)

    assert get_urlconf() == before


def test_the_configured_client_and_tenant_are_known(ms_identity_emulator):
    callback = ms_identity_emulator.authorize(LOCATION)

    assert callback.startswith("https://app.example/cb?code=")


@pytest.mark.parametrize(
    ("tenant", "offered"),
    [
        ("mycompany.example", True),
        ("fabrikam.example", False),
        ("3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c", False),
    ],
)
def test_a_configured_domain_is_contoso_unless_it_is_fabrikam(
    ms_identity_emulator, settings, tenant, offered
):
    provider = {**settings.MS_IDENTITY["PROVIDERS"][0], "microsoft_tenant": tenant}
    settings.MS_IDENTITY = {"PROVIDERS": [provider]}

    callback = ms_identity_emulator.authorize(LOCATION.replace(TENANT, tenant))

    assert ("code=" in callback) is offered


def test_two_single_tenants_are_both_contoso(ms_identity_emulator, settings):
    first = settings.MS_IDENTITY["PROVIDERS"][0]
    second = {**first, "id": "second", "microsoft_tenant": "333b61b9-19d9-4613-b8c7-85827b34fffa"}
    settings.MS_IDENTITY = {"PROVIDERS": [first, second]}

    for provider in (first, second):
        assert "code=" in ms_identity_emulator.authorize(
            LOCATION.replace(TENANT, provider["microsoft_tenant"])
        )


def test_the_form_is_brought_back_with_its_fields(ms_identity_emulator):
    callback = ms_identity_emulator.callback(f"{LOCATION}&response_mode=form_post")

    assert callback.url == "https://app.example/cb"
    assert callback.fields["state"] == "s"
    with pytest.raises(ValueError, match="form_post"):
        ms_identity_emulator.authorize(f"{LOCATION}&response_mode=form_post")


def test_what_microsoft_shows_fails_the_test(ms_identity_emulator):
    with pytest.raises(ShownByMicrosoft, match="AADSTS700016: Application with identifier 'x'"):
        ms_identity_emulator.authorize(LOCATION.replace(CLIENT, "x"))


def test_who_is_refused_comes_back_with_an_error(ms_identity_emulator):
    assert "AADSTS50057" in ms_identity_emulator.authorize(LOCATION, "disabled")
    assert "AADSTS65004" in ms_identity_emulator.authorize(LOCATION, "cancel")


@pytest.mark.parametrize("location", ["/home/", "https://evil.example/", ""])
def test_only_microsofts_addresses_are_opened(ms_identity_emulator, location):
    with pytest.raises(ValueError, match="not an address of Microsoft"):
        ms_identity_emulator.authorize(location)


def test_a_misspelt_persona_is_named(ms_identity_emulator):
    with pytest.raises(ValueError, match="no persona 'wrok'; there are: work, admin"):
        ms_identity_emulator.authorize(LOCATION, "wrok")


def test_a_persona_can_be_changed(ms_identity_emulator):
    changed = ms_identity_emulator.persona("work", email=None)

    assert changed.id == "work"
    assert ms_identity_emulator.personas["work"].email is None


def test_a_new_persona_is_somebody_else(ms_identity_emulator):
    twin = ms_identity_emulator.persona("work", id="twin")

    assert twin.oid != ms_identity_emulator.personas["work"].oid
    assert "code=" in ms_identity_emulator.authorize(LOCATION, "twin")


def test_a_persona_may_be_given_by_value(ms_identity_emulator):
    stranger = replace(ms_identity_emulator.personas["work"], id="stranger", tenant="Northwind")

    assert "AADSTS50020" in ms_identity_emulator.authorize(LOCATION, stranger)


LOGOUT = f"{LOGIN}/{TENANT}/oauth2/v2.0/logout"


@pytest.mark.parametrize("back", ["https://app.example/bye/", "http://testserver/bye/"])
def test_signing_out_leads_back_to_the_app(ms_identity_emulator, back):
    query = urlencode({"post_logout_redirect_uri": back, "logout_hint": "O.opaque"})

    assert ms_identity_emulator.sign_out(f"{LOGOUT}?{query}") == back


@pytest.mark.parametrize("query", ["", "?post_logout_redirect_uri=http://evil.example/"])
def test_signing_out_without_a_way_back_ends_at_microsoft(ms_identity_emulator, query):
    assert ms_identity_emulator.sign_out(f"{LOGOUT}{query}") == ""


def test_an_error_at_sign_out_fails_the_test(ms_identity_emulator):
    with pytest.raises(ShownByMicrosoft, match="AADSTS90002"):
        ms_identity_emulator.sign_out(LOGOUT.replace(TENANT, "nobody.example"))


def test_only_microsofts_sign_out_is_opened(ms_identity_emulator):
    with pytest.raises(ValueError, match="not an address of Microsoft"):
        ms_identity_emulator.sign_out("/ms/sign-out/")


def test_a_second_factor_can_be_given_to_anybody(ms_identity_emulator):
    assert not ms_identity_emulator.personas["work"].mfa

    assert ms_identity_emulator.persona("work", mfa=True).mfa


def test_changes_end_with_the_test(ms_identity_emulator):
    assert ms_identity_emulator.personas["work"].email
    assert "twin" not in ms_identity_emulator.personas


def test_planned_answers_come_once_and_in_order(ms_identity_emulator):
    url = f"{LOGIN}/common/discovery/v2.0/keys"
    ms_identity_emulator.answer_next("keys", status=503, body="busy", headers={"Retry-After": "9"})
    ms_identity_emulator.answer_next("keys", exception=requests.ConnectTimeout())

    first = requests.get(url, timeout=1)

    assert (first.status_code, first.text, first.headers["Retry-After"]) == (503, "busy", "9")
    with pytest.raises(requests.ConnectTimeout):
        requests.get(url, timeout=1)
    assert requests.get(url, timeout=1).status_code == 200


def test_a_planned_answer_waits_for_its_endpoint(ms_identity_emulator):
    ms_identity_emulator.answer_next("token", status=500)

    assert requests.get(f"{LOGIN}/common/discovery/v2.0/keys", timeout=1).status_code == 200
    assert requests.post(f"{LOGIN}/common/oauth2/v2.0/token", timeout=1).status_code == 500


def test_an_unknown_endpoint_cannot_be_planned(ms_identity_emulator):
    with pytest.raises(ValueError, match="tokens"):
        ms_identity_emulator.answer_next("tokens")


def test_an_emulator_url_of_the_settings_does_not_count(settings):
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "EMULATOR_URL": "http://localhost:8000/emulator"}

    with Emulator():
        assert conf.get_config().emulator_url == ""
    assert "EMULATOR_URL" in settings.MS_IDENTITY

"""The fixture ``ms_identity_emulator``, for the tests of projects."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest
import requests

from django_ms_identity import conf
from django_ms_identity.emulator.tenants import FABRIKAM
from django_ms_identity.testing.emulator import Emulator, ShownByMicrosoft

from .wire import QUERY

LOGIN = "https://login.microsoftonline.com"
KEYS = f"{LOGIN}/common/discovery/v2.0/keys"
TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
OTHER_TENANT = "333b61b9-19d9-4613-b8c7-85827b34fffa"
CLIENT = "11111111-2222-3333-4444-555555555555"
PARAMETERS = QUERY | {"client_id": CLIENT, "redirect_uri": "https://app.example/cb"}
LOCATION = f"{LOGIN}/{TENANT}/oauth2/v2.0/authorize?{urlencode(PARAMETERS)}"
LOGOUT = f"{LOGIN}/{TENANT}/oauth2/v2.0/logout"


def test_requests_to_microsoft_are_answered_and_recorded(ms_identity_emulator):
    response = requests.get(KEYS, timeout=1)

    assert len(response.json()["keys"]) == 3
    assert response.headers["Content-Type"] == "application/json"
    assert ms_identity_emulator.requests == [("GET", KEYS)]
    assert requests.get(f"{LOGIN}/nothing", timeout=1).status_code == 404


def test_wire_answers_for_other_hosts(ms_identity_emulator):
    ms_identity_emulator.wire.get("https://mapper.example/", body="{}")

    assert requests.get("https://mapper.example/", timeout=1).text == "{}"
    with pytest.raises(requests.ConnectionError):
        requests.get("https://evil.example/login.microsoftonline.com/", timeout=1)


@pytest.mark.parametrize(
    ("tenant", "works", "home"),
    [
        ("mycompany.example", True, TENANT),
        (OTHER_TENANT, True, OTHER_TENANT),
        ("fabrikam.example", False, TENANT),
        (FABRIKAM.id, False, TENANT),
    ],
)
def test_configured_tenants_are_contoso_unless_fabrikam(ms_identity_emulator, settings, tenant, works, home):
    own = settings.MS_IDENTITY["PROVIDERS"][0]
    settings.MS_IDENTITY = {"PROVIDERS": [{**own, "id": "first", "microsoft_tenant": tenant}, own]}

    assert ms_identity_emulator.authorize(LOCATION).startswith("https://app.example/cb?code=")
    assert ("code=" in ms_identity_emulator.authorize(LOCATION.replace(TENANT, tenant))) is works
    assert ms_identity_emulator.microsoft.home(ms_identity_emulator.personas["work"]).id == home


def test_callback_has_the_fields_of_form_post(ms_identity_emulator):
    callback = ms_identity_emulator.callback(f"{LOCATION}&response_mode=form_post")

    assert callback.url == "https://app.example/cb"
    assert callback.fields["state"] == QUERY["state"]
    with pytest.raises(ValueError, match="form_post"):
        ms_identity_emulator.authorize(f"{LOCATION}&response_mode=form_post")


def test_refused_persona_comes_back_with_an_error(ms_identity_emulator):
    assert "AADSTS50057" in ms_identity_emulator.authorize(LOCATION, "disabled")
    assert "AADSTS65004" in ms_identity_emulator.authorize(LOCATION, "cancel")


def test_error_page_of_microsoft_fails_the_test(ms_identity_emulator):
    with pytest.raises(ShownByMicrosoft, match="AADSTS700016: Application with identifier 'x'"):
        ms_identity_emulator.authorize(LOCATION.replace(CLIENT, "x"))
    with pytest.raises(ShownByMicrosoft, match="AADSTS90002"):
        ms_identity_emulator.sign_out(LOGOUT.replace(TENANT, "nobody.example"))


@pytest.mark.parametrize("location", ["/home/", "https://evil.example/", ""])
@pytest.mark.parametrize("method", ["authorize", "sign_out"])
def test_only_addresses_of_microsoft_are_opened(ms_identity_emulator, method, location):
    with pytest.raises(ValueError, match="not an address of Microsoft"):
        getattr(ms_identity_emulator, method)(location)


def test_misspelt_persona_is_named_in_the_error(ms_identity_emulator):
    with pytest.raises(ValueError, match="no persona 'wrok'; there are: work, admin"):
        ms_identity_emulator.authorize(LOCATION, "wrok")


def test_persona_change_ends_with_the_emulator(ms_identity_emulator):
    changed = ms_identity_emulator.persona("work", email=None)

    assert changed.id == "work"
    assert ms_identity_emulator.personas["work"].email is None
    assert Emulator().personas["work"].email


def test_persona_with_a_new_id_has_its_own_oid(ms_identity_emulator):
    twin = ms_identity_emulator.persona("work", id="twin")

    assert twin.oid != ms_identity_emulator.personas["work"].oid
    assert "code=" in ms_identity_emulator.authorize(LOCATION, "twin")


def test_persona_may_be_given_by_value(ms_identity_emulator):
    stranger = replace(ms_identity_emulator.personas["work"], id="stranger", tenant="Northwind")

    assert "AADSTS50020" in ms_identity_emulator.authorize(LOCATION, stranger)


@pytest.mark.parametrize("back", ["https://app.example/bye/", "http://testserver/bye/", ""])
def test_sign_out_returns_the_redirect_uri(ms_identity_emulator, back):
    query = urlencode({"post_logout_redirect_uri": back, "logout_hint": "O.opaque"})

    assert ms_identity_emulator.sign_out(f"{LOGOUT}?{query}") == back


def test_planned_answers_are_sent_once_and_in_order(ms_identity_emulator):
    ms_identity_emulator.answer_next("keys", status=503, body="busy", headers={"Retry-After": "9"})
    ms_identity_emulator.answer_next("keys", exception=requests.ConnectTimeout())
    ms_identity_emulator.answer_next("token", status=500)

    first = requests.get(KEYS, timeout=1)

    assert (first.status_code, first.text, first.headers["Retry-After"]) == (503, "busy", "9")
    with pytest.raises(requests.ConnectTimeout):
        requests.get(KEYS, timeout=1)
    assert requests.get(KEYS, timeout=1).status_code == 200
    assert requests.post(f"{LOGIN}/common/oauth2/v2.0/token", timeout=1).status_code == 500


def test_planned_answer_of_an_unknown_endpoint_is_refused(ms_identity_emulator):
    with pytest.raises(ValueError, match="tokens"):
        ms_identity_emulator.answer_next("tokens")


def test_emulator_url_of_the_settings_is_ignored(settings):
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "EMULATOR_URL": "http://localhost:8000/emulator"}

    with Emulator():
        assert conf.get_config().emulator_url == ""
    assert "EMULATOR_URL" in settings.MS_IDENTITY

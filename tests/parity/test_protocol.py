"""What is asked of Microsoft, and what of its answer is believed."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from django_ms_identity.models import Credential, Identity, SignIn
from tests.journeys.steps import NOTHING, asked, code_of, page, pick, press, rows
from tests.support.builders import make_mapper, make_settings
from tests.support.web import Browser

from .steps import HOME, SEES_CLAIMS, row, who

pytestmark = pytest.mark.django_db

FABRIKAM = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
PKCE = [pytest.param({}, id="default"), *({"pkce": value} for value in ("auto", "force", "never"))]


def start(client, **query):
    """Press the button and read what Microsoft is asked."""
    return asked(press(client, **query).headers["Location"])


# Claims and subjects


@row(1)
def test_a_status_of_graphs_is_a_refusal_that_names_it(client, ms_identity_emulator, settings, caplog):
    settings.MS_IDENTITY = make_settings({"subject_source": "me"})
    ms_identity_emulator.answer_next("me", status=455)

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("microsoft_answer_invalid", 502)
    assert "455" in caplog.text
    assert rows() == NOTHING


@row(2)
def test_graphs_id_becomes_the_subject_and_raw_claims_keep_the_original(
    client, ms_identity_emulator, settings
):
    settings.MS_IDENTITY = make_settings(
        {"microsoft_tenant": "consumers", "subject_source": "me", "mapper_url": SEES_CLAIMS}
    )

    ms_identity_emulator.sign_in(client, "personal")

    claims = Identity.objects.get().metadata_public["claims"]
    raw = claims["raw_claims"]
    assert claims["sub"] == Credential.objects.get().subject == "4a3f19c0d27be865"
    assert raw["sub"] not in ("", claims["sub"], raw["oid"])
    assert claims["iss"] == raw["iss"] == f"https://login.microsoftonline.com/{raw['tid']}/v2.0"
    assert (claims["name"], claims["email"]) == ("Jonas Abara", "jonas.abara@outlook.example")
    assert {"tid", "aud", "exp", "iat"} <= set(raw)


@row(3)
@pytest.mark.parametrize("name", ["sub", "iss"])
@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
def test_a_token_names_its_issuer_and_its_subject(client, ms_identity_emulator, name, value):
    ms_identity_emulator.persona("work", claims={name: value})

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("token_rejected", 403)
    assert rows() == NOTHING


@row(7)
@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        pytest.param("en-GB", "en-GB", id="text"),
        pytest.param({"language": "en", "country": "GB"}, "en-GB", id="object"),
        pytest.param({"language": "en"}, "en", id="language alone"),
        pytest.param({"country": "GB"}, "GB", id="country alone"),
        pytest.param({}, "absent", id="empty object"),
        pytest.param("", "absent", id="empty text"),
    ],
)
def test_a_locale_is_text_or_an_object(client, ms_identity_emulator, settings, sent, seen):
    mapper = make_mapper("{identity: {traits: {locale: std.get(std.extVar('claims'), 'locale', 'absent')}}}")
    settings.MS_IDENTITY = make_settings({"mapper_url": mapper})
    ms_identity_emulator.persona("work", claims={"locale": sent})

    ms_identity_emulator.sign_in(client)

    assert Identity.objects.get().traits == {"locale": seen}


@row(7)
@pytest.mark.parametrize("sent", [7, ["en"], {"language": 7}], ids=["number", "list", "object of numbers"])
def test_a_locale_of_another_type_refuses_the_sign_in(client, ms_identity_emulator, sent):
    ms_identity_emulator.persona("work", claims={"locale": sent})

    assert code_of(ms_identity_emulator.sign_in(client)) == "claims_invalid"
    assert rows() == NOTHING


@row(12)
@pytest.mark.parametrize(
    ("provider", "claims", "aal"),
    [
        pytest.param({}, {"acr": "mfa", "amr": ["mfa"]}, "aal1", id="nothing is listed"),
        pytest.param({"aal2_acr_values": ["mfa"]}, {"acr": "mfa"}, "aal2", id="acr is listed"),
        pytest.param(
            {"aal2_acr_values": ["a", "mfa"]}, {"acr": "mfa"}, "aal2", id="acr is one of the listed"
        ),
        pytest.param({"aal2_acr_values": ["mfa"]}, {"acr": "pwd"}, "aal1", id="acr is not listed"),
        pytest.param({"aal2_acr_values": ["mfa"]}, {"acr": "MFA"}, "aal1", id="acr in another case"),
        pytest.param({"aal2_acr_values": ["mfa"]}, {}, "aal1", id="no acr"),
        pytest.param({"aal2_acr_values": [""]}, {"acr": ""}, "aal1", id="acr is empty and listed"),
        pytest.param({"aal2_acr_values": [""]}, {}, "aal1", id="no acr, and an empty one is listed"),
        pytest.param({"aal2_amr_values": ["mfa"]}, {"amr": ["pwd", "mfa"]}, "aal2", id="one amr is listed"),
        pytest.param({"aal2_amr_values": ["mfa"]}, {"amr": ["pwd"]}, "aal1", id="no amr is listed"),
        pytest.param({"aal2_amr_values": ["mfa"]}, {}, "aal1", id="no amr"),
        pytest.param({"aal2_amr_values": ["mfa"]}, {"acr": "mfa"}, "aal1", id="acr is listed as amr"),
        pytest.param(
            {"aal2_acr_values": ["x"], "aal2_amr_values": ["mfa"]},
            {"acr": "pwd", "amr": ["mfa"]},
            "aal2",
            id="one of the two is enough",
        ),
    ],
)
def test_a_second_factor_is_what_the_provider_lists(
    client, ms_identity_emulator, settings, provider, claims, aal
):
    settings.MS_IDENTITY = make_settings(provider)
    ms_identity_emulator.persona("work", claims=claims)

    ms_identity_emulator.sign_in(client)

    assert SignIn.objects.get().aal == aal


@row(19)
@pytest.mark.parametrize("tenant", [FABRIKAM, "common"], ids=["another tenant", "no tenant"])
def test_an_issuer_that_is_not_the_tenants_is_refused(client, ms_identity_emulator, tenant):
    issuer = f"https://login.microsoftonline.com/{tenant}/v2.0"
    ms_identity_emulator.persona("work", claims={"iss": issuer})

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("token_rejected", 403)
    assert rows() == NOTHING


@row(22)
def test_openid_is_always_asked_and_a_missing_id_token_is_told(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({"scope": ["email", "offline_access"]})
    ms_identity_emulator.answer_next("token", body='{"access_token": "x", "token_type": "Bearer"}')

    response = ms_identity_emulator.sign_in(client)

    assert sorted(start(client)["scope"].split()) == ["email", "openid", "profile"]
    assert (code_of(response), response.status_code) == ("microsoft_answer_invalid", 502)
    assert response.context["retry_url"] == "/ms/start/microsoft/"
    assert rows() == NOTHING


# What Microsoft is asked


@row(4)
def test_a_login_hint_never_reaches_microsoft(client):
    query = start(client, login_hint="somebody@contoso.example", prompt="login")

    assert "login_hint" not in query
    assert query["prompt"] == "login"


@row(5, 54)
@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("prompt", "select_account", "select_account"),
        ("prompt", "none", None),
        ("hd", "contoso.example", None),
        ("auth_type", "reauthenticate", None),
        ("acr_values", "c1", None),
    ],
)
def test_of_what_a_link_asks_for_microsoft_hears_only_a_prompt(client, name, value, sent):
    assert start(client, **{name: value}).get(name) == sent


@row(6, 54)
def test_a_parameter_that_nobody_knows_is_dropped(client, ms_identity_emulator):
    location = press(client, lol="foo").headers["Location"]

    assert "lol" not in asked(location)
    assert ms_identity_emulator.callback(location).send(client).headers["Location"] == HOME


@row(8)
def test_the_redirect_uri_is_on_the_site_where_the_sign_in_starts(client):
    location = client.get("/ms/start/microsoft/", headers={"Host": "localhost"}).headers["Location"]

    assert asked(location)["redirect_uri"] == "http://localhost/ms/callback/microsoft/"


@row(9)
def test_base_redirect_uri_replaces_the_sites_address(client, settings):
    settings.MS_IDENTITY = make_settings(BASE_REDIRECT_URI="https://www.example.com")
    settings.ALLOWED_HOSTS = ["*"]

    moved = press(client).headers["Location"]
    assert moved.startswith("https://www.example.com/ms/start/microsoft/")
    response = client.get(moved.removeprefix("https://www.example.com"), headers={"Host": "www.example.com"})

    redirect_uri = asked(response.headers["Location"])["redirect_uri"]
    assert redirect_uri == "https://www.example.com/ms/callback/microsoft/"


@row(10)
def test_a_new_proof_is_asked_for_by_max_age_and_not_by_a_prompt(client, ms_identity_emulator):
    plain = start(client)
    ms_identity_emulator.sign_in(client)

    anew = asked(client.get("/ms/step-up/?need=recent").headers["Location"])

    assert ("max_age" in plain, "prompt" in plain) == (False, False)
    assert (anew["max_age"], "prompt" in anew) == ("0", False)
    assert json.loads(anew["claims"])["id_token"]["auth_time"] == {"essential": True}


@row(11)
def test_requested_claims_are_sent_as_json(client, settings):
    claims = {"id_token": {"ctry": {"essential": True}}, "userinfo": {"picture": None}}
    settings.MS_IDENTITY = make_settings({"requested_claims": claims})

    assert json.loads(start(client)["claims"]) == claims


@row(14)
def test_no_setting_names_a_host_that_is_asked_in_microsofts_place(client, ms_identity_emulator, settings):
    inside = "http://169.254.169.254/latest"
    settings.MS_IDENTITY = make_settings({"issuer_url": inside, "auth_url": inside, "token_url": inside})

    location = press(client).headers["Location"]
    response = ms_identity_emulator.callback(location).send(client)

    assert urlsplit(location).netloc == "login.microsoftonline.com"
    assert response.headers["Location"] == HOME
    asked_hosts = {urlsplit(url).netloc for _, url in ms_identity_emulator.requests}
    assert asked_hosts == {"login.microsoftonline.com"}


# State and PKCE


@row(13)
@pytest.mark.parametrize("provider", PKCE)
@pytest.mark.parametrize("issuer", [{}, {"issuer_url": "https://issuer.example/"}], ids=["", "issuer_url"])
def test_pkce_is_used_whatever_is_set(client, ms_identity_emulator, settings, provider, issuer):
    settings.MS_IDENTITY = make_settings(provider | issuer)

    query = start(client)

    assert (query["code_challenge_method"], len(query["code_challenge"])) == ("S256", 43)
    assert ms_identity_emulator.requests == []


@row(27, 32)
@pytest.mark.parametrize("provider", PKCE)
def test_the_callback_names_its_provider_whatever_pkce_says(client, ms_identity_emulator, settings, provider):
    settings.MS_IDENTITY = make_settings(provider)

    location = press(client).headers["Location"]
    response = ms_identity_emulator.callback(location).send(client)

    assert asked(location)["redirect_uri"] == "http://testserver/ms/callback/microsoft/"
    assert asked(location)["code_challenge"]
    assert response.headers["Location"] == HOME


@row(16)
def test_a_state_is_random_and_opens_only_the_flow_that_it_began(client, ms_identity_emulator):
    first, second = start(Browser()), press(client).headers["Location"]
    assert first["state"] != asked(second)["state"]
    callback = ms_identity_emulator.callback(second)
    other = Browser()
    start(other)
    ((own, _),) = client.cookies.items()
    ((_, foreign),) = other.cookies.items()
    client.cookies[own] = foreign.value

    response = callback.send(client)

    assert (code_of(response), response.status_code) == ("flow_invalid", 400)
    assert rows() == NOTHING


@row(16)
def test_what_a_flow_holds_is_neither_in_its_state_nor_readable(client):
    location = press(client, next="/home/secret-place").headers["Location"]

    ((name, cookie),) = client.cookies.items()
    state = asked(location)["state"]
    assert len(state) <= 64
    for part in ("microsoft", "secret-place", state, asked(location)["nonce"]):
        assert part not in f"{name}={cookie.value}".replace("ms_identity", "")
    assert "microsoft" not in state


@row(17)
@pytest.mark.parametrize(("host", "secure"), [("localhost", False), ("testserver", True)])
def test_a_flow_ends_on_the_host_where_it_started(client, ms_identity_emulator, settings, host, secure):
    settings.SESSION_COOKIE_SECURE = True  # The same cookie name on both schemes.
    callback = pick(client, ms_identity_emulator)

    path = callback.url.removeprefix("http://testserver")
    response = client.get(path, headers={"Host": host}, secure=secure)

    assert (code_of(response), response.status_code) == ("flow_mismatch", 400)
    assert rows() == NOTHING


@row(28)
def test_a_verifier_that_does_not_fit_is_refused_in_our_own_words(client, ms_identity_emulator):
    location = press(client).headers["Location"]
    challenge = asked(location)["code_challenge"]
    callback = ms_identity_emulator.callback(location.replace(challenge, "x" * 43))

    response = callback.send(client)

    assert (code_of(response), response.status_code) == ("code_expired", 400)
    assert "verifier" not in page(response).lower()
    assert rows() == NOTHING


@row(29)
def test_a_challenge_taken_off_the_redirect_helps_nobody(client, ms_identity_emulator):
    location = press(client).headers["Location"]
    challenge = asked(location)["code_challenge"]
    stripped = location.replace(f"&code_challenge={challenge}", "").replace("&code_challenge_method=S256", "")
    assert "code_challenge" not in stripped

    response = ms_identity_emulator.callback(stripped).send(client)

    assert code_of(response)
    assert rows() == NOTHING


@row(29)
def test_the_verifier_is_sent_with_every_code(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator)
    mismatch = {"error": "invalid_grant", "error_description": "AADSTS501481: planted"}
    ms_identity_emulator.answer_next("token", status=400, body=json.dumps(mismatch))

    response = callback.send(client)

    (call,) = ms_identity_emulator.wire.calls
    assert len(parse_qs(call.request.body)["code_verifier"][0]) >= 43
    assert (code_of(response), response.status_code) == ("code_expired", 400)
    assert "planted" not in page(response)
    assert rows() == NOTHING


@row(30)
def test_a_code_of_another_flow_is_refused(client, ms_identity_emulator):
    mine = start(client)
    stolen = asked(pick(Browser(), ms_identity_emulator, "admin").url)

    response = client.get("/ms/callback/microsoft/", {"state": mine["state"], "code": stolen["code"]})

    assert (code_of(response), response.status_code) == ("code_expired", 400)
    assert who(client) == "nobody"
    assert rows() == NOTHING


@row(31)
def test_a_flow_of_one_provider_does_not_end_at_another(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({}, {"id": "other"})
    callback = pick(client, ms_identity_emulator)

    response = client.get(callback.url.replace("/microsoft/", "/other/"))

    assert (code_of(response), response.status_code) == ("flow_invalid", 400)
    assert rows() == NOTHING

"""The authorize endpoint: the pages it shows, and what it sends back to the app."""

from __future__ import annotations

import json
import re

import pytest
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_ms_identity.emulator import TENANT_ID
from django_ms_identity.emulator.authorize import authorize
from django_ms_identity.emulator.microsoft import ENVIRON_KEY, Microsoft

from .wire import LOGIN, QUERY, REDIRECT_URI, query_of

WORKERS = {
    "work",
    "admin",
    "mfa",
    "collides",
    "no-email",
    "guest",
    "many-groups",
    "disabled",
    "admin-consent",
}
PERSONAL = {"personal", "personal-without-email"}
FABRIKAM = "fabrikam.example"


def offered(response) -> set[str]:
    assert response.status_code == 200
    return set(re.findall(r'data-persona="([^"]+)"', response.content.decode())) - {"cancel"}


def test_redirect_carries_code_and_state_to_the_app(wire):
    response = wire.authorize(persona="work")

    assert response["Location"].startswith(f"{REDIRECT_URI}?")
    answer = query_of(response)
    assert set(answer) == {"code", "state", "session_state", "client_info"}
    assert answer["state"] == "st&te"


def test_form_post_carries_code_and_state_to_the_app(wire):
    response = wire.authorize(persona="work", response_mode="form_post")

    page = response.content.decode()
    assert f'<form method="post" action="{REDIRECT_URI}">' in page
    assert 'name="state" value="st&amp;te"' in page
    assert 'name="code"' in page


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"tenant": "nobody.example"}, 90002, id="unknown tenant"),
        pytest.param({"client_id": None}, 900144, id="no client"),
        pytest.param({"client_id": "stranger"}, 700016, id="unknown client"),
        pytest.param({"redirect_uri": None}, 50011, id="no redirect URI"),
        pytest.param({"redirect_uri": "http://app.example/cb"}, 50011, id="http off this machine"),
        pytest.param({"redirect_uri": "http://localhost.evil.example/cb"}, 50011, id="localhost as a prefix"),
        pytest.param({"redirect_uri": "https://app.example/cb#x"}, 50011, id="fragment"),
        pytest.param({"redirect_uri": "https://user@app.example/cb"}, 50011, id="user"),
        pytest.param({"redirect_uri": "https://*.app.example/cb"}, 50011, id="wildcard"),
        pytest.param({"redirect_uri": "https://app.example/" + "a" * 256}, 50011, id="too long"),
        pytest.param({"redirect_uri": "javascript:alert(1)"}, 50011, id="script"),
        pytest.param({"redirect_uri": "//app.example/cb"}, 50011, id="no scheme"),
        pytest.param({"redirect_uri": "https://[app/cb"}, 50011, id="not a URL"),
    ],
)
def test_error_is_shown_without_a_valid_redirect_uri(wire, changes, code):
    response = wire.authorize(persona="work", **changes)

    assert response.status_code == 400
    assert f"AADSTS{code}:" in response.content.decode()


def test_authorize_request_may_be_posted_without_duplicates(wire):
    path = f"/{LOGIN}/{TENANT_ID}/oauth2/v2.0/authorize"

    assert query_of(wire.client.post(path, {**QUERY, "persona": "work"}))["code"]
    assert "AADSTS9000411:" in wire.client.post(path, {"client_id": ["a", "b"]}).content.decode()


@pytest.mark.parametrize("uri", ["http://localhost/cb", "http://127.0.0.1:9/cb", "https://app.example/cb"])
def test_redirect_uri_that_can_be_registered_is_accepted(wire, uri):
    assert wire.authorize(persona="work", redirect_uri=uri)["Location"].startswith(uri)


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        pytest.param({"response_type": None}, "invalid_request", 900144, id="no response_type"),
        pytest.param({"response_type": "id_token"}, "unsupported_response_type", 70005, id="implicit"),
        pytest.param({"response_mode": "fragment"}, "invalid_request", 70007, id="fragment"),
        pytest.param({"scope": None}, "invalid_request", 900144, id="no scope"),
        pytest.param({"scope": "profile email"}, "invalid_scope", 70011, id="no openid"),
        pytest.param({"state": None}, "invalid_request", 900144, id="no state"),
        pytest.param({"nonce": None}, "invalid_request", 900144, id="no nonce"),
        pytest.param({"code_challenge": None}, "invalid_request", 900144, id="no PKCE"),
        pytest.param({"code_challenge": "short"}, "invalid_request", 501491, id="short challenge"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", 50149, id="plain PKCE"),
        pytest.param({"prompt": "please"}, "invalid_request", 90023, id="unknown prompt"),
        pytest.param({"prompt": "none"}, "login_required", 50058, id="silent"),
        pytest.param({"claims": "{"}, "invalid_request", 9002313, id="broken claims"),
        pytest.param({"claims": "[]"}, "invalid_request", 9002313, id="claims not an object"),
        pytest.param({"claims": '{"id_token": 1}'}, "invalid_request", 9002313, id="id_token not an object"),
        pytest.param({"claims": "[" * 100_000}, "invalid_request", 9002313, id="deep claims"),
        pytest.param({"persona": "cancel"}, "access_denied", 65004, id="cancelled"),
    ],
)
def test_other_errors_are_sent_to_the_redirect_uri(wire, changes, error, code):
    answer = query_of(wire.authorize(**{"persona": "work", **changes}))

    assert answer["error"] == error
    assert re.fullmatch(
        rf"AADSTS{code}: .+ Trace ID: \S{{36}} Correlation ID: \S{{36}} Timestamp: [-\d]{{10}} [:\d]{{8}}Z",
        answer["error_description"],
    )
    assert answer["error_uri"] == f"https://login.microsoftonline.com/error?code={code}"
    assert answer.get("state") == ({**QUERY, **changes}["state"])
    assert "code" not in answer


@pytest.mark.parametrize(
    ("host", "tenant", "personas"),
    [
        pytest.param(LOGIN, TENANT_ID, WORKERS, id="Contoso"),
        pytest.param(LOGIN, "contoso.example", WORKERS, id="Contoso by domain"),
        pytest.param(LOGIN, FABRIKAM, {"guest"}, id="Fabrikam"),
        pytest.param(LOGIN, "organizations", WORKERS, id="organizations"),
        pytest.param(LOGIN, "consumers", PERSONAL, id="consumers"),
        pytest.param(LOGIN, "common", WORKERS | PERSONAL, id="common"),
        pytest.param("login.microsoftonline.us", "common", WORKERS, id="common in another cloud"),
    ],
)
def test_picker_offers_the_personas_that_may_sign_in(wire, host, tenant, personas):
    assert offered(wire.authorize(tenant, host=host)) == personas


@pytest.mark.parametrize(
    ("tenant", "persona", "code"),
    [
        pytest.param(TENANT_ID, "personal", 50020, id="personal in a tenant"),
        pytest.param(FABRIKAM, "work", 50020, id="work in another tenant"),
        pytest.param("organizations", "personal", 500208, id="personal in organizations"),
        pytest.param("consumers", "work", 500208, id="work in consumers"),
        pytest.param(TENANT_ID, "disabled", 50057, id="disabled"),
        pytest.param(TENANT_ID, "admin-consent", 90094, id="not approved"),
    ],
)
def test_refused_persona_sees_an_error_page_and_can_return(wire, tenant, persona, code):
    page = wire.authorize(tenant, persona=persona).content.decode()
    answer = query_of(wire.authorize(tenant, persona=persona, **{"return": "1"}))

    assert f"AADSTS{code}:" in page
    assert "return=1" in page
    assert answer["error"] == "access_denied"
    assert answer["error_description"].startswith(f"AADSTS{code}:")


@pytest.mark.parametrize("hint", ["Dagny.Moreau@contoso.example", "claim"])
def test_login_hint_puts_its_account_first(wire, hint):
    if hint == "claim":
        hint = wire.claims(persona="many-groups")["login_hint"]

    page = wire.authorize(login_hint=hint).content.decode()

    assert page.index("Dagny") < page.index("Ines")
    assert page.count("autofocus") == 1


@pytest.mark.parametrize("prompt", ["login", "select_account", "consent"])
def test_prompt_and_unknown_persona_show_the_picker(wire, prompt):
    assert "work" in offered(wire.authorize(prompt=prompt, persona="nobody"))
    assert query_of(wire.authorize(prompt=prompt, persona="work"))["code"]


def test_picker_links_keep_the_request(wire):
    page = wire.authorize().content.decode()

    link = re.search(r'href="([^"]*persona=work)"', page)[1].replace("&amp;", "&")
    path = f"/login.microsoftonline.com/{TENANT_ID}/oauth2/v2.0/authorize{link}"
    assert query_of(wire.get(path))["state"] == "st&te"


def test_pages_escape_input_and_set_security_headers(wire):
    response = wire.authorize(login_hint="<script>alert(1)</script>", state='"><script>')

    assert "<script" not in response.content.decode()
    assert "style=" not in response.content.decode()
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert response["Cache-Control"] == "no-store"


@pytest.mark.urls("django_ms_identity.testing.urls")
# The first draw of text reads Unicode's tables, which takes a moment.
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    parameters=st.dictionaries(
        st.sampled_from([*QUERY, "persona", "claims", "response_mode", "prompt", "login_hint", "max_age"]),
        st.text(max_size=40)
        | st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=4).map(
            lambda value: json.dumps({"id_token": {"acrs": {"values": value}}})
        ),
    )
)
def test_authorize_endpoint_answers_arbitrary_parameters(parameters):
    microsoft = Microsoft(clients={QUERY["client_id"]: "secret"})
    request = RequestFactory().get("/", {**QUERY, "persona": "work", **parameters})
    request.META[ENVIRON_KEY] = microsoft
    response = authorize(request, host="login.microsoftonline.com", tenant="common")

    assert response.status_code in (200, 302, 400)

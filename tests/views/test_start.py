"""Where a sign-in starts: what Microsoft is asked, and from which host."""

from __future__ import annotations

import pytest
from django.test import override_settings

from tests.journeys.steps import asked, code_of, press, rows
from tests.support.builders import make_settings
from tests.support.web import Browser

pytestmark = pytest.mark.django_db


def flow_cookies(client):
    return [name for name in client.cookies if "ms_identity_flow_" in name]


@pytest.mark.kratos(27, 32)
def test_start_sends_the_browser_to_microsoft_with_what_protects_the_flow(client):
    response = press(client)

    assert response.status_code == 302
    location = response.headers["Location"]
    assert location.startswith(
        "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/oauth2/v2.0/authorize?"
    )
    query = asked(location)
    assert query["redirect_uri"] == "http://testserver/ms/callback/microsoft/"
    assert (query["response_type"], query["response_mode"]) == ("code", "query")
    assert (query["code_challenge_method"], len(query["code_challenge"])) == ("S256", 43)
    assert query["state"]
    assert query["nonce"]


@pytest.mark.kratos(16)
def test_each_start_is_another_flow(client):
    first, second = (asked(press(client).headers["Location"]) for _ in range(2))

    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))
    assert len(flow_cookies(client)) == 2


@pytest.mark.kratos(5, 54)
@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("login", "login"),
        ("select_account", "select_account"),
        ("consent", "consent"),
        ("create", "create"),
        ("none", None),
        ("", None),
        ("login consent", None),
        ("<script>", None),
    ],
)
def test_start_passes_a_few_prompts_on(client, prompt, sent):
    assert asked(press(client, prompt=prompt).headers["Location"]).get("prompt") == sent


def test_start_prefers_the_configured_prompt(client, settings):
    settings.MS_IDENTITY = make_settings({"prompt": "select_account", "domain_hint": "contoso.example"})

    query = asked(press(client, prompt="login").headers["Location"])

    assert (query["prompt"], query["domain_hint"]) == ("select_account", "contoso.example")


@pytest.mark.kratos(4, 5, 6, 54)
@pytest.mark.parametrize(
    "parameter",
    [
        "login_hint",
        "domain_hint",
        "scope",
        "redirect_uri",
        "claims",
        "state",
        "hd",
        "auth_type",
        "acr_values",
        "planted",
    ],
)
def test_start_passes_no_other_parameter_on(client, parameter):
    plain = asked(press(client).headers["Location"])

    query = asked(press(client, **{parameter: "planted"}).headers["Location"])

    assert "planted" not in "".join(query.values())
    assert set(query) == set(plain)


@pytest.mark.kratos(52)
def test_start_sends_a_signed_in_user_straight_on(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    before = rows()

    assert press(client, next="/home/?x=1").headers["Location"] == "/home/?x=1"
    assert press(client).headers["Location"] == "/home/"
    assert press(client, prompt="login").headers["Location"].startswith("https://login.microsoftonline.com/")
    assert rows() == before


def test_the_start_may_be_posted(client):
    response = client.post("/ms/start/microsoft/", {"next": "/home/?posted", "prompt": "login"})

    assert asked(response.headers["Location"])["prompt"] == "login"


@pytest.mark.parametrize("destination", ["iframe", "frame", "image", "script", "empty", "embed"])
def test_start_is_refused_inside_another_page(client, destination):
    response = client.get("/ms/start/microsoft/", headers={"Sec-Fetch-Dest": destination})

    assert (code_of(response), response.status_code) == ("embedded_refused", 403)
    assert flow_cookies(client) == []


@pytest.mark.kratos(37)
@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Dest": "document"}, {"Accept": "application/json"}])
def test_start_is_a_navigation(client, headers):
    assert client.get("/ms/start/microsoft/", headers=headers).status_code == 302


@pytest.mark.kratos(18)
def test_start_at_an_unknown_provider_is_refused(client):
    response = press(client, "nobody")

    assert (code_of(response), response.status_code) == ("provider_unknown", 404)
    assert response.context["retry_url"] == "/ms/sign-in/"


def test_start_by_a_form_that_cannot_be_read_is_refused(client):
    form = "application/x-www-form-urlencoded; charset=utf-16"

    response = client.generic("POST", "/ms/start/microsoft/", b"next=/home/", content_type=form)

    assert (code_of(response), response.status_code) == ("form_unreadable", 400)


BASE = make_settings(BASE_REDIRECT_URI="https://www.example.com")


@override_settings(MS_IDENTITY=BASE, ALLOWED_HOSTS=["*"])
def test_start_moves_to_the_host_of_base_redirect_uri(client):
    response = press(client, next="/home/", prompt="login")

    location = response.headers["Location"]
    assert location.startswith("https://www.example.com/ms/start/microsoft/?")
    assert asked(location) == {"next": "/home/", "prompt": "login", "ms_identity_hop": "1"}
    assert flow_cookies(client) == []


@override_settings(MS_IDENTITY=BASE, ALLOWED_HOSTS=["*"])
def test_a_posted_start_that_moves_keeps_its_parameters(client):
    response = client.post("/ms/start/microsoft/", {"next": "/home/", "prompt": "login", "planted": "x"})

    assert asked(response.headers["Location"]) == {
        "next": "/home/",
        "prompt": "login",
        "ms_identity_hop": "1",
    }


@override_settings(MS_IDENTITY=BASE, ALLOWED_HOSTS=["*"])
def test_start_moves_from_http_to_https(client):
    """The flow cookie is Secure there: over http the browser would not keep it."""
    response = client.get("/ms/start/microsoft/", headers={"Host": "www.example.com"})

    assert response.headers["Location"].startswith("https://www.example.com/ms/start/microsoft/?")


@override_settings(MS_IDENTITY=BASE, ALLOWED_HOSTS=["*"])
def test_start_on_the_host_of_base_redirect_uri_does_not_move(client):
    response = client.get("/ms/start/microsoft/", headers={"Host": "WWW.example.com"}, secure=True)

    assert response.headers["Location"].startswith("https://login.microsoftonline.com/")


@override_settings(MS_IDENTITY=BASE, ALLOWED_HOSTS=["*"])
def test_start_moves_once_even_behind_a_proxy_that_hides_the_host(client):
    hopped = press(client).headers["Location"].removeprefix("https://www.example.com")

    response = client.get(hopped)

    assert response.headers["Location"].startswith("https://login.microsoftonline.com/")
    assert asked(response.headers["Location"])["redirect_uri"] == (
        "https://www.example.com/ms/callback/microsoft/"
    )


def test_starting_by_post_needs_the_csrf_token():
    assert Browser(enforce_csrf_checks=True).post("/ms/start/microsoft/").status_code == 403

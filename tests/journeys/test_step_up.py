"""Views that ask for a second factor or a recent sign-in, and the way to Microsoft and back."""

from __future__ import annotations

import inspect
import json
import time
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.views import LoginView
from django.http import HttpResponse
from django.urls import include, path
from django.views.generic import View

from django_ms_identity import sessions
from django_ms_identity.decorators import (
    AAL2RequiredMixin,
    RecentSignInRequiredMixin,
    aal2_required,
    recent_sign_in_required,
)
from django_ms_identity.models import Credential, SignIn
from tests.support.builders import make_settings
from tests.support.web import Browser
from tests.urls import home

from .steps import SECOND, age, asked, code_of, link, pick, sign_in_locally, who

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

CONTEXTS = {"aal2_auth_contexts": ["c1"]}
MFA = {"claims": {"acrs": ["c1"]}}


@aal2_required
def vault(request, shelf=""):
    """Show the vault."""
    return HttpResponse(f"vault {shelf}")


@aal2_required
async def async_vault(request):
    return HttpResponse("vault")


@recent_sign_in_required
def money(request):
    return HttpResponse("money")


@recent_sign_in_required(max_age=timedelta(minutes=1))
def gold(request):
    return HttpResponse("gold")


class Vault(AAL2RequiredMixin, View):
    def get(self, request):
        return HttpResponse("vault")


class AsyncVault(AAL2RequiredMixin, View):
    async def get(self, request):
        return HttpResponse("vault")


class AsyncMoney(RecentSignInRequiredMixin, View):
    async def get(self, request):
        return HttpResponse("vault")


class PlainAsync(View):
    async def get(self, request):
        return HttpResponse("vault")


class Money(RecentSignInRequiredMixin, View):
    max_age = 60

    def get(self, request):
        return HttpResponse("money")


urlpatterns = [
    path("home/", home),
    path("ms/", include("django_ms_identity.urls")),
    path("vault/", vault),
    path("vault/<str:shelf>/", vault),
    path("async-vault/", async_vault),
    path("async-class-vault/", AsyncVault.as_view()),
    path("async-class-money/", AsyncMoney.as_view()),
    path("async-plain/", aal2_required(PlainAsync.as_view())),
    path("class-vault/", Vault.as_view()),
    path("money/", money),
    path("gold/", gold),
    path("class-money/", Money.as_view()),
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True)),
]


@pytest.fixture(autouse=True)
def _contexts(settings):
    settings.MS_IDENTITY = make_settings(CONTEXTS)


def step_up(client, url):
    """Follow the view's redirect up to Microsoft's address."""
    response = client.get(url)
    assert response.headers["Location"].startswith("/ms/step-up/?need="), response.headers["Location"]
    return client.get(response.headers["Location"])


# Second factors


@pytest.mark.kratos(23)
@pytest.mark.parametrize("url", ["/vault/", "/class-vault/"])
def test_step_up_goes_to_microsoft_and_comes_back(client, ms_identity_emulator, url):
    ms_identity_emulator.sign_in(client)
    ms_identity_emulator.persona("work", **MFA)

    location = step_up(client, f"{url}?a=1&b=2").headers["Location"]
    claims = json.loads(asked(location)["claims"])["id_token"]
    assert claims["acrs"] == {"essential": True, "value": "c1"}
    back = ms_identity_emulator.callback(location).send(client)

    assert back.headers["Location"] == f"{url}?a=1&b=2"
    assert client.get(back.headers["Location"]).content.startswith(b"vault")
    assert [sign_in.aal for sign_in in SignIn.objects.order_by("pk")] == ["aal1", "aal2"]


def test_step_up_without_a_second_factor_is_refused_and_not_repeated(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    ms_identity_emulator.persona("work", claims={"acrs": None})
    location = step_up(client, "/vault/").headers["Location"]

    response = ms_identity_emulator.callback(location).send(client)

    assert (code_of(response), response.status_code) == ("step_up_failed", 403)
    assert response.context["retry_url"] == "/vault/"
    assert who(client) == "ines.okafor@contoso.example"
    assert SignIn.objects.count() == 1


def test_step_up_by_another_authentication_context_is_refused(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    ms_identity_emulator.persona("work", claims={"acrs": ["c2"]})
    location = step_up(client, "/vault/").headers["Location"]

    assert code_of(ms_identity_emulator.callback(location).send(client)) == "step_up_failed"


def test_a_sign_in_with_a_second_factor_needs_no_step_up(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", **MFA)
    ms_identity_emulator.sign_in(client)

    assert client.get("/vault/top/").content == b"vault top"


def test_the_second_factor_of_somebody_else_does_not_count(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser(), "admin")
    ms_identity_emulator.sign_in(client)
    ms_identity_emulator.persona("admin", **MFA)
    location = step_up(client, "/vault/").headers["Location"]

    response = ms_identity_emulator.callback(location, "admin").send(client)

    assert code_of(response) == "reauthentication_failed"
    assert client.get("/vault/").status_code == 302
    assert who(client) == "ines.okafor@contoso.example"


def test_a_step_up_is_not_finished_in_another_session(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    ms_identity_emulator.persona("work", **MFA)
    location = step_up(client, "/vault/").headers["Location"]
    client.post("/ms/sign-out/")

    response = ms_identity_emulator.callback(location).send(client)

    assert code_of(response) == "flow_mismatch"
    assert who(client) == "nobody"


def test_a_stolen_password_cannot_connect_another_second_factor(client, ms_identity_emulator):
    """The victim's account has a second factor; the thief has one too, of another Microsoft account."""
    ms_identity_emulator.sign_in(Browser())
    victim = get_user_model().objects.get()
    victim.set_password("stolen")
    victim.save()
    ms_identity_emulator.persona("admin", **MFA)
    assert client.login(username=victim.username, password="stolen")
    link(client, ms_identity_emulator, "admin")
    assert victim.ms_identity.credentials.count() == 2

    response = ms_identity_emulator.callback(step_up(client, "/vault/").headers["Location"], "admin").send(
        client
    )

    assert code_of(response) == "step_up_failed"
    ms_identity_emulator.sign_in(client, "admin")
    assert client.get("/vault/").status_code == 302


def test_an_account_connected_without_a_second_factor_is_a_recent_proof(client, ms_identity_emulator):
    sign_in_locally(client)
    link(client, ms_identity_emulator)
    Credential.objects.update(mfa_trusted=False)
    age(client)

    location = step_up(client, "/money/").headers["Location"]

    assert ms_identity_emulator.callback(location).send(client).headers["Location"] == "/money/"


def test_an_account_connected_with_a_second_factor_shows_it(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", **MFA)
    ms_identity_emulator.persona("admin", **MFA)
    ms_identity_emulator.sign_in(client)
    link(client, ms_identity_emulator, "admin")

    ms_identity_emulator.sign_in(other := Browser(), "admin")

    assert other.get("/vault/").content.startswith(b"vault")


def test_the_first_account_of_a_local_user_shows_a_second_factor(client, ms_identity_emulator):
    sign_in_locally(client)
    ms_identity_emulator.persona("work", **MFA)
    link(client, ms_identity_emulator)

    location = step_up(client, "/vault/").headers["Location"]
    assert ms_identity_emulator.callback(location).send(client).headers["Location"] == "/vault/"


def test_a_recent_proof_keeps_the_second_factor(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", **MFA)
    ms_identity_emulator.sign_in(client)
    age(client)

    claims = json.loads(asked(step_up(client, "/money/").headers["Location"])["claims"])["id_token"]

    assert set(claims) == {"auth_time", "acrs"}


def test_a_step_up_cannot_start_inside_another_page(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)

    response = client.get("/ms/step-up/?need=aal2", headers={"Sec-Fetch-Dest": "iframe"})

    assert (code_of(response), response.status_code) == ("embedded_refused", 403)


def test_the_key_of_the_session_changes_with_its_level(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    before = client.session.session_key
    ms_identity_emulator.persona("work", **MFA)
    ms_identity_emulator.callback(step_up(client, "/vault/").headers["Location"]).send(client)

    assert client.session.session_key != before
    assert not client.session.exists(before)


def test_a_password_sign_in_takes_the_second_factor_away(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", **MFA)
    ms_identity_emulator.sign_in(client)
    user = get_user_model().objects.get()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")

    assert client.get("/vault/").status_code == 302


@pytest.mark.kratos(23)
@pytest.mark.parametrize("account", [True, False], ids=["an account without a factor", "no account"])
def test_step_up_that_no_account_can_do_is_refused(client, ms_identity_emulator, settings, account):
    if account:
        settings.MS_IDENTITY = make_settings()
        ms_identity_emulator.sign_in(client)
    else:
        sign_in_locally(client)

    response = step_up(client, "/vault/")

    assert (code_of(response), response.status_code) == ("step_up_failed", 403)


@pytest.mark.parametrize("url", ["/vault/", "/class-vault/", "/money/", "/class-money/"])
def test_step_up_of_an_anonymous_visitor_is_a_sign_in(client, url):
    assert client.get(url).headers["Location"] == f"/accounts/login/?next={url}"


def test_step_up_stamps_in_an_anonymous_session_prove_nothing(client):
    """A planted session may hold whatever its maker's did, but it has no user."""
    session = client.session
    session[sessions.AUTHENTICATED_AT] = time.time()
    session[sessions.ASSURANCE] = "aal2"
    session.save()

    for url in ("/money/", "/vault/"):
        assert client.get(url).headers["Location"].startswith("/accounts/login/")


def test_a_step_up_link_of_an_anonymous_visitor_leads_to_a_sign_in(client):
    response = client.get("/ms/step-up/?need=aal2&next=/vault/")

    assert response.headers["Location"] == "/accounts/login/?next=/vault/"


def test_a_step_up_link_that_is_not_needed_leads_on(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", **MFA)
    ms_identity_emulator.sign_in(client)

    assert client.get("/ms/step-up/?need=aal2&next=/vault/").headers["Location"] == "/vault/"


@pytest.mark.parametrize("query", ["", "?need=aal3", "?need=", "?next=/vault/"])
def test_a_step_up_link_to_nothing_is_none(client, query):
    assert client.get(f"/ms/step-up/{query}").status_code == 404


def test_a_step_up_leads_nowhere_else(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    ms_identity_emulator.persona("work", **MFA)
    response = client.get("/ms/step-up/?need=aal2&next=https://evil.example/")

    back = ms_identity_emulator.callback(response.headers["Location"]).send(client)

    assert back.headers["Location"] == "/home/"


def test_step_up_asks_the_provider_that_opened_the_session(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(CONTEXTS, CONTEXTS | SECOND)
    ms_identity_emulator.sign_in(client)
    link(client, ms_identity_emulator, "admin", "second")
    ms_identity_emulator.sign_in(other := Browser(), "admin", provider="second")

    assert asked(step_up(client, "/vault/").headers["Location"])["client_id"].startswith("1111")
    assert asked(step_up(other, "/vault/").headers["Location"])["client_id"].startswith("9999")


@pytest.mark.parametrize(
    "url", ["/async-vault/", "/async-class-vault/", "/async-class-money/", "/async-plain/"]
)
def test_step_up_decorators_take_async_views(client, ms_identity_emulator, url):
    ms_identity_emulator.persona("work", **MFA)
    ms_identity_emulator.sign_in(client)

    assert inspect.iscoroutinefunction(async_vault)
    assert client.get(url).content == b"vault"
    assert Browser().get(url).headers["Location"] == f"/accounts/login/?next={url}"


def test_step_up_decorators_keep_the_names_of_views():
    assert (vault.__name__, vault.__doc__) == ("vault", "Show the vault.")


# Recent sign-ins


def test_a_recent_sign_in_is_let_in(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)

    assert client.get("/money/").content == b"money"
    assert client.get("/gold/").content == b"gold"
    assert client.get("/class-money/").content == b"money"


@pytest.mark.kratos(10, 53)
def test_an_old_sign_in_is_repeated_at_microsoft_and_comes_back(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    age(client)

    location = step_up(client, "/money/?a=1").headers["Location"]
    assert (asked(location)["max_age"], "prompt" in asked(location)) == ("0", False)
    back = ms_identity_emulator.callback(location).send(client)

    assert back.headers["Location"] == "/money/?a=1"
    assert client.get("/money/").content == b"money"


@pytest.mark.parametrize("url", ["/gold/", "/class-money/"])
def test_a_recent_sign_in_is_what_the_view_says(client, ms_identity_emulator, url):
    ms_identity_emulator.sign_in(client)
    age(client, 120)

    assert client.get("/money/").status_code == 200
    location = step_up(client, url).headers["Location"]
    ms_identity_emulator.callback(location).send(client)
    assert client.get(url).status_code == 200


def test_a_sign_in_of_the_future_is_not_recent(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    age(client, -3600)

    assert client.get("/money/").status_code == 302


def test_a_login_page_that_sends_people_back_ends_in_a_refusal_and_no_loop(client, caplog):
    sign_in_locally(client)
    age(client)

    url, hops = "/money/", 0
    while (response := client.get(url)).status_code == 302 and hops < 10:
        url, hops = response.headers["Location"], hops + 1

    assert code_of(response) == "reauthentication_failed"
    assert "redirect_authenticated_user" in caplog.text


def test_a_slow_sign_in_by_password_is_asked_for_again(client, monkeypatch):
    sign_in_locally(client)
    age(client)
    assert step_up(client, "/money/").headers["Location"].startswith("/accounts/login/")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)

    assert step_up(client, "/money/").headers["Location"].startswith("/accounts/login/")


# Other ways to name a second factor


@pytest.mark.kratos(35)
@pytest.mark.parametrize(
    ("provider", "claims", "aal"),
    [
        pytest.param({"aal2_amr_values": ["mfa"]}, {"amr": ["pwd", "mfa"]}, "aal2", id="amr"),
        pytest.param({"aal2_amr_values": ["mfa"]}, {"amr": ["pwd"]}, "aal1", id="amr without it"),
        pytest.param({"aal2_acr_values": ["1"]}, {"acr": "1"}, "aal2", id="acr"),
    ],
)
def test_a_sign_in_keeps_its_level_and_its_methods(
    client, ms_identity_emulator, settings, provider, claims, aal
):
    settings.MS_IDENTITY = make_settings(provider)
    ms_identity_emulator.persona("work", claims=claims)
    ms_identity_emulator.sign_in(client)

    sign_in = SignIn.objects.get()
    assert (sign_in.aal, sign_in.amr) == (aal, claims.get("amr", []))
    assert (client.get("/vault/").status_code == 200) is (aal == "aal2")


def test_step_up_asks_for_the_claims_of_the_settings_too(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(
        CONTEXTS | {"requested_claims": {"id_token": {"ctry": None}, "userinfo": {"x": None}}}
    )
    ms_identity_emulator.sign_in(client)

    claims = json.loads(asked(step_up(client, "/vault/").headers["Location"])["claims"])

    assert claims["userinfo"] == {"x": None}
    assert claims["id_token"] == {
        "ctry": None,
        "acrs": {"essential": True, "value": "c1"},
        "auth_time": {"essential": True},
    }


# Signing out


def test_a_sign_in_after_a_step_up_is_still_a_login(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", **MFA)
    ms_identity_emulator.sign_in(client)

    assert pick(client, ms_identity_emulator, prompt="login").send(client).headers["Location"] == "/home/"

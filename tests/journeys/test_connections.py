"""Connected accounts: what is shown, connecting, disconnecting, and proving who one is before it."""

from __future__ import annotations

import re
import time

import pytest
from django.contrib.auth import get_user_model
from django.test import RequestFactory

from django_ms_identity import sessions, signals
from django_ms_identity.identities.linking import credentials as linking
from django_ms_identity.models import Credential, Identity, SignIn
from tests.support import hook_functions
from tests.support.builders import make_identity, make_mapper, make_schema, make_settings
from tests.support.web import Browser

from .steps import SECOND, age, asked, code_of, link, page, pick, sign_in_locally, who

pytestmark = pytest.mark.django_db

URL = "/ms/connections/"
LINK = "/ms/connections/microsoft/link/"
LONG_AGO = 2 * 3600


def unlink_url(credential):
    return f"/ms/connections/{credential.pk}/unlink/"


@pytest.fixture
def local(client):
    return sign_in_locally(client)


def next_of(response):
    """Return where a login page of the project would lead to."""
    return asked(response.headers["Location"])["next"]


# What is shown


@pytest.mark.kratos(73)
def test_the_page_of_connections_shows_the_accounts(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)

    shown = page(client.get(URL))

    assert "ines.okafor@contoso.example" in shown
    assert "Connected since" in shown
    assert "Last used" in shown
    assert "This is your only way to sign in." in shown
    assert "Disconnect" not in shown


@pytest.mark.kratos(73)
def test_the_page_of_connections_says_that_there_are_none(client, local):
    shown = page(client.get(URL))

    assert "No Microsoft account is connected yet." in shown
    assert "Connect a Microsoft account" in shown


@pytest.mark.kratos(90)
def test_the_page_of_connections_marks_an_account_of_a_provider_that_is_gone(
    client, ms_identity_emulator, settings
):
    ms_identity_emulator.sign_in(client)
    settings.MS_IDENTITY = make_settings(SECOND)

    shown = client.get(URL)

    assert shown.status_code == 200
    assert "this site has switched it off" in page(shown)


@pytest.mark.kratos(73)
@pytest.mark.parametrize(
    ("others", "unlinkable"), [((), 0), (("microsoft",), 2), (("second",), 2), (("gone",), 1)]
)
def test_the_page_of_connections_has_a_button_for_each_change(
    client, ms_identity_emulator, settings, others, unlinkable
):
    settings.MS_IDENTITY = make_settings({}, SECOND, {"id": "gone"})
    ms_identity_emulator.sign_in(client)
    for provider in others:
        link(client, ms_identity_emulator, "admin", provider)
    settings.MS_IDENTITY = make_settings({}, SECOND)

    shown = page(client.get(URL))

    assert re.findall(r'action="/ms/connections/(\w+)/link/"', shown) == ["microsoft", "second"]
    assert len(re.findall(r'action="/ms/connections/\d+/unlink/"', shown)) == unlinkable


@pytest.mark.parametrize("url", [URL, LINK, "/ms/connections/1/unlink/"])
def test_the_page_of_connections_sends_anonymous_visitors_to_sign_in(client, url):
    response = client.get(url) if url == URL else client.post(url)

    assert response.headers["Location"] == "/accounts/login/?next=/ms/connections/"


@pytest.mark.parametrize("url", [LINK, "/ms/connections/1/unlink/"])
def test_a_change_of_connections_needs_its_csrf_token(local, url):
    strict = Browser(enforce_csrf_checks=True)
    assert strict.login(username="local", password="pw")

    assert strict.post(url).status_code == 403


# Connecting


@pytest.mark.kratos(80)
def test_an_account_is_connected(client, ms_identity_emulator, local, listen):
    heard = []
    listen(signals.credential_linked, lambda credential, **_: heard.append(credential.account))
    key = client.session.session_key

    response = link(client, ms_identity_emulator)

    assert response.headers["Location"] == URL
    assert "The Microsoft account is connected." in page(client.get(URL))
    assert "is connected." not in page(client.get(URL))
    assert (client.session.session_key, SignIn.objects.count()) == (key, 0)
    assert Credential.objects.get().identity.user == local
    assert heard == ["ines.okafor@contoso.example"]
    assert who(client) == "local"
    ms_identity_emulator.sign_in(visitor := Browser())
    assert who(visitor) == "local"


def test_connecting_ends_the_persons_other_sessions(client, ms_identity_emulator, local):
    """The first account may have been connected by another person."""
    link(client, ms_identity_emulator)
    ms_identity_emulator.sign_in(elsewhere := Browser())
    assert who(elsewhere) == "local"

    link(client, ms_identity_emulator, "admin")

    assert (who(client), who(elsewhere)) == ("local", "nobody")


def test_an_address_that_no_column_holds_connects_no_account(client, ms_identity_emulator, local, settings):
    program = """{identity: {
        traits: {}, verified_addresses: [{via: 'email', value: std.repeat('a', 320) + '@contoso.example'}]
    }}"""
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)})

    assert code_of(link(client, ms_identity_emulator)) == "mapper_result_invalid"
    assert Credential.objects.count() == 0


def test_connecting_is_refused_where_no_form_can_ask_for_a_missing_trait(
    client, ms_identity_emulator, local, settings
):
    schema = make_schema({"tags": {"type": "array"}}, required=["tags"])
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=schema)

    assert code_of(link(client, ms_identity_emulator)) == "trait_not_askable"


@pytest.mark.kratos(81)
def test_connecting_lets_the_person_choose_the_account(client, local):
    wishes = {"prompt": "login", "hd": "contoso.example", "acr_values": "c1", "login_hint": "x"}

    query = asked(client.post(LINK, wishes).headers["Location"])

    assert query["prompt"] == "select_account"
    assert set(wishes) & set(query) == {"prompt"}


@pytest.mark.kratos(77)
def test_two_accounts_of_one_provider_can_be_connected(client, ms_identity_emulator, local):
    link(client, ms_identity_emulator)
    link(client, ms_identity_emulator, "admin")

    assert Credential.objects.filter(identity__user=local).count() == 2
    shown = page(client.get(URL))
    assert "ines.okafor@contoso.example" in shown
    assert "marek.lindqvist@contoso.example" in shown


@pytest.mark.kratos(77)
def test_connecting_again_changes_nothing(client, ms_identity_emulator, local):
    link(client, ms_identity_emulator)

    assert link(client, ms_identity_emulator).headers["Location"] == URL
    assert Credential.objects.count() == 1


@pytest.mark.kratos(78)
def test_connecting_an_account_of_another_user_is_refused(client, ms_identity_emulator, local):
    ms_identity_emulator.sign_in(Browser())

    response = link(client, ms_identity_emulator)

    assert (code_of(response), response.status_code) == ("credential_taken", 409)
    assert response.context["retry_url"] == URL
    assert Credential.objects.get().identity.user != local
    assert who(client) == "local"


def test_connecting_works_while_registration_is_off(client, ms_identity_emulator, settings, local):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)

    link(client, ms_identity_emulator)

    assert Credential.objects.count() == 1


def test_connecting_asks_for_missing_traits_of_a_new_identity(client, ms_identity_emulator, settings, local):
    schema = make_schema({"team": {"type": "string"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=schema)

    response = link(client, ms_identity_emulator)

    assert response.headers["Location"] == "/ms/complete/"
    assert Credential.objects.count() == 0
    ticket = client.get("/ms/complete/").context["ticket"]
    response = client.post("/ms/complete/", {"ticket": ticket, "trait-0": "Tools"})
    assert response.headers["Location"] == URL
    identity = Credential.objects.get().identity
    assert (identity.user, identity.traits["team"]) == (local, "Tools")
    assert who(client) == "local"


@pytest.mark.parametrize(("taken", "code"), [(False, ""), (True, "credential_taken")])
def test_connecting_asks_for_no_traits_that_will_not_be_stored(
    client, ms_identity_emulator, settings, local, taken, code
):
    if taken:
        ms_identity_emulator.sign_in(Browser(), "admin")
    else:
        link(client, ms_identity_emulator)
    schema = make_schema({"team": {"type": "string"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=schema)

    response = link(client, ms_identity_emulator, "admin")

    assert (code_of(response), Credential.objects.count()) == (code, 1 if taken else 2)


def test_connecting_is_not_finished_after_a_sign_out(client, ms_identity_emulator, settings, local):
    schema = make_schema({"team": {"type": "string"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=schema)
    link(client, ms_identity_emulator)
    client.post("/ms/sign-out/")

    assert code_of(client.get("/ms/complete/")) == "pending_missing"


def test_a_mapper_that_fails_connects_no_account(client, ms_identity_emulator, settings, local):
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper("error 'planted'")})

    assert code_of(link(client, ms_identity_emulator)) == "mapper_runtime_failed"
    assert Credential.objects.count() == 0


@pytest.mark.kratos(79)
def test_without_an_id_token_no_account_is_connected(client, ms_identity_emulator, local):
    ms_identity_emulator.answer_next("token", body='{"access_token": "x", "token_type": "Bearer"}')

    response = link(client, ms_identity_emulator)

    assert (code_of(response), response.context["retry_url"]) == ("microsoft_answer_invalid", URL)
    assert (Credential.objects.count(), who(client)) == (0, "local")


@pytest.mark.kratos(77)
def test_an_unknown_provider_connects_no_account(client, local):
    response = client.post("/ms/connections/nobody/link/")

    assert (code_of(response), response.status_code) == ("provider_unknown", 404)


# A flow that connects never becomes a login, and belongs to one session


@pytest.mark.parametrize("by", ["nobody", "other"])
def test_a_connecting_flow_is_not_finished_by_another_user(client, ms_identity_emulator, local, by):
    callback = ms_identity_emulator.callback(client.post(LINK).headers["Location"])
    client.post("/ms/sign-out/") if by == "nobody" else sign_in_locally(client, by)
    before = len(ms_identity_emulator.requests)

    response = callback.send(client)

    assert (code_of(response), who(client)) == ("flow_mismatch", by)
    assert Credential.objects.count() == Identity.objects.count() == 0
    assert len(ms_identity_emulator.requests) == before


def test_a_connecting_flow_is_not_finished_in_another_session_of_the_same_user(
    client, ms_identity_emulator, local
):
    """The attacker's flow, finished by the victim, would connect the attacker's account to the victim."""
    callback = ms_identity_emulator.callback(client.post(LINK).headers["Location"])
    sign_in_locally(victim := Browser())
    for name, cookie in client.cookies.items():
        if name.startswith("ms_identity_flow_"):
            victim.cookies[name] = cookie.value

    assert code_of(callback.send(victim)) == "flow_mismatch"
    assert Credential.objects.count() == 0


def test_a_connecting_callback_that_is_repeated_is_harmless(client, ms_identity_emulator, local):
    callback = ms_identity_emulator.callback(client.post(LINK).headers["Location"])
    callback.send(client)

    assert callback.send(client).headers["Location"] == URL
    assert Credential.objects.count() == 1


# Disconnecting


@pytest.mark.kratos(68, 75)
def test_an_account_is_disconnected(client, ms_identity_emulator, local, listen):
    heard = []
    listen(
        signals.credential_unlinked,
        lambda identity, credential, **_: heard.append((identity.user.username, credential.subject)),
    )
    link(client, ms_identity_emulator)
    credential = Credential.objects.get()

    response = client.post(unlink_url(credential))

    assert response.headers["Location"] == URL
    assert "The Microsoft account is disconnected." in page(client.get(URL))
    assert Credential.objects.count() == 0
    assert heard == [("local", credential.subject)]
    assert who(client) == "local"


@pytest.mark.kratos(75)
def test_disconnecting_ends_the_sessions_of_the_account(client, ms_identity_emulator, local):
    link(client, ms_identity_emulator)
    link(client, ms_identity_emulator, "admin")
    ms_identity_emulator.sign_in(elsewhere := Browser())
    ms_identity_emulator.sign_in(by_another := Browser(), "admin")
    assert who(elsewhere) == who(by_another) == "local"

    client.post(unlink_url(Credential.objects.get(account="ines.okafor@contoso.example")))

    assert (who(elsewhere), who(by_another)) == ("nobody", "local")
    assert [sign_in.ended_at is None for sign_in in SignIn.objects.order_by("pk")] == [False, True]


def test_disconnecting_ends_this_session_if_the_account_opened_it(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    user = get_user_model().objects.get()
    session = client.session
    link(client, ms_identity_emulator, "admin")
    own = Credential.objects.get(account="ines.okafor@contoso.example")

    response = client.post(unlink_url(own))

    assert response.headers["Location"] == "/accounts/login/?next=/ms/connections/"
    assert who(client) == "nobody"
    assert not session.exists(session.session_key)
    assert user.ms_identity.credentials.count() == 1


@pytest.mark.kratos(68, 74)
def test_disconnecting_the_last_way_in_is_refused(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    credential = Credential.objects.get()
    make_identity(username="other", subject="x")

    response = client.post(unlink_url(credential))

    assert (code_of(response), response.status_code) == ("last_credential", 409)
    assert Credential.objects.filter(pk=credential.pk).exists()
    assert who(client) == "ines.okafor@contoso.example"


@pytest.mark.kratos(68, 75)
def test_an_account_of_a_provider_that_is_gone_is_no_way_in(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({}, SECOND)
    ms_identity_emulator.sign_in(client)
    link(client, ms_identity_emulator, provider="second")
    settings.MS_IDENTITY = make_settings()

    kept = Credential.objects.get(provider="microsoft")
    gone = Credential.objects.get(provider="second")
    assert code_of(client.post(unlink_url(kept))) == "last_credential"
    assert client.post(unlink_url(gone)).headers["Location"] == URL


@pytest.mark.kratos(68)
def test_a_password_is_no_way_in_where_no_backend_takes_it(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(client)
    user = get_user_model().objects.get()
    user.set_password("pw")
    user.save()
    client = Browser()
    ms_identity_emulator.sign_in(client)
    settings.AUTHENTICATION_BACKENDS = [sessions.BACKEND]

    assert code_of(client.post(unlink_url(Credential.objects.get()))) == "last_credential"


class Links:
    """What another package's accounts of a user are to Django."""

    def __init__(self, *, some):
        self.exists = lambda: some


@pytest.mark.parametrize("has_link", [True, False])
def test_another_package_is_a_way_in_by_its_links_alone(client, ms_identity_emulator, monkeypatch, has_link):
    ms_identity_emulator.sign_in(client)
    monkeypatch.setattr(get_user_model(), linking.OTHERS_LINKS[0], Links(some=has_link), raising=False)

    response = client.post(unlink_url(Credential.objects.get()))

    assert code_of(response) == ("" if has_link else "last_credential")
    assert Credential.objects.count() == (0 if has_link else 1)


@pytest.mark.kratos(74)
def test_disconnecting_an_account_of_another_user_is_refused(client, ms_identity_emulator, local):
    credential = make_identity(username="victim").credentials.get()

    response = client.post(unlink_url(credential))

    assert (code_of(response), response.status_code) == ("credential_missing", 404)
    link(client, ms_identity_emulator)
    assert code_of(client.post(unlink_url(credential))) == "credential_missing"
    assert Credential.objects.filter(pk=credential.pk).exists()


def test_disconnecting_from_an_inactive_identity_is_refused(client, ms_identity_emulator, local):
    """Otherwise the Microsoft account could register again, and be active."""
    link(client, ms_identity_emulator)
    Identity.objects.update(state=Identity.State.INACTIVE)

    assert code_of(client.post(unlink_url(Credential.objects.get()))) == "identity_inactive"
    assert Credential.objects.count() == 1


def test_disconnecting_removes_the_addresses_of_the_account(client, ms_identity_emulator, local):
    """The next holder of the address must not be taken for this person."""
    link(client, ms_identity_emulator)
    link(client, ms_identity_emulator, "admin")
    own = Credential.objects.get(account="ines.okafor@contoso.example")

    client.post(unlink_url(own))

    assert [row.value for row in local.ms_identity.verifiable_addresses.all()] == [
        "marek.lindqvist@contoso.example"
    ]


def test_disconnecting_twice_is_refused(client, ms_identity_emulator, local):
    link(client, ms_identity_emulator)
    credential = Credential.objects.get()
    client.post(unlink_url(credential))

    assert code_of(client.post(unlink_url(credential))) == "credential_missing"


# Hooks


def test_hooks_after_settings_run_for_each_change_of_connections(
    client, ms_identity_emulator, settings, local
):
    hook_functions.calls.clear()
    settings.MS_IDENTITY = make_settings(
        HOOKS={"after_settings": [{"hook": "tests.support.hook_functions.first"}]}
    )

    link(client, ms_identity_emulator)
    client.post(unlink_url(Credential.objects.get()))

    linked = [facts["linked"] for _, facts in hook_functions.calls]
    assert linked == [True, False]


def test_revocation_after_settings_ends_other_sessions(client, ms_identity_emulator, settings, local):
    settings.MS_IDENTITY = make_settings(
        {}, SECOND, HOOKS={"after_settings": [{"hook": "revoke_active_sessions"}]}
    )
    link(client, ms_identity_emulator)
    ms_identity_emulator.sign_in(elsewhere := Browser())
    link(client, ms_identity_emulator, provider="second")

    client.post(unlink_url(Credential.objects.get(provider="second")))

    assert who(elsewhere) == "nobody"
    assert who(client) == "local"


# Proving who one is


@pytest.mark.kratos(82)
def test_connecting_after_a_while_asks_microsoft_and_then_goes_on(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    age(client)

    location = client.post(LINK).headers["Location"]
    assert asked(location)["max_age"] == "0"
    assert '"auth_time":{"essential":true}' in asked(location)["claims"]
    back = ms_identity_emulator.callback(location).send(client)
    resumed = client.get(back.headers["Location"])
    response = ms_identity_emulator.callback(resumed.headers["Location"], "admin").send(client)

    assert response.headers["Location"] == URL
    assert Credential.objects.count() == 2


@pytest.mark.kratos(76)
def test_disconnecting_after_a_while_asks_microsoft_and_then_goes_on(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    link(client, ms_identity_emulator, "admin")
    other = Credential.objects.get(account="marek.lindqvist@contoso.example")
    age(client)

    location = client.post(unlink_url(other)).headers["Location"]
    assert Credential.objects.count() == 2
    back = ms_identity_emulator.callback(location).send(client)
    client.get(back.headers["Location"])

    assert [credential.account for credential in Credential.objects.all()] == ["ines.okafor@contoso.example"]
    assert who(client) == "ines.okafor@contoso.example"


@pytest.mark.kratos(82)
def test_connecting_after_a_while_without_an_account_asks_the_project(client, ms_identity_emulator, local):
    age(client)

    page_after = next_of(client.post(LINK))

    assert page_after.startswith(f"{URL}?resume=")
    sign_in_locally(client)
    resumed = client.get(page_after)
    assert ms_identity_emulator.callback(resumed.headers["Location"]).send(client).headers["Location"] == URL
    assert Credential.objects.count() == 1


def test_a_head_request_resumes_no_change_of_connections(client, ms_identity_emulator, local):
    """HEAD is what link previews and prefetchers ask."""
    age(client)
    page_after = next_of(client.post(LINK))
    sign_in_locally(client)

    assert client.head(page_after).status_code == 200

    resumed = client.get(page_after)
    assert ms_identity_emulator.callback(resumed.headers["Location"]).send(client).headers["Location"] == URL


def test_a_change_of_connections_resumes_once_and_only_after_the_proof(client, ms_identity_emulator, local):
    age(client)
    page_after = next_of(client.post(LINK))

    assert client.get(page_after).headers["Location"] == URL
    sign_in_locally(client)
    assert client.get(page_after).headers["Location"] == URL


def test_a_change_of_connections_resumes_only_by_the_address_after_the_proof(
    client, ms_identity_emulator, local
):
    """A stranger at an unlocked computer asked and gave up; its owner signs in and opens the page."""
    age(client)
    client.post(LINK)
    sign_in_locally(client)

    assert client.get(URL).status_code == 200
    assert client.get(f"{URL}?resume=guessed").headers["Location"] == URL


def test_a_change_of_connections_does_not_resume_for_another_user(client, ms_identity_emulator, local):
    age(client)
    page_after = next_of(client.post(LINK))
    sign_in_locally(client, "other")

    assert client.get(page_after).headers["Location"] == URL


def test_a_change_of_connections_is_forgotten_after_ten_minutes(
    client, ms_identity_emulator, local, monkeypatch
):
    age(client)
    page_after = next_of(client.post(LINK))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 601)
    sign_in_locally(client)

    assert client.get(page_after).headers["Location"] == URL


def test_a_change_of_connections_of_another_release_is_passed_over(client, local):
    session = client.session
    session["_ms_identity_resume"] = ["link"]
    session.save()

    assert client.get(f"{URL}?resume=x").headers["Location"] == URL


@pytest.mark.kratos(53)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_recent_proof_of_another_person_is_refused(client, ms_identity_emulator, is_known):
    if is_known:
        ms_identity_emulator.sign_in(Browser(), "admin")
    ms_identity_emulator.sign_in(client)
    age(client)
    location = client.post(LINK).headers["Location"]

    response = ms_identity_emulator.callback(location, "admin").send(client)

    assert (code_of(response), response.status_code) == ("reauthentication_failed", 403)
    assert who(client) == "ines.okafor@contoso.example"
    assert client.get(URL).status_code == 200
    assert Identity.objects.count() == 1 + is_known


@pytest.mark.kratos(53)
@pytest.mark.parametrize(
    ("claims", "hint"),
    [
        pytest.param({"auth_time": None}, "optional claim auth_time", id="absent"),
        pytest.param({"auth_time": 1}, "earlier sign-in", id="long ago"),
        pytest.param({"auth_time": "soon"}, "optional claim auth_time", id="no number"),
        pytest.param({"auth_time": True}, "optional claim auth_time", id="boolean"),
    ],
)
def test_a_recent_proof_without_a_recent_time_is_refused(client, ms_identity_emulator, caplog, claims, hint):
    ms_identity_emulator.sign_in(client)
    age(client)
    ms_identity_emulator.persona("work", claims=claims)
    location = client.post(LINK).headers["Location"]

    response = ms_identity_emulator.callback(location).send(client)

    assert code_of(response) == "reauthentication_failed"
    assert hint in caplog.text
    assert not sessions.is_recent(request_of(client), seconds=3600)


@pytest.mark.parametrize("auth_time", [pytest.param(time.time() - LONG_AGO, id="old"), None])
def test_a_sign_in_without_a_recent_auth_time_is_no_recent_one(client, ms_identity_emulator, auth_time):
    """Microsoft's own session may be days old: an unlocked computer must not be enough."""
    ms_identity_emulator.persona("work", claims={"auth_time": auth_time and int(auth_time)})
    ms_identity_emulator.sign_in(client)

    assert asked(client.post(LINK).headers["Location"])["max_age"] == "0"


def test_a_silent_round_trip_makes_nothing_recent(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    age(client)
    ms_identity_emulator.persona("work", claims={"auth_time": None})
    pick(client, ms_identity_emulator, prompt="select_account").send(client)

    assert asked(client.post(LINK).headers["Location"])["max_age"] == "0"


def test_a_session_without_a_stamp_is_no_recent_one(client, local):
    session = client.session
    del session[sessions.AUTHENTICATED_AT]
    session.save()

    assert client.post(LINK).headers["Location"].startswith("/accounts/login/")


def request_of(client):
    request = RequestFactory().get("/")
    request.session = client.session
    return request

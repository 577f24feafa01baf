"""The web process is killed, the session store or the cache is down: the next try signs in."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import override_settings

from django_ms_identity import runtime, signals
from django_ms_identity.models import Credential, Identity, SignIn
from tests.journeys.steps import NOTHING, code_of, page, pick, rows
from tests.support.builders import make_schema, make_settings
from tests.support.web import Browser

pytestmark = pytest.mark.django_db

BROKEN_CACHE = {"default": {"BACKEND": "tests.support.broken_cache.BrokenCache"}}


class Killed(BaseException):
    """The process ends here: nothing that catches exceptions sees it."""


def kill(**_):
    raise Killed


def who(browser):
    return browser.get("/home/").content.decode()


# Killed


@pytest.mark.parametrize(
    ("signal", "people"),
    [
        pytest.param("identity_registering", 0, id="before anything is written"),
        pytest.param("identity_registered", 1, id="between commit and session"),
    ],
)
def test_who_was_cut_off_while_registering_simply_signs_in_next_time(
    client, ms_identity_emulator, listen, signal, people
):
    listen(getattr(signals, signal), kill)
    with pytest.raises(Killed):
        ms_identity_emulator.sign_in(client)
    assert rows() == NOTHING | dict.fromkeys(("User", "Identity", "Credential"), people)
    getattr(signals, signal).disconnect(kill)

    response = ms_identity_emulator.sign_in(client)

    assert response.headers["Location"] == "/home/"
    assert rows() == {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 1, "Session": 1}


def test_who_was_cut_off_after_the_session_was_opened_signs_in_again(client, ms_identity_emulator, listen):
    listen(signals.identity_signed_in, kill)
    with pytest.raises(Killed):
        ms_identity_emulator.sign_in(client)
    assert who(client) == "nobody"
    signals.identity_signed_in.disconnect(kill)

    ms_identity_emulator.sign_in(client)

    assert who(client) == "ines.okafor@contoso.example"
    assert Identity.objects.count() == 1


def test_who_was_cut_off_while_linking_connects_or_is_connected(client, ms_identity_emulator, listen):
    user = get_user_model().objects.create_user("ines", "ines.okafor@contoso.example", "pw")
    pick(client, ms_identity_emulator).send(client)
    assert client.login(username="ines", password="pw")
    ticket = client.get("/ms/confirm-link/").context["ticket"]
    listen(signals.credential_linked, kill)
    with pytest.raises(Killed):
        client.post("/ms/confirm-link/", {"ticket": ticket})
    signals.credential_linked.disconnect(kill)

    # The same form once more: it was the browser's reload after the error.
    response = client.post("/ms/confirm-link/", {"ticket": ticket})

    assert response.headers["Location"] == "/home/"
    assert Credential.objects.get().identity.user == user


def test_a_reload_after_the_process_was_killed_is_a_page_with_a_retry(client, ms_identity_emulator, listen):
    callback = pick(client, ms_identity_emulator)
    listen(signals.identity_registered, kill)
    with pytest.raises(Killed):
        callback.send(client)
    signals.identity_registered.disconnect(kill)

    response = callback.send(client)

    assert code_of(response) == "flow_replayed"
    location = client.get(response.context["retry_url"]).headers["Location"]
    assert ms_identity_emulator.callback(location).send(client).headers["Location"] == "/home/"


# The session store


class FailsToSave:
    """Lets the statements that write sessions fail, as a store does that is full or read-only."""

    def __call__(self, execute, sql, params, many, context):
        if "django_session" in sql and not sql.startswith("SELECT"):
            raise connection.Database.OperationalError("attempt to write a readonly database")
        return execute(sql, params, many, context)


def test_a_session_that_cannot_be_saved_registers_once_and_the_next_try_signs_in(ms_identity_emulator):
    browser = Browser(raise_request_exception=False)
    callback = pick(browser, ms_identity_emulator)
    with connection.execute_wrapper(FailsToSave()):
        response = callback.send(browser)

    assert response.status_code == 500
    assert "readonly" not in page(response)
    assert who(browser) == "nobody"
    assert rows() == NOTHING | {"User": 1, "Identity": 1, "Credential": 1}

    assert ms_identity_emulator.sign_in(browser).headers["Location"] == "/home/"
    assert who(browser) == "ines.okafor@contoso.example"
    assert Identity.objects.count() == 1


def test_a_step_that_cannot_be_kept_is_begun_anew(ms_identity_emulator, settings):
    schema = make_schema({"team": {"type": "string"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=schema)
    browser = Browser(raise_request_exception=False)
    callback = pick(browser, ms_identity_emulator)
    with connection.execute_wrapper(FailsToSave()):
        assert callback.send(browser).status_code == 500
    assert code_of(browser.get("/ms/complete/")) == "pending_missing"

    assert ms_identity_emulator.sign_in(browser).headers["Location"] == "/ms/complete/"
    assert browser.get("/ms/complete/").status_code == 200


# The cache


def test_with_the_cache_down_people_sign_in_from_the_processs_copy(ms_identity_emulator, caplog):
    with override_settings(CACHES=BROKEN_CACHE):
        runtime.reset()
        for _visitor in range(3):
            assert ms_identity_emulator.sign_in(Browser()).headers["Location"] == "/home/"

    assert len([url for _, url in ms_identity_emulator.requests if url.endswith("/keys")]) == 1
    assert "The cache does not answer (ConnectionError)" in caplog.text
    assert "the cache is down" not in caplog.text


def test_a_cache_that_goes_down_during_a_sign_in_is_not_missed(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator)

    with override_settings(CACHES=BROKEN_CACHE):
        assert callback.send(client).headers["Location"] == "/home/"
        assert callback.send(client).headers["Location"] == "/home/"

    assert SignIn.objects.count() == 1


def test_with_the_cache_down_all_other_pages_work(client, ms_identity_emulator, settings):
    """Connecting, proving oneself anew and a form that waits need no cache either."""
    schema = make_schema({"team": {"type": "string"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=schema)
    with override_settings(CACHES=BROKEN_CACHE):
        assert ms_identity_emulator.sign_in(client).headers["Location"] == "/ms/complete/"
        shown = client.get("/ms/complete/")
        client.post("/ms/complete/", {"ticket": shown.context["ticket"], "trait-0": "Tools"})
        location = client.post("/ms/connections/microsoft/link/").headers["Location"]
        linked = ms_identity_emulator.callback(location, "admin").send(client)
        page_of_accounts = client.get("/ms/connections/")

    assert linked.headers["Location"] == "/ms/connections/"
    assert len(page_of_accounts.context["connections"]) == 2

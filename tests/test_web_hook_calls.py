"""Web hooks through whole sign-ins, against a server on the loopback interface."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager

import pytest
from django.db import connections

from django_ms_identity.models import Identity, SignIn
from tests import hook_functions
from tests.builders import make_mapper, make_settings
from tests.journeys.steps import code_of, page, rows
from tests.loopback import Handler, serve
from tests.web import Browser

pytestmark = pytest.mark.django_db

SESSION = {"hook": "session"}
FIRST = {"hook": "tests.hook_functions.first"}
WITHOUT_SESSION = {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 0, "Session": 0}
WORK = b"ines.okafor@contoso.example"
EVERYTHING = make_mapper("function(ctx) ctx")
PARSE = {"response": {"parse": True}}
IGNORE = {"response": {"ignore": True}}


@pytest.fixture(autouse=True)
def _on_a_developers_machine(settings):
    # Only there may a web hook use http.
    settings.DEBUG = True
    hook_functions.calls.clear()


def web_hook(url, **config):
    return {
        "hook": "web_hook",
        "config": {"id": "crm", "url": url, "method": "POST", "allow_private": True, "body": EVERYTHING}
        | config,
    }


def hooks(settings, provider=None, **stages):
    settings.MS_IDENTITY = make_settings(provider or {}, HOOKS=stages, MAPPER_TIMEOUT=10)


def reply(body=None, *, status=200):
    return lambda handler: handler.reply(json.dumps(body).encode(), status=status)


def refusal(*texts):
    return {"messages": [{"instance_ptr": "#/", "messages": [{"id": 1, "text": text} for text in texts]}]}


def who(browser):
    return browser.get("/home/").content


@contextmanager
def registered(settings, emulator, *answers, **config):
    """Have somebody registered, and then a web hook for whoever signs in."""
    hooks(settings)
    emulator.sign_in(Browser())
    with serve(*answers) as server:
        hooks(settings, after_login=[web_hook(server.url, **config)])
        yield server


# After a registration


def test_a_registration_is_told_with_the_identity_and_nothing_secret(client, ms_identity_emulator, settings):
    with serve(reply()) as server:
        hooks(settings, after_registration=[web_hook(server.url), SESSION])
        response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302
    (received,) = server.received
    ctx = json.loads(received.body)
    assert ctx["identity"]["id"] == str(Identity.objects.get().pk)
    assert ctx["identity"]["traits"]["email"] == WORK.decode()
    assert (ctx["flow"]["stage"], ctx["flow"]["provider"]) == ("after_registration", "microsoft")
    assert "session" not in ctx
    assert "code=" not in received.body.decode()
    assert who(client) == WORK


@pytest.mark.parametrize(
    ("answer", "code", "status"),
    [
        (reply(status=500), "web_hook_failed", 502),
        (Handler.hang_up, "web_hook_unreachable", 504),
    ],
)
def test_a_web_hook_that_fails_leaves_the_identity_without_a_session(
    client, ms_identity_emulator, settings, answer, code, status
):
    with serve(answer) as server:
        hooks(settings, after_registration=[web_hook(server.url), FIRST, SESSION])
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == (code, status)
    assert rows() == WITHOUT_SESSION
    assert hook_functions.calls == []


def test_web_hooks_and_functions_run_in_order(client, ms_identity_emulator, settings):
    seen = []

    def answer(handler):
        seen.append(len(hook_functions.calls))
        handler.reply()

    with serve(answer) as server:
        call = web_hook(server.url)
        hooks(settings, after_registration=[call, FIRST, call, SESSION])
        ms_identity_emulator.sign_in(client)

    assert seen == [0, 1]


def test_the_identity_is_committed_before_a_web_hook_is_called(client, ms_identity_emulator, settings):
    # The test's own transaction stays open; one of ours inside it would be a savepoint.
    connection, depths = connections["default"], []

    def answer(handler):
        depths.append(list(connection.savepoint_ids))
        handler.reply()

    before = list(connection.savepoint_ids)
    with serve(answer) as server:
        hooks(settings, after_registration=[web_hook(server.url), SESSION], after_login=[])
        ms_identity_emulator.sign_in(client)

    assert depths == [before]


# After a login


def test_a_login_is_told_before_its_session(client, ms_identity_emulator, settings):
    with registered(settings, ms_identity_emulator, reply()) as server:
        response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302
    (received,) = server.received
    assert json.loads(received.body)["flow"]["stage"] == "after_login"
    assert who(client) == WORK


def test_the_session_after_a_registration_calls_no_web_hook_of_logins(client, ms_identity_emulator, settings):
    with serve(reply()) as server:
        hooks(settings, after_login=[web_hook(server.url)])
        ms_identity_emulator.sign_in(client)

    assert server.received == []
    assert who(client) == WORK


@pytest.mark.parametrize(
    ("answer", "code"),
    [(reply(status=403), "web_hook_failed"), (Handler.hang_up, "web_hook_unreachable")],
)
def test_a_web_hook_that_fails_after_a_login_keeps_the_person_out(
    client, ms_identity_emulator, settings, answer, code
):
    with registered(settings, ms_identity_emulator, answer):
        response = ms_identity_emulator.sign_in(client)

    assert code_of(response) == code
    assert who(client) == b"nobody"
    assert SignIn.objects.count() == 1


def test_a_refusal_in_words_is_shown_escaped(client, ms_identity_emulator, settings):
    answer = reply(refusal("Pay <b>first</b>.", "Then come back."), status=400)
    with registered(settings, ms_identity_emulator, answer, **PARSE):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("web_hook_refused", 403)
    assert response.context["reasons"] == ("Pay <b>first</b>.", "Then come back.")
    assert "Pay &lt;b&gt;first&lt;/b&gt;.</li>" in page(response)
    assert "Then come back.</li>" in page(response)
    assert who(client) == b"nobody"


def test_words_are_shown_only_from_a_hook_that_is_parsed(client, ms_identity_emulator, settings):
    with registered(settings, ms_identity_emulator, reply(refusal("planted"), status=400)):
        response = ms_identity_emulator.sign_in(client)

    assert code_of(response) == "web_hook_failed"
    assert response.context["reasons"] == ()
    assert "planted" not in page(response)


def test_a_login_changes_nothing_whatever_the_web_hook_answers(client, ms_identity_emulator, settings):
    answer = reply({"identity": {"traits": {"email": "planted@example.com"}}})
    with registered(settings, ms_identity_emulator, answer, **PARSE):
        before = Identity.objects.values().get()
        ms_identity_emulator.sign_in(client)

    assert Identity.objects.values().get() == before
    assert who(client) == WORK


# Hooks that nobody waits for


@pytest.mark.parametrize("stage", ["after_registration", "after_login"])
def test_a_web_hook_that_is_ignored_blocks_nobody(client, ms_identity_emulator, settings, caplog, stage):
    asked, let_go = threading.Event(), threading.Event()

    def answer(handler):
        asked.set()
        let_go.wait(10)
        handler.reply(status=500)

    with serve(answer) as server:
        hooks(settings)
        if stage == "after_login":
            ms_identity_emulator.sign_in(Browser())
        session = [SESSION] if stage == "after_registration" else []
        hooks(settings, **{stage: [web_hook(server.url, **IGNORE), *session]})
        response = ms_identity_emulator.sign_in(client)
        assert asked.wait(10)
        let_go.set()
        threads = [it for it in threading.enumerate() if it.name == "ms_identity web hook crm"]
        for thread in threads:
            thread.join(10)

    assert response.status_code == 302
    assert who(client) == WORK
    failed = [record for record in caplog.records if "web hook crm failed" in record.getMessage()]
    assert [record.levelno for record in failed] == [logging.ERROR]

"""Web hooks through whole sign-ins, against a server on the loopback interface."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections

from django_ms_identity.models import Identity, SignIn, VerifiableAddress
from tests.journeys.steps import NOTHING, code_of, page, rows
from tests.support import hook_functions
from tests.support.builders import make_mapper, make_settings
from tests.support.loopback import Handler, serve
from tests.support.web import Browser

pytestmark = pytest.mark.django_db

SESSION = {"hook": "session"}
FIRST = {"hook": "tests.support.hook_functions.first"}
WITHOUT_SESSION = {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 0, "Session": 0}
WORK = b"ines.okafor@contoso.example"
EVERYTHING = make_mapper("function(ctx) ctx")
PARSE = {"response": {"parse": True}}
IGNORE = {"response": {"ignore": True}}
VERIFIES_NOTHING = {"mapper_url": make_mapper("{identity: {traits: {email: std.extVar('claims').email}}}")}


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
    """Register a person, then configure a web hook after logins."""
    hooks(settings)
    emulator.sign_in(Browser())
    with serve(*answers) as server:
        hooks(settings, after_login=[web_hook(server.url, **config)])
        yield server


# After a registration


@pytest.mark.kratos(33)
def test_web_hook_gets_the_registered_identity_and_no_secret(client, ms_identity_emulator, settings):
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


@pytest.mark.kratos(88)
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


@pytest.mark.parametrize("config", [{}, PARSE], ids=["check", "parse"])
def test_no_transaction_is_open_while_a_web_hook_is_called(client, ms_identity_emulator, settings, config):
    # The test's own transaction stays open; one of the package inside it would be a savepoint.
    connection, depths = connections["default"], []

    def answer(handler):
        depths.append(list(connection.savepoint_ids))
        handler.reply(status=204)

    before = list(connection.savepoint_ids)
    with serve(answer) as server:
        hooks(settings, after_registration=[web_hook(server.url, **config), SESSION])
        ms_identity_emulator.sign_in(client)

    assert depths == [before]


# After a login


@pytest.mark.kratos(33)
def test_a_login_is_told_before_its_session(client, ms_identity_emulator, settings):
    with registered(settings, ms_identity_emulator, reply()) as server:
        response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302
    (received,) = server.received
    assert json.loads(received.body)["flow"]["stage"] == "after_login"
    assert who(client) == WORK


def test_web_hook_after_login_is_not_called_for_a_registration(client, ms_identity_emulator, settings):
    with serve(reply()) as server:
        hooks(settings, after_login=[web_hook(server.url)])
        ms_identity_emulator.sign_in(client)

    assert server.received == []
    assert who(client) == WORK


@pytest.mark.parametrize(
    ("answer", "code"),
    [(reply(status=403), "web_hook_failed"), (Handler.hang_up, "web_hook_unreachable")],
)
def test_web_hook_failure_after_login_opens_no_session(client, ms_identity_emulator, settings, answer, code):
    with registered(settings, ms_identity_emulator, answer):
        response = ms_identity_emulator.sign_in(client)

    assert code_of(response) == code
    assert who(client) == b"nobody"
    assert SignIn.objects.count() == 1


def test_web_hook_refusal_messages_are_shown_escaped(client, ms_identity_emulator, settings):
    answer = reply(refusal("Pay <b>first</b>.", "Then come back."), status=400)
    with registered(settings, ms_identity_emulator, answer, **PARSE):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("web_hook_refused", 403)
    assert response.context["reasons"] == ("Pay <b>first</b>.", "Then come back.")
    assert "Pay &lt;b&gt;first&lt;/b&gt;.</li>" in page(response)
    assert "Then come back.</li>" in page(response)
    assert who(client) == b"nobody"


@pytest.mark.kratos(88)
def test_a_login_changes_nothing_whatever_the_web_hook_answers(client, ms_identity_emulator, settings):
    answer = reply({"identity": {"traits": {"email": "planted@example.com"}}})
    with registered(settings, ms_identity_emulator, answer, **PARSE):
        before = Identity.objects.values().get()
        ms_identity_emulator.sign_in(client)

    assert Identity.objects.values().get() == before
    assert who(client) == WORK


@pytest.mark.kratos(88)
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


# Before a registration


@contextmanager
def asked_first(settings, *answers, provider=None, **settings_of_hook):
    """Have a web hook asked before a registration."""
    with serve(*answers) as server:
        hook = web_hook(server.url, **PARSE, **settings_of_hook)
        hooks(settings, provider, after_registration=[hook, SESSION])
        yield server


def identity(**parts):
    return reply({"identity": parts})


def test_a_web_hook_sees_the_identity_before_it_is_written(client, ms_identity_emulator, settings):
    with asked_first(settings, reply(status=204)) as server:
        ms_identity_emulator.sign_in(client)

    (received,) = server.received
    seen = json.loads(received.body)["identity"]
    assert seen["id"] == "00000000-0000-0000-0000-000000000000"
    assert seen["traits"] == Identity.objects.get().traits
    assert "created_at" not in seen
    assert who(client) == WORK


@pytest.mark.kratos(88)
def test_web_hook_answer_replaces_traits_and_metadata(client, ms_identity_emulator, settings):
    answer = identity(
        traits={"username": "ines", "team": "blue"}, metadata_public={"a": 1}, metadata_admin={"b": [2]}
    )
    with asked_first(settings, answer):
        ms_identity_emulator.sign_in(client)

    written = Identity.objects.get()
    assert written.traits == {"username": "ines", "team": "blue"}
    assert (written.metadata_public, written.metadata_admin) == ({"a": 1}, {"b": [2]})
    assert who(client) == b"ines"


def test_web_hook_answer_keeps_what_it_leaves_out(client, ms_identity_emulator, settings):
    mapper = make_mapper(
        "{identity: {traits: {username: 'u'}, metadata_public: {a: 1}, metadata_admin: {b: 1}}}"
    )
    with asked_first(settings, identity(metadata_admin={}), provider={"mapper_url": mapper}):
        ms_identity_emulator.sign_in(client)

    written = Identity.objects.get()
    assert (written.traits, written.metadata_public) == ({"username": "u"}, {"a": 1})
    assert written.metadata_admin == {}


def test_each_web_hook_sees_what_the_one_before_made(client, ms_identity_emulator, settings):
    with serve(identity(traits={"a": 1}), identity(metadata_admin={"b": 2}), reply(status=204)) as server:
        call = web_hook(server.url, **PARSE)
        hooks(settings, after_registration=[call, call, SESSION, call])
        ms_identity_emulator.sign_in(client)

    seen = [json.loads(received.body)["identity"] for received in server.received]
    assert [it["traits"] == {"a": 1} for it in seen] == [False, True, True]
    assert [it["metadata_admin"] for it in seen] == [{}, {}, {"b": 2}]
    assert rows()["SignIn"] == 1


@pytest.mark.kratos(88)
def test_a_web_hook_may_refuse_somebody_before_anything_is_written(client, ms_identity_emulator, settings):
    with asked_first(settings, reply(refusal("You are not on the list."), status=422)):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("web_hook_refused", 403)
    assert "You are not on the list." in page(response)
    assert rows() == NOTHING


def test_changes_of_a_web_hook_are_not_for_a_user_who_appeared_meanwhile(
    client, ms_identity_emulator, settings
):
    """It was asked about a registration, and the sign-in ends in an automatic link."""
    appeared = []

    def appear(execute, sql, params, many, context):
        if server.received and not appeared:
            appeared.append(WORK.decode())
            get_user_model().objects.create_user("ines", email=WORK.decode())
        return execute(sql, params, many, context)

    automatic = {"account_linking_mode": "automatic", "auto_link_domains": ["contoso.example"]}
    answer = identity(traits={"team": "planted"})
    with asked_first(settings, answer, provider=automatic) as server, connection.execute_wrapper(appear):
        ms_identity_emulator.sign_in(client)

    assert (appeared, who(client)) == ([WORK.decode()], b"ines")
    assert Identity.objects.get().traits["email"] == WORK.decode()
    assert "team" not in Identity.objects.get().traits


def test_web_hook_is_not_asked_about_known_people(ms_identity_emulator, settings):
    with asked_first(settings, reply(status=204)) as server:
        ms_identity_emulator.sign_in(Browser())
        ms_identity_emulator.sign_in(Browser())

    assert len(server.received) == 1


def test_web_hook_that_is_asked_before_a_registration_may_also_follow_logins(ms_identity_emulator, settings):
    with serve(reply(status=204), reply(status=204)) as server:
        call = web_hook(server.url, **PARSE)
        hooks(settings, after_registration=[call, SESSION], after_login=[call])
        ms_identity_emulator.sign_in(Browser())
        ms_identity_emulator.sign_in(Browser())

    stages = [json.loads(received.body)["flow"]["stage"] for received in server.received]
    assert stages == ["after_registration", "after_login"]


def test_web_hook_is_not_asked_while_registration_is_off(client, ms_identity_emulator, settings):
    with asked_first(settings, reply(status=204)) as server:
        settings.MS_IDENTITY = {**settings.MS_IDENTITY, "REGISTRATION_ENABLED": False}
        response = ms_identity_emulator.sign_in(client)

    assert code_of(response) == "registration_disabled"
    assert server.received == []


def test_a_web_hook_cannot_verify_an_address(client, ms_identity_emulator, settings):
    answer = identity(
        traits={"email": "boss@contoso.example", "username": "boss@contoso.example"},
        verified_addresses=[{"via": "email", "value": "boss@contoso.example"}],
        verifiable_addresses=[{"via": "email", "value": "boss@contoso.example", "verified": True}],
    )
    with asked_first(settings, answer, provider=VERIFIES_NOTHING):
        ms_identity_emulator.sign_in(client)

    user = get_user_model().objects.get()
    assert Identity.objects.get().traits["email"] == "boss@contoso.example"
    assert user.email == WORK.decode()
    assert "boss" not in user.get_username()
    assert not VerifiableAddress.objects.filter(value="boss@contoso.example").exists()


def test_a_web_hook_cannot_hide_a_collision(client, ms_identity_emulator, settings):
    get_user_model().objects.create_user("first", WORK.decode())
    answer = identity(traits={"email": "other@contoso.example"})
    with asked_first(settings, answer, provider=VERIFIES_NOTHING):
        response = ms_identity_emulator.sign_in(client)

    assert response.headers["Location"] == "/ms/confirm-link/"
    assert rows()["Identity"] == 0


def test_a_second_web_hook_cannot_vouch_for_what_the_first_wrote(client, ms_identity_emulator, settings):
    with serve(identity(traits={"email": "boss@contoso.example"})) as server:
        call = web_hook(server.url, **PARSE)
        hooks(settings, VERIFIES_NOTHING, after_registration=[call, call, SESSION])
        ms_identity_emulator.sign_in(client)

    assert len(server.received) == 2
    assert get_user_model().objects.get().email == WORK.decode()


def test_web_hook_cannot_change_user_and_addresses_of_the_mapper(client, ms_identity_emulator, settings):
    mapper = make_mapper(
        "local email = std.extVar('claims').email;"
        "{identity: {traits: {email: email}, verified_addresses: [{via: 'email', value: email}]},"
        " user: {username: 'mapped', first_name: 'Ada'}}"
    )
    answer = identity(traits={"username": "changed", "first_name": "Bob"})
    with asked_first(settings, answer, provider={"mapper_url": mapper}):
        ms_identity_emulator.sign_in(client)

    user = get_user_model().objects.get()
    assert (user.username, user.first_name, user.email) == ("mapped", "Ada", WORK.decode())
    assert VerifiableAddress.objects.get().value == WORK.decode()

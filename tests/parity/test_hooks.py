"""Hooks, refusals and the dry run."""

from __future__ import annotations

import json
import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_ms_identity.models import Identity, SignIn
from tests.journeys.steps import NOTHING, code_of, page, press, rows
from tests.support.builders import make_mapper, make_schema, make_settings
from tests.support.loopback import Handler, serve
from tests.support.web import Browser

from .steps import FAILS, HOME, WORK, row, who

pytestmark = pytest.mark.django_db

SESSION = {"hook": "session"}
WITHOUT_SESSION = {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 0, "Session": 0}
PARSE = {"response": {"parse": True}}
WORDS = {"messages": [{"instance_ptr": "#/", "messages": [{"id": 1, "text": "You are not on the list."}]}]}

signed_in: list[bool] = []


def look(*, request, **_):
    """Note whether the request is signed in; named in HOOKS."""
    signed_in.append(request.user.is_authenticated)


@pytest.fixture
def hooks(settings):
    def configure(**stages):
        # Only on a developer's machine may a web hook use http.
        settings.DEBUG = True
        settings.MS_IDENTITY = make_settings(HOOKS=stages, MAPPER_TIMEOUT=10)

    return configure


def web_hook(url, **config):
    everything = {
        "url": url,
        "method": "POST",
        "allow_private": True,
        "body": make_mapper("function(ctx) ctx"),
    }
    return {"hook": "web_hook", "config": everything | config}


def reply(body=None, *, status=200):
    return lambda handler: handler.reply(json.dumps(body).encode(), status=status)


# Every stage


@row(33)
def test_a_registration_and_the_login_after_it_are_told_to_their_web_hooks(
    client, ms_identity_emulator, hooks
):
    with serve(reply()) as server:
        call = web_hook(server.url)
        hooks(after_registration=[call, SESSION], after_login=[call])
        ms_identity_emulator.sign_in(Browser())
        ms_identity_emulator.sign_in(client)

    told = [json.loads(received.body) for received in server.received]
    assert [ctx["flow"]["stage"] for ctx in told] == ["after_registration", "after_login"]
    assert {ctx["identity"]["id"] for ctx in told} == {str(Identity.objects.get().pk)}
    assert [sign_in.provider for sign_in in SignIn.objects.all()] == ["microsoft", "microsoft"]


@row(86)
def test_the_session_opens_after_every_other_hook(client, ms_identity_emulator, hooks):
    signed_in.clear()
    hooks(after_registration=[SESSION, {"hook": "tests.parity.test_hooks.look"}])

    response = ms_identity_emulator.sign_in(client, next="/home/?a=1")

    assert signed_in == [False]
    assert (response.headers["Location"], who(client)) == ("/home/?a=1", WORK)


@row(86)
def test_a_hook_that_fails_leaves_an_identity_without_a_session(client, ms_identity_emulator, hooks):
    signed_in.clear()
    look_later = {"hook": "tests.parity.test_hooks.look"}
    hooks(after_registration=[{"hook": "tests.support.hook_functions.fail"}, look_later, SESSION])

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("hook_failed", 503)
    assert (rows(), signed_in) == (WITHOUT_SESSION, [])


@row(86)
def test_without_the_session_hook_the_person_is_told_to_sign_in(client, ms_identity_emulator, hooks):
    hooks(after_registration=[])

    response = ms_identity_emulator.sign_in(client)

    assert "Your account has been created" in page(response)
    assert rows() == WITHOUT_SESSION
    assert ms_identity_emulator.sign_in(client).headers["Location"] == HOME


# Web hooks


@row(88)
def test_a_session_is_a_cookie_and_never_a_token_in_an_answer(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client)

    assert (response.status_code, response.content) == (302, b"")
    assert response.cookies["sessionid"]["httponly"] is True
    assert client.session.session_key not in response.headers["Location"]


@row(88)
@pytest.mark.parametrize(
    ("answer", "config", "code", "left"),
    [
        pytest.param(reply(status=500), {}, "web_hook_failed", WITHOUT_SESSION, id="an error"),
        pytest.param(Handler.hang_up, {}, "web_hook_unreachable", WITHOUT_SESSION, id="no answer"),
        pytest.param(
            reply(WORDS, status=400), {}, "web_hook_failed", WITHOUT_SESSION, id="words, not parsed"
        ),
        pytest.param(reply(WORDS, status=400), PARSE, "web_hook_refused", NOTHING, id="a refusal in words"),
        pytest.param(reply(status=500), PARSE, "web_hook_failed", NOTHING, id="an error, parsed"),
        pytest.param(reply("x"), PARSE, "web_hook_failed", NOTHING, id="no object, parsed"),
        pytest.param(
            reply(), {"allow_private": False}, "configuration_invalid", NOTHING, id="your own network"
        ),
    ],
)
def test_a_web_hook_that_fails_interrupts_a_registration(
    client, ms_identity_emulator, hooks, answer, config, code, left
):
    with serve(answer) as server:
        hooks(after_registration=[web_hook(server.url, **config), SESSION])
        response = ms_identity_emulator.sign_in(client)

    assert code_of(response) == code
    assert ("You are not on the list." in page(response)) is (code == "web_hook_refused")
    assert rows() == left


@row(88)
def test_a_web_hook_replaces_traits_and_metadata_before_a_registration(client, ms_identity_emulator, hooks):
    answer = {"identity": {"traits": {"team": "Tools"}, "metadata_admin": {"a": 1}, "state": "inactive"}}
    with serve(reply(answer)) as server:
        hooks(after_registration=[web_hook(server.url, **PARSE), SESSION])
        ms_identity_emulator.sign_in(client)

    identity = Identity.objects.get()
    assert (identity.traits, identity.metadata_admin) == ({"team": "Tools"}, {"a": 1})
    assert identity.state == "active"


@row(88)
def test_a_web_hook_after_a_login_may_refuse_and_changes_nothing(client, ms_identity_emulator, hooks):
    ms_identity_emulator.sign_in(Browser())
    before = Identity.objects.values().get()
    with serve(reply({"identity": {"traits": {}}}), reply(WORDS, status=403)) as server:
        hooks(after_login=[web_hook(server.url, **PARSE)])
        assert ms_identity_emulator.sign_in(Browser()).headers["Location"] == HOME
        response = ms_identity_emulator.sign_in(client)

    assert Identity.objects.values().get() == before
    assert (code_of(response), who(client)) == ("web_hook_refused", "nobody")


@row(88)
def test_a_web_hook_can_be_cancelled_by_its_template(client, ms_identity_emulator, hooks):
    with serve(reply(status=500)) as server:
        cancels = make_mapper("function(ctx) error 'cancel'")
        hooks(after_registration=[web_hook(server.url, body=cancels), SESSION])
        ms_identity_emulator.sign_in(client)

    assert server.received == []
    assert who(client) == WORK


@row(88)
def test_ignored_web_hook_is_not_waited_for(client, ms_identity_emulator, hooks):
    asked, let_go = threading.Event(), threading.Event()

    def answer(handler):
        asked.set()
        let_go.wait(10)
        handler.reply(status=500)

    with serve(answer) as server:
        hooks(after_registration=[web_hook(server.url, id="x", response={"ignore": True}), SESSION])
        response = ms_identity_emulator.sign_in(client)
        assert asked.wait(10)
        let_go.set()
        for thread in threading.enumerate():
            if thread.name == "ms_identity web hook x":
                thread.join(10)

    assert (response.headers["Location"], who(client)) == (HOME, WORK)


# Refusals and the dry run


@row(85)
@pytest.mark.parametrize(
    ("claims", "answer", "provider", "code"),
    [
        pytest.param(
            {}, {"status": 400, "body": '{"error": "invalid_grant"}'}, {}, "code_expired", id="token"
        ),
        pytest.param({"aud": "another"}, None, {}, "token_rejected", id="ID token"),
        pytest.param({"locale": 7}, None, {}, "claims_invalid", id="claims"),
        pytest.param({}, None, {"mapper_url": FAILS}, "mapper_runtime_failed", id="mapper"),
        pytest.param(
            {}, None, {"mapper_url": make_mapper("{identity: 7}")}, "mapper_result_invalid", id="result"
        ),
    ],
)
def test_each_step_refuses_with_a_code_of_its_own(
    client, ms_identity_emulator, settings, claims, answer, provider, code
):
    settings.MS_IDENTITY = make_settings(provider)
    ms_identity_emulator.persona("work", claims=claims)
    if answer:
        ms_identity_emulator.answer_next("token", **answer)

    assert code_of(ms_identity_emulator.sign_in(client)) == code
    assert rows() == NOTHING


@row(85)
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "callback_invalid"),
        ("state=0123456789abcdef", "flow_missing"),
        ("error=access_denied&state={state}", "sign_in_cancelled"),
        ("state={state}", "callback_invalid"),
    ],
)
def test_an_answer_without_a_code_is_refused_by_what_it_lacks(client, query, code):
    location = press(client).headers["Location"]
    state = location.partition("state=")[2].partition("&")[0]

    response = client.get(f"/ms/callback/microsoft/?{query.format(state=state)}")

    assert code_of(response) == code


@pytest.fixture
def dry_run(tmp_path):
    """Try a mapper on saved claims; return what was printed, and the error that it ended with."""
    path = tmp_path / "claims.json"

    def run(**claims):
        everything = {"sub": "subject", "name": "Ines", "email": WORK} | claims
        path.write_text(json.dumps(everything), encoding="utf-8")
        arguments = ["--provider", "microsoft", "--claims", str(path)]
        out = StringIO()
        try:
            call_command("ms_identity", "map", *arguments, stdout=out, no_color=True)
        except CommandError as error:
            return out.getvalue(), str(error)
        return out.getvalue(), ""

    return run


@row(84)
def test_a_dry_run_shows_every_step_and_writes_nothing(dry_run):
    shown, error = dry_run()

    assert error == ""
    for title in ("Mapper input: claims", "Mapper input: identity", "Mapper output", "What would be written"):
        assert f"\n{title}\n" in shown
    assert dry_run() == (shown, error)
    assert rows() == NOTHING


@row(84)
@pytest.mark.parametrize(
    ("claims", "mapper", "said", "shown"),
    [
        pytest.param({"locale": 7}, "{identity: {traits: {}}}", "locale", "", id="claims"),
        pytest.param({}, "error 'planted'", "planted", "Mapper input: claims", id="mapper"),
        pytest.param({}, "{identity: 7}", "identity", "Mapper input: claims", id="result"),
    ],
)
def test_a_dry_run_says_which_step_fails_after_those_that_did_not(
    dry_run, settings, claims, mapper, said, shown
):
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(mapper)})

    output, error = dry_run(**claims)

    assert said in error
    assert shown in output
    assert "What would be written" not in output
    assert rows() == NOTHING


@row(84)
def test_a_dry_run_says_what_the_schema_has_against_the_traits(dry_run, settings):
    schema = make_schema({"team": {"type": "string", "title": "Team"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=schema)

    output, error = dry_run()

    assert "team" in output
    assert error == ""
    assert rows() == NOTHING

"""Web hooks from their configuration to their effect, against a server on the loopback interface."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from dataclasses import replace

import pytest

from django_ms_identity import conf, runtime
from django_ms_identity.exceptions import MapperBusy, WebHookFailed, WebHookUnreachable
from django_ms_identity.hooks import web_hook_request
from django_ms_identity.hooks.web_hook_request import send_web_hook
from django_ms_identity.hooks.web_hook_response import WebHookChanges
from django_ms_identity.net.guarded_http import Limits
from tests.entra.forge import chain_text
from tests.support.loopback import Handler, serve
from tests.support.web_hooks import make_hook, template

CTX = {
    "flow": {"type": "browser"},
    "request_headers": {"User-Agent": ["planted-browser"]},
    "identity": {"id": "1", "traits": {"email": "planted@example.com"}},
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def call(url: str, *, ctx=CTX, limits: Limits | None = None, **config: object) -> WebHookChanges:
    hook = make_hook(**{"id": "crm", "url": url, "allow_private": True} | config)
    sources = replace(runtime.sources(conf.get_config()), allow_http=True)
    return send_web_hook(hook, ctx, sources=sources, timeout=10, limits=limits or Limits(total=10))


def ok(handler: Handler) -> None:
    handler.reply(b"{}")


def reply(body: object = None, *, status: int = 200):
    return lambda handler: handler.reply(json.dumps(body).encode(), status=status)


def test_the_body_is_what_the_template_makes_of_the_context():
    program = "function(ctx) { id: ctx.identity.id, email: ctx.identity.traits.email }"

    with serve(ok) as server:
        call(server.url, body=template(program), headers={"X-Name": "value"})

    (received,) = server.received
    assert json.loads(received.body) == {"id": "1", "email": "planted@example.com"}
    assert received.method == "POST"
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["User-Agent"] == "django-ms-identity"
    assert received.headers["X-Name"] == "value"


@pytest.mark.parametrize(
    "program",
    [
        "local a = 1; local f(x) = x + a; function(ctx) f(1)",
        "// first\nfunction(ctx) 2 // last",
        "/* first */ function(ctx=null) 2\n# last",
        "local ctx = 5; function(ctx) std.length(ctx.request_headers['User-Agent']) + 1",
    ],
)
def test_a_template_may_define_things_before_its_function(program):
    with serve(ok) as server:
        call(server.url, body=template(program))

    assert json.loads(server.received[0].body) == 2


def test_a_form_is_sent_as_one():
    with serve(ok) as server:
        call(server.url, headers=FORM, body=template("function(ctx) { a: 'b c', 'd&': 'é' }"))

    assert server.received[0].body == b"a=b+c&d%26=%C3%A9"
    assert server.received[0].headers["Content-Type"] == FORM["Content-Type"]


@pytest.mark.parametrize("program", ["function(ctx) ['planted']", "function(ctx) { planted: 1 }"])
def test_what_is_no_form_is_not_sent(program):
    with serve(ok) as server, pytest.raises(WebHookFailed, match="is no form") as failed:
        call(server.url, headers=FORM, body=template(program))

    assert server.received == []
    assert "planted" not in chain_text(failed.value)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_without_a_template_nothing_of_the_context_is_sent(method):
    with serve(ok) as server:
        call(server.url, method=method)

    (received,) = server.received
    assert received.body == b""
    assert "planted" not in f"{received}"


def test_each_request_has_ids_of_its_own():
    with serve(ok) as server:
        call(server.url)
        call(server.url)

    ids = [
        uuid.UUID(received.headers[name])
        for received in server.received
        for name in ("Ory-Webhook-Request-ID", "Ory-Webhook-Trigger-ID")
    ]
    assert len(set(ids)) == 4
    assert {one.version for one in ids} == {4}


# Templates that end otherwise


@pytest.mark.kratos(88)
@pytest.mark.parametrize("program", ["function(ctx) error 'cancel'", "function(ctx) { a: error 'cancel' }"])
def test_a_template_can_cancel_the_request(program):
    with serve(ok) as server:
        changes = call(server.url, body=template(program), response={"parse": True})

    assert changes == WebHookChanges()
    assert server.received == []


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("function(ctx) error 'planted ' + ctx.identity.traits.email", id="error"),
        pytest.param("function(ctx) error 'cancelled planted'", id="almost cancelled"),
        pytest.param("function(ctx) ctx.planted", id="no such field"),
        pytest.param("function(ctx) {", id="syntax"),
        pytest.param("{ planted: 1 }", id="no function"),
        pytest.param("function(ctx, planted) 1", id="another argument"),
        pytest.param("function(ctx) import 'planted'", id="import"),
        pytest.param("function(ctx) std.repeat('planted', 100000)", id="too large"),
    ],
)
def test_a_template_that_fails_sends_nothing_and_tells_nothing(program, caplog):
    caplog.set_level(logging.DEBUG)

    with serve(ok) as server, pytest.raises(WebHookFailed, match="the body of web hook crm") as failed:
        call(server.url, body=template(program))

    assert server.received == []
    assert failed.value.__context__ is None
    assert "planted" not in chain_text(failed.value) + caplog.text


def test_a_context_that_is_too_large_is_a_failure():
    ctx = {"identity": "planted" * 100_000}

    with serve(ok) as server, pytest.raises(WebHookFailed, match="ctx") as failed:
        call(server.url, ctx=ctx, body=template("function(ctx) 1"))

    assert "planted" not in chain_text(failed.value)


def test_a_template_that_is_not_there_is_a_failure(tmp_path):
    with serve(ok) as server, pytest.raises(WebHookFailed, match="cannot be read"):
        call(server.url, body=f"file://{tmp_path}/none.jsonnet")

    assert server.received == []


@pytest.fixture
def _no_worker_is_free():
    semaphore = web_hook_request.worker_pool._own._semaphore
    keys = []
    while semaphore.acquire(len(keys), timeout=0):
        keys.append(len(keys))
    yield
    for key in keys:
        semaphore.release(key)


@pytest.mark.usefixtures("_no_worker_is_free")
def test_a_busy_sandbox_says_so():
    hook = make_hook(body=template("function(ctx) 1"))

    with pytest.raises(MapperBusy):
        send_web_hook(hook, CTX, sources=runtime.sources(conf.get_config()), timeout=0.01)


# Answers


def test_an_answer_can_change_the_identity():
    with serve(reply({"identity": {"traits": {"a": 1}}})) as server:
        changes = call(server.url, response={"parse": True})

    assert changes == WebHookChanges(traits={"a": 1})


@pytest.mark.parametrize("response", [{}, {"parse": True}])
def test_a_server_that_hangs_up_is_unreachable(response):
    with serve(Handler.hang_up) as server, pytest.raises(WebHookUnreachable) as failed:
        call(server.url, response=response)

    assert (failed.value.code, failed.value.status) == ("web_hook_unreachable", 504)


def test_an_address_that_is_not_public_is_refused_unless_allowed():
    # As a name: an address in the URL is refused before, with the configuration.
    hook = make_hook(url="https://hook.example.com/")

    with pytest.raises(WebHookUnreachable, match="not public") as failed:
        send_web_hook(hook, CTX, sources=runtime.sources(conf.get_config()), timeout=1, resolve=loopback)

    assert "allow_private" in failed.value.hint


def loopback(host, port):
    return web_hook_request.resolve("127.0.0.1", port)


# In the background


def joined() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("ms_identity web hook"):
            thread.join(20)


def test_a_hook_that_ignores_its_answer_does_not_wait_for_it():
    go_on, answered = threading.Event(), threading.Event()

    def answer(handler: Handler) -> None:
        go_on.wait(20)
        handler.reply(b'{"identity": {"traits": {"a": 1}}}')
        answered.set()

    with serve(answer) as server:
        changes = call(server.url, response={"ignore": True}, body=template("function(ctx) 1"))
        waited = answered.is_set()
        go_on.set()
        joined()

    assert changes == WebHookChanges()
    assert not waited
    assert json.loads(server.received[0].body) == 1


@pytest.mark.parametrize(
    ("answer", "program", "problem"),
    [
        (reply("planted", status=500), "function(ctx) 1", "web hook crm answered with status 500"),
        (Handler.hang_up, "function(ctx) 1", "POST to 127.0.0.1 failed"),
        (ok, "function(ctx) error 'planted'", "the body of web hook crm failed"),
    ],
)
def test_what_goes_wrong_in_the_background_is_only_logged(answer, program, problem, caplog):
    with serve(answer) as server:
        call(server.url + "/?planted", response={"ignore": True}, body=template(program))
        joined()

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert problem in record.getMessage()
    assert "planted" not in caplog.text


def test_even_an_unexpected_fault_in_the_background_is_only_logged(caplog):
    def resolve(host, port):
        raise RuntimeError("planted")

    hook = make_hook(id="crm", response={"ignore": True})
    send_web_hook(hook, CTX, sources=runtime.sources(conf.get_config()), timeout=1, resolve=resolve)
    joined()

    assert "web hook crm failed: RuntimeError" in caplog.text
    assert "planted" not in caplog.text


def test_too_many_in_the_background_are_dropped_and_the_slots_come_back(caplog):
    go_on = threading.Event()

    def answer(handler: Handler) -> None:
        go_on.wait(20)
        handler.reply()

    with serve(answer) as server:
        for _ in range(web_hook_request.BACKGROUND + 3):
            call(server.url, response={"ignore": True}, limits=Limits(total=30))
        dropped = caplog.text.count("Dropped web hook crm")
        go_on.set()
        joined()
        call(server.url, response={"ignore": True})
        joined()

    assert dropped == 3
    assert len(server.received) == web_hook_request.BACKGROUND + 1


def test_a_thread_that_cannot_start_drops_the_request_and_keeps_no_slot(monkeypatch, caplog):
    def start(thread):
        raise RuntimeError("can't start new thread")

    hook = make_hook(id="crm", response={"ignore": True})
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(web_hook_request.BACKGROUND + 1):
            send_web_hook(hook, CTX, sources=runtime.sources(conf.get_config()), timeout=1)

    assert caplog.text.count("no thread can be started") == web_hook_request.BACKGROUND + 1


# Secrets


def test_no_secret_is_repeated_when_a_request_fails(caplog):
    caplog.set_level(logging.DEBUG)
    auth = {"type": "basic_auth", "config": {"user": "planted", "password": "planted"}}

    with serve(Handler.hang_up) as server, pytest.raises(WebHookUnreachable) as failed:
        call(f"{server.url}/planted?key=planted", id="", headers={"X-Key": "planted"}, auth=auth)

    shown = chain_text(failed.value) + caplog.text
    assert "planted" not in shown
    assert "cGxhbnRlZ" not in shown
    assert failed.value.__context__ is None

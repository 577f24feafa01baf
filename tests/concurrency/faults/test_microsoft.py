"""Microsoft is down, slow or throttles: an honest page with a retry, and nobody waits for somebody else."""

from __future__ import annotations

import threading
import time

import pytest
import requests
import responses
from django.core.cache import cache
from django.db import connections

from django_ms_identity import runtime
from django_ms_identity.net.remote_documents import FRESH, USABLE
from django_ms_identity.testing.emulator import Emulator
from tests.journeys.steps import NOTHING, code_of, page, pick, press, rows
from tests.support import emulated, servers
from tests.support.builders import make_settings
from tests.support.loopback import serve
from tests.support.web import Browser

pytestmark = pytest.mark.django_db

DOWN = {
    "500": {"status": 500},
    "502 of a proxy": {"status": 502, "body": "<html>Bad Gateway</html>"},
    "throttled": {"status": 429, "headers": {"Retry-After": "30"}},
    "no connection": {"exception": requests.ConnectionError("planted-host-and-query")},
    "connect time-out": {"exception": requests.ConnectTimeout("planted-host-and-query")},
    "read time-out": {"exception": requests.ReadTimeout("planted-host-and-query")},
    "TLS": {"exception": requests.exceptions.SSLError("planted-host-and-query")},
    "broken off": {"exception": requests.exceptions.ChunkedEncodingError("planted-host-and-query")},
}
ENDPOINTS = ["token", "keys", "me"]


@pytest.fixture(autouse=True)
def _graph(settings):
    settings.MS_IDENTITY = make_settings({"subject_source": "me"})


def as_a_new_process(emulator):
    runtime.reset()
    cache.clear()
    emulator.requests.clear()


def fail(emulator, endpoint, **answer):
    """Fail every request that one visitor causes: what is only read is asked for again after a 5xx."""
    tries = 2 if endpoint != "token" and answer.get("status", 0) >= 500 else 1
    for _attempt in range(tries):
        emulator.answer_next(endpoint, **answer)


def later(monkeypatch, seconds):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)
    # The process's copies read the clock by themselves: they are as old as the shared ones.
    runtime.reset()
    if servers.CACHE == "redis" and seconds > USABLE:
        cache.clear()  # A server's clock does not follow ours.


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("answer", DOWN.values(), ids=list(DOWN))
def test_the_visitor_gets_a_page_with_a_retry_that_works(client, ms_identity_emulator, endpoint, answer):
    fail(ms_identity_emulator, endpoint, **answer)

    response = ms_identity_emulator.sign_in(client, next="/home/?a=1")

    assert (code_of(response), response.status_code) == ("microsoft_unavailable", 503)
    assert "planted" not in page(response)
    assert rows() == NOTHING
    if answer.get("status") == 429 and endpoint == "keys":
        # Microsoft asked this server to wait, so nobody is let in before that.
        return
    location = client.get(response.context["retry_url"]).headers["Location"]
    assert ms_identity_emulator.callback(location).send(client).headers["Location"] == "/home/?a=1"


def test_the_start_asks_microsoft_nothing(client, ms_identity_emulator):
    for endpoint in ("metadata", "keys", "token"):
        ms_identity_emulator.answer_next(endpoint, exception=requests.ConnectionError())

    assert press(client).status_code == 302
    assert ms_identity_emulator.requests == []


def test_keys_serve_for_a_day_while_microsoft_does_not_answer(ms_identity_emulator, monkeypatch):
    ms_identity_emulator.sign_in(Browser())
    later(monkeypatch, FRESH + 1)
    ms_identity_emulator.requests.clear()
    fail(ms_identity_emulator, "keys", status=503)

    assert ms_identity_emulator.sign_in(Browser()).headers["Location"] == "/home/"
    assert len([url for _, url in ms_identity_emulator.requests if url.endswith("/keys")]) == 2


def test_without_keys_for_more_than_a_day_nobody_is_let_in(ms_identity_emulator, monkeypatch):
    ms_identity_emulator.sign_in(Browser())
    later(monkeypatch, USABLE + 1)
    fail(ms_identity_emulator, "keys", status=503)

    assert code_of(ms_identity_emulator.sign_in(Browser())) == "microsoft_unavailable"


def test_a_server_that_is_asked_to_wait_asks_once(ms_identity_emulator):
    as_a_new_process(ms_identity_emulator)
    ms_identity_emulator.answer_next("keys", status=429, headers={"Retry-After": "60"})

    refused = [code_of(ms_identity_emulator.sign_in(Browser())) for _visitor in range(3)]

    assert refused == ["microsoft_unavailable"] * 3
    assert len([url for _, url in ms_identity_emulator.requests if url.endswith("/keys")]) == 1


def test_the_domains_metadata_is_waited_for_by_itself(ms_identity_emulator, settings):
    """One provider's metadata is throttled; another provider's people come in meanwhile."""
    throttled = {"id": "domain", "microsoft_tenant": "contoso.example"}
    settings.MS_IDENTITY = make_settings(throttled, {})
    ms_identity_emulator.answer_next("metadata", status=429, headers={"Retry-After": "300"})

    held = [code_of(ms_identity_emulator.sign_in(Browser(), provider="domain")) for _visitor in range(2)]

    assert held == ["microsoft_unavailable"] * 2
    assert ms_identity_emulator.sign_in(Browser()).headers["Location"] == "/home/"


@pytest.mark.parametrize("endpoint", ["token", "me"])
@pytest.mark.parametrize("status", [429, 503])
def test_one_visitors_throttling_holds_up_nobody_else(ms_identity_emulator, endpoint, status):
    ms_identity_emulator.sign_in(Browser())
    fail(ms_identity_emulator, endpoint, status=status, headers={"Retry-After": "600"})

    throttled, next_one = (ms_identity_emulator.sign_in(Browser()) for _visitor in range(2))

    assert code_of(throttled) == "microsoft_unavailable"
    assert next_one.headers["Location"] == "/home/"


def test_one_visitors_refusal_holds_up_nobody_else(ms_identity_emulator):
    """An error that one visitor wrote into the query must not reach a client that others share."""
    browser = Browser()
    state = press(browser).headers["Location"].partition("state=")[2].partition("&")[0]
    answer = {"state": state, "error": "interaction_required", "error_description": "AADSTS50076: x"}
    assert code_of(browser.get("/ms/callback/microsoft/", answer)) != ""

    assert ms_identity_emulator.sign_in(Browser()).headers["Location"] == "/home/"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("endpoint", ["/oauth2/v2.0/token", "/me"])
def test_a_slow_microsoft_holds_up_only_who_waits_for_it(settings, endpoint):
    """One visitor's sign-in hangs at Microsoft; another one signs in meanwhile, start to end."""
    settings.DEBUG = True
    asked, answered = threading.Event(), threading.Event()
    emulator = Emulator()

    def microsoft(handler):
        if handler.path.partition("?")[0].endswith(endpoint) and not asked.is_set():
            asked.set()
            answered.wait(20)
        emulated.answer(handler, emulator)

    with serve(microsoft) as server:
        settings.MS_IDENTITY = make_settings(
            {"subject_source": "me"}, EMULATOR_URL=server.url, HTTP_TIMEOUT=(1, 20)
        )

        def arrive(browser, persona):
            location = press(browser).headers["Location"]
            return emulator.callback(location.replace(f"{server.url}/", "https://"), persona).send(browser)

        slow, other = Browser(), Browser()
        came = []
        waiting = in_a_thread(lambda: came.append(arrive(slow, "work")))
        assert asked.wait(20)
        try:
            assert arrive(other, "admin").headers["Location"] == "/home/"
            assert other.get("/home/").content == b"marek.lindqvist@contoso.example"
            assert came == []
        finally:
            answered.set()
            waiting.join()

    assert [it.headers["Location"] for it in came] == ["/home/"]
    assert slow.get("/home/").content == b"ines.okafor@contoso.example"


def in_a_thread(work):
    """Start work beside this thread, on a connection of its own where the database is not in memory."""
    lent = connections["default"] if servers.DATABASE == "sqlite" else None

    def run():
        if lent:
            connections["default"] = lent
        try:
            work()
        finally:
            if not lent:
                connections.close_all()

    if lent:
        lent.inc_thread_sharing()
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_answer_that_drips_is_given_up_at_the_limit(client, settings):
    settings.DEBUG = True

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass

    with serve(drip) as server:
        settings.MS_IDENTITY = make_settings(EMULATOR_URL=f"{server.url}/emulator", HTTP_TIMEOUT=(0.3, 0.5))
        location = press(client).headers["Location"]
        with Emulator() as emulator:
            callback = emulator.callback(location.replace(f"{server.url}/emulator/", "https://"))
        began = time.monotonic()

        response = callback.send(client)

    assert code_of(response) == "microsoft_unavailable"
    assert time.monotonic() - began < 5


def test_a_wire_that_is_cut_is_said_without_its_secrets(client, ms_identity_emulator, caplog):
    callback = pick(client, ms_identity_emulator)
    with responses.RequestsMock():  # Nothing is registered: every request is a connection error.
        response = callback.send(client)

    assert code_of(response) == "microsoft_unavailable"
    assert "microsoft_unavailable" in caplog.text
    assert "client_secret" not in caplog.text

"""A worker that is killed, hangs, is busy or lacks memory: one login is refused, the next one works."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from django_ms_identity.exceptions import MapperFailed
from django_ms_identity.jsonnet import engines, worker_pool
from django_ms_identity.jsonnet.worker_pool import SIZE
from tests.journeys.steps import NOTHING, code_of, page, rows
from tests.support.builders import make_mapper, make_settings
from tests.support.web import Browser

pytestmark = pytest.mark.django_db

SPIN = "local fib(n) = if n < 2 then n else fib(n - 1) + fib(n - 2); {identity: {traits: {n: fib(60)}}}"
HOARD = (
    "local grow(text, n) = if n == 0 then text else grow(text + text, n - 1);"
    "{identity: {traits: {text: std.length(grow('0123456789abcdef', 30))}}}"
)
FAULTS = {
    "hangs": (SPIN, {"mapper_timed_out"}),
    "out of memory": (HOARD, {"mapper_crashed", "mapper_timed_out", "mapper_runtime_failed"}),
}


def configure(settings, program=None, **top):
    provider = {"mapper_url": make_mapper(program)} if program else {}
    settings.MS_IDENTITY = make_settings(provider, **top)


def spin(ends):
    """Keep one of the process's workers busy, with a mapper that no other thread runs."""
    source = f"{SPIN} // {uuid4()}"
    with suppress(MapperFailed):
        worker_pool.evaluate(source, name="m", claims={}, identity={}, timeout=5)
    ends.append(1)


@pytest.mark.parametrize(("program", "codes"), FAULTS.values(), ids=list(FAULTS))
def test_mapper_that_breaks_refuses_one_login_and_not_the_next(
    client, ms_identity_emulator, settings, program, codes
):
    configure(settings, program, MAPPER_TIMEOUT=2)

    response = ms_identity_emulator.sign_in(client)

    assert code_of(response) in codes, page(response)
    assert response.status_code == 503
    assert response.context["retry_url"]
    assert rows() == NOTHING
    configure(settings)
    location = client.get(response.context["retry_url"]).headers["Location"]
    assert ms_identity_emulator.callback(location).send(client).headers["Location"] == "/home/"


def test_worker_that_was_killed_idle_does_not_disturb_a_login(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser(), "admin")
    for worker in list(worker_pool._own.workers):
        worker.process.kill()
        worker.process.wait()

    assert ms_identity_emulator.sign_in(client).headers["Location"] == "/home/"


def test_worker_that_is_killed_at_work_refuses_the_login(client, ms_identity_emulator, settings):
    configure(settings, SPIN, MAPPER_TIMEOUT=20)
    worker_pool._own.close()
    ended = threading.Event()

    def kill_what_runs():
        while not ended.is_set():
            for worker in list(worker_pool._own.workers):
                worker.process.kill()
            time.sleep(0.02)

    killer = threading.Thread(target=kill_what_runs)
    killer.start()
    try:
        response = ms_identity_emulator.sign_in(client)
    finally:
        ended.set()
        killer.join()

    assert (code_of(response), response.status_code) == ("mapper_crashed", 503)
    configure(settings)
    assert ms_identity_emulator.sign_in(client).headers["Location"] == "/home/"


def test_worker_pool_that_is_busy_refuses_a_registration_with_503(client, ms_identity_emulator, settings):
    configure(settings, None, MAPPER_TIMEOUT=0.05)
    worker_pool._own.close()
    ended = []
    with ThreadPoolExecutor(SIZE) as threads:
        for _worker in range(SIZE):
            threads.submit(spin, ended)
        for _ in range(1000):
            if len(worker_pool._own.workers) == SIZE:
                break
            time.sleep(0.01)
        response = ms_identity_emulator.sign_in(client)
        assert not ended

    assert (code_of(response), response.status_code) == ("mapper_busy", 503)
    assert "try again" in page(response).lower()
    configure(settings)
    assert ms_identity_emulator.sign_in(client).headers["Location"] == "/home/"


def test_mapper_that_hangs_does_not_disturb_a_known_person(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(Browser())
    configure(settings, SPIN, MAPPER_TIMEOUT=0.05)

    assert ms_identity_emulator.sign_in(client).headers["Location"] == "/home/"


def test_mapper_that_breaks_an_update_keeps_the_stored_traits(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(Browser())
    before = get_user_model().objects.get().ms_identity.traits
    provider = {"mapper_url": make_mapper(SPIN), "update_identity_on_login": "automatic"}
    settings.MS_IDENTITY = make_settings(provider, MAPPER_TIMEOUT=0.3)

    ms_identity_emulator.sign_in(client)

    assert get_user_model().objects.get().ms_identity.traits == before


def test_worker_pool_keeps_no_reply_of_a_cancelled_sign_in(ms_identity_emulator):
    """A server's time-out may end a request after it was sent to a worker and before the reply."""

    class Cancelled(BaseException):
        pass

    class CancelledOnce(worker_pool.WORKER):
        def receive(self, *, deadline):
            if cancellations:
                raise cancellations.pop()
            return super().receive(deadline=deadline)

    cancellations = [Cancelled()]
    pool = worker_pool.WorkerPool(engines.preferred(), size=1, worker=CancelledOnce)
    try:
        with pytest.raises(Cancelled):
            evaluate(pool, "first")
        assert not pool.workers
        assert evaluate(pool, "second") == '"second"'
    finally:
        pool.close()


def evaluate(pool, name):
    source = "std.extVar('claims').name"
    return pool.evaluate(source, name="m", claims={"name": name}, identity={}, timeout=20).strip()


def test_worker_pool_gives_each_of_many_people_their_own_mapping():
    """Two workers, eight threads, workers killed at work: each gets its own reply or a refusal."""
    pool = worker_pool.WorkerPool(engines.preferred())
    ended = threading.Event()

    def disturb():
        while not ended.wait(0.3):
            for worker in list(pool.workers)[:1]:
                worker.process.kill()

    def ask(number):
        answers = []
        for turn in range(4):
            with suppress(MapperFailed):
                answers.append(evaluate(pool, f"{number}-{turn}") == f'"{number}-{turn}"')
        return answers

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        with ThreadPoolExecutor(8) as threads:
            answers = [each for every in threads.map(ask, range(8)) for each in every]
    finally:
        ended.set()
        disturber.join()
        pool.close()

    assert answers
    assert all(answers)

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from django_ms_identity.exceptions import (
    ClaimsInvalid,
    MapperBusy,
    MapperCrashed,
    MapperTimedOut,
    MapperUnavailable,
)
from django_ms_identity.jsonnet import engines, worker_pool
from django_ms_identity.jsonnet.engines import Engine
from django_ms_identity.jsonnet.pipe_worker import PipeWorker
from django_ms_identity.jsonnet.worker_pool import MAX_INPUT, WorkerPool
from django_ms_identity.jsonnet.worker_process import Worker, WorkerGone

ECHO = "std.extVar('claims')"
SPIN = "local fib(n) = if n < 2 then n else fib(n - 1) + fib(n - 2); fib(60)"

posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks are POSIX")


def run(pool: WorkerPool, source: str = ECHO, *, timeout: float = 20, **claims: Any) -> Any:
    return json.loads(pool.evaluate(source, name="m", claims=claims, identity={}, timeout=timeout))


@contextmanager
def opened(engine: Engine, **options: Any) -> Iterator[WorkerPool]:
    pool = WorkerPool(engine, **options)
    try:
        yield pool
    finally:
        pool.close()


def the_only_worker(pool: WorkerPool) -> Worker:
    (worker,) = pool.workers
    return worker


def eventually(condition: Callable[[], object]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen within 20 s")


def assert_reaped(pid: int) -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@pytest.fixture
def quick() -> Engine:
    """Return the preferred engine, for tests of the pool rather than of an engine."""
    return engines.preferred()


# Evaluation


def test_mapper_receives_claims_and_identity(sandbox: WorkerPool) -> None:
    output = sandbox.evaluate(
        "{ c: std.extVar('claims').a, i: std.extVar('identity').b }",
        name="m",
        claims={"a": "ä\u2028"},
        identity={"b": [1, None, True, 1.5]},
        timeout=20,
    )

    assert json.loads(output) == {"c": "ä\u2028", "i": [1, None, True, 1.5]}


def test_worker_is_reused(sandbox: WorkerPool) -> None:
    run(sandbox)
    before = set(sandbox.workers)
    run(sandbox)

    assert sandbox.workers == before


def test_engine_is_not_loaded_into_this_process(sandbox: WorkerPool) -> None:
    run(sandbox)

    assert not {"_jsonnet", "_gojsonnet"} & set(sys.modules)


def test_worker_pool_of_the_process_evaluates() -> None:
    output = worker_pool.evaluate(ECHO, name="m", claims={"a": 1}, identity={}, timeout=20)

    assert json.loads(output) == {"a": 1}


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": b""}, {"a": 10**5000}])
def test_mapper_input_that_is_not_json_is_refused(quick: Engine, value: dict[str, Any]) -> None:
    pool = WorkerPool(quick)

    with pytest.raises(ClaimsInvalid, match="the claims cannot"):
        pool.evaluate(ECHO, name="m", claims=value, identity={}, timeout=20)
    with pytest.raises(ClaimsInvalid, match="the identity cannot"):
        pool.evaluate(ECHO, name="m", claims={}, identity=value, timeout=20)
    assert not pool.workers


@pytest.mark.parametrize("what", ["claims", "identity"])
def test_mapper_input_that_is_too_large_is_refused_and_not_shown(quick: Engine, what: str) -> None:
    inputs: dict[str, Any] = {"claims": {}, "identity": {}} | {what: {"a": ["planted" * 40_000]}}
    with pytest.raises(ClaimsInvalid, match=f"the {what} takes .* at most {MAX_INPUT}") as refusal:
        WorkerPool(quick).evaluate(ECHO, name="m", timeout=20, **inputs)

    assert "planted" not in str(refusal.value)


def test_mapper_input_is_measured_in_bytes(quick: Engine) -> None:
    with opened(quick) as pool:
        assert run(pool, "1", a="é" * 100_000) == 1
        with pytest.raises(ClaimsInvalid, match="bytes"):
            run(pool, "1", a="é" * 140_000)


def test_mapper_input_that_is_nested_deeply_is_refused(quick: Engine) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ClaimsInvalid):
        WorkerPool(quick).evaluate(ECHO, name="m", claims={}, identity={"a": deep}, timeout=20)


def test_mapper_input_with_a_lone_surrogate_gets_a_replacement_character(sandbox: WorkerPool) -> None:
    output = sandbox.evaluate(
        "std.extVar('identity').a", name="m", claims={}, identity={"a": "\ud800"}, timeout=20
    )

    assert json.loads(output) == "\ufffd"


# Workers that die


def test_worker_that_died_idle_is_replaced(sandbox: WorkerPool) -> None:
    run(sandbox)
    for worker in sandbox.workers:
        worker.process.kill()
        worker.process.wait()

    assert run(sandbox, a=1) == {"a": 1}


def announced(kind: type[Worker]) -> tuple[type[Worker], threading.Semaphore]:
    """Make a kind of worker that signals each request that was sent."""
    sent = threading.Semaphore(0)

    class AnnouncedWorker(kind):
        def send(self, body: bytes, *, deadline: float) -> None:
            super().send(body, deadline=deadline)
            sent.release()

    return AnnouncedWorker, sent


@pytest.mark.parametrize("kind", [Worker, PipeWorker])
def test_worker_that_is_killed_while_busy_is_a_crash(quick: Engine, kind: type[Worker]) -> None:
    kind, sent = announced(kind)
    with opened(quick, worker=kind) as pool, ThreadPoolExecutor(1) as threads:
        busy = threads.submit(run, pool, SPIN)
        assert sent.acquire(timeout=20)
        the_only_worker(pool).process.kill()

        with pytest.raises(MapperCrashed):
            busy.result(20)
        assert run(pool, a=1) == {"a": 1}


def test_worker_is_killed_at_a_time_out_and_leaves_no_zombie(sandbox: WorkerPool) -> None:
    run(sandbox)
    pids = {worker.process.pid for worker in sandbox.workers}
    with pytest.raises(MapperTimedOut) as failure:
        run(sandbox, SPIN, timeout=0.2)

    (killed,) = pids - {worker.process.pid for worker in sandbox.workers}
    assert_reaped(killed)
    assert "0.2 s" in str(failure.value)
    assert run(sandbox, a=1) == {"a": 1}


def test_worker_pool_evaluates_again_after_close(quick: Engine) -> None:
    with opened(quick) as pool:
        run(pool)
        pid = the_only_worker(pool).process.pid
        pool.close()

        assert_reaped(pid)
        assert run(pool, a=1) == {"a": 1}


def test_worker_exits_when_its_parent_is_gone(engine: Engine) -> None:
    worker = Worker(engine)
    worker._close()

    assert worker.process.wait(timeout=20) == 0


def test_engine_that_cannot_be_loaded_is_a_crash(quick: Engine) -> None:
    with opened(replace(quick, path="/nonexistent.so")) as pool, pytest.raises(MapperCrashed):
        run(pool)


def test_engine_that_is_missing_is_named_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])

    with pytest.raises(MapperUnavailable) as refusal:
        run(WorkerPool())

    assert "pip install" in refusal.value.hint


class UnstartableWorker(Worker):
    def _start(self, engine: Engine) -> subprocess.Popen[bytes]:
        raise BlockingIOError(11, "Resource temporarily unavailable")


class DeafWorker(Worker):
    def send(self, body: bytes, *, deadline: float) -> None:
        raise WorkerGone


def test_worker_that_cannot_be_reached_is_a_crash(quick: Engine) -> None:
    with opened(quick, worker=DeafWorker) as pool, pytest.raises(MapperCrashed):
        run(pool)


def test_worker_that_the_system_refuses_to_start_is_a_crash(quick: Engine) -> None:
    with pytest.raises(MapperCrashed, match="temporarily unavailable"):
        run(WorkerPool(quick, worker=UnstartableWorker))


def test_worker_that_cannot_be_executed_leaves_no_socket(
    quick: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    # An unclosed socket is a warning and so an error.
    with pytest.raises(MapperCrashed, match="could not be started"):
        run(WorkerPool(quick))


# Replies reach their own callers


class Interrupted(BaseException):
    """Stands for a greenlet's time-out or a Ctrl-C."""


class InterruptedWorker(Worker):
    """Interrupts the caller when a marked reply has arrived."""

    def receive(self, *, deadline: float) -> bytes:
        reply = super().receive(deadline=deadline)
        if b"interrupt me" in reply:
            raise Interrupted
        return reply


def test_worker_is_killed_when_its_caller_is_interrupted(engine: Engine) -> None:
    with opened(engine, size=1, worker=InterruptedWorker) as pool:
        run(pool)
        pid = the_only_worker(pool).process.pid
        with pytest.raises(Interrupted):
            run(pool, a="interrupt me")

        assert not pool.workers
        assert_reaped(pid)
        assert run(pool, a=1) == {"a": 1}


@posix
def test_worker_is_killed_when_a_signal_handler_raises(quick: Engine) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    def interrupt_when_asked() -> None:
        assert sent.acquire(timeout=20)
        os.kill(os.getpid(), signal.SIGUSR1)

    kind, sent = announced(Worker)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with opened(quick, size=1, worker=kind) as pool, ThreadPoolExecutor(1) as threads:
            threads.submit(interrupt_when_asked)
            with pytest.raises(Interrupted):
                run(pool, SPIN)

            assert not pool.workers
            assert run(pool, a=1) == {"a": 1}
    finally:
        signal.signal(signal.SIGUSR1, before)


class LateWorker(Worker):
    """Delivers the reply before last."""

    last = b""

    def receive(self, *, deadline: float) -> bytes:
        reply, type(self).last = type(self).last, super().receive(deadline=deadline)
        return reply or self.last


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"{}", b"[" * 100_000, b"\xff"])
def test_worker_reply_that_does_not_echo_the_id_is_a_crash(quick: Engine, garbage: bytes) -> None:
    class GarbageWorker(Worker):
        def receive(self, *, deadline: float) -> bytes:
            super().receive(deadline=deadline)
            return garbage

    with opened(quick, worker=GarbageWorker) as pool:
        with pytest.raises(MapperCrashed):
            run(pool)
        assert not pool.workers


def test_worker_reply_to_another_request_is_a_crash(quick: Engine) -> None:
    with opened(quick, size=1, worker=LateWorker) as pool:
        run(pool, a=1)

        with pytest.raises(MapperCrashed):
            run(pool, a=2)
        assert not pool.workers


def test_worker_pool_gives_each_thread_its_own_replies(sandbox: WorkerPool) -> None:
    rounds = 25 if sandbox._engine and sandbox._engine.module == "_gojsonnet" else 5

    def ask(thread: int) -> list[bool]:
        return [run(sandbox, a=thread, b=n) == {"a": thread, "b": n} for n in range(rounds)]

    with ThreadPoolExecutor(6) as threads:
        answers = [answer for answers in threads.map(ask, range(6)) for answer in answers]

    assert answers == [True] * 6 * rounds
    assert len(sandbox.workers) <= 2


def test_worker_pool_says_that_it_is_busy_after_the_time_out(quick: Engine) -> None:
    kind, sent = announced(Worker)
    with opened(quick, size=1, worker=kind) as pool, ThreadPoolExecutor(1) as threads:
        long = threads.submit(run, pool, SPIN, timeout=0.5)
        assert sent.acquire(timeout=20)
        with pytest.raises(MapperBusy, match="all 1 workers"):
            run(pool, timeout=0.05)

        with pytest.raises(MapperTimedOut):
            long.result(20)
        assert run(pool, a=1) == {"a": 1}


def test_worker_pool_leaves_a_worker_to_others_while_one_mapper_loops(quick: Engine) -> None:
    kind, sent = announced(Worker)
    with opened(quick, size=2, worker=kind) as pool, ThreadPoolExecutor(4) as threads:
        run(pool)
        assert sent.acquire(timeout=20)
        loops = [threads.submit(run, pool, SPIN, timeout=0.9) for _ in range(4)]
        assert sent.acquire(timeout=20)

        # While one loops and the others wait, there is a worker at once.
        assert run(pool, a=1) == {"a": 1}
        assert not any(loop.done() for loop in loops)
        assert len(pool.workers) <= 2
        for loop in loops:
            with pytest.raises((MapperTimedOut, MapperBusy)):
                loop.result(60)


# Forks and exits


def python(script: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


PRELUDE = """
import os, sys
from django_ms_identity.jsonnet import engines, worker_pool
pool = worker_pool._own
pool._engine = {engine.module: engine for engine in engines.installed()}[%r]
def run():
    return pool.evaluate("'good'", name="m", claims={}, identity={}, timeout=20).strip()
def pids():
    return {worker.process.pid for worker in pool.workers}
"""


@posix
def test_worker_pool_evaluates_in_a_forked_child_and_its_parent(engine: Engine) -> None:
    done = python(
        PRELUDE % engine.module
        + """
run()
before = pids()
child = os.fork()
if child == 0:
    import gc
    gc.collect()
    print("child", run(), bool(pids() & before), flush=True)
    pool.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("parent", run(), pids() == before)
"""
    )

    assert done.stdout.splitlines() == ['child "good" False', 'parent "good" True']
    assert done.stderr == ""


@posix
def test_worker_of_the_parent_is_not_kept_alive_by_a_forked_child(quick: Engine) -> None:
    done = python(
        PRELUDE % quick.module
        + """
import time
run()
(worker,) = pool.workers
child = os.fork()
if child == 0:
    time.sleep(30)
    os._exit(0)
worker._close()
print(worker.process.wait(timeout=20))
os.kill(child, 9)
os.waitpid(child, 0)
"""
    )

    assert done.stdout.strip() == "0", done.stderr


def test_worker_pool_ends_with_its_process_without_a_message(engine: Engine) -> None:
    done = python(PRELUDE % engine.module + "run(); print(*pids())")

    assert done.stderr == ""
    assert done.returncode == 0
    assert not is_running(int(done.stdout))


@posix
def test_worker_pool_of_a_killed_process_leaves_no_worker(engine: Engine) -> None:
    done = python(PRELUDE % engine.module + "run(); print(*pids(), flush=True); os.kill(os.getpid(), 9)")

    assert done.returncode == -signal.SIGKILL
    eventually(lambda: not is_running(int(done.stdout)))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{pid}/stat") as file:
            # An orphan that ended may wait for init to reap it.
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return os.path.isdir("/proc/self") is False


@posix
def test_worker_is_closed_and_not_killed_when_it_is_detached(quick: Engine) -> None:
    pool = WorkerPool(quick)
    run(pool)
    pid = the_only_worker(pool).process.pid
    pool.detach_after_fork()

    assert not pool.workers
    assert os.waitpid(pid, 0) == (pid, 0)


# Pipes, as on Windows


def test_pipe_worker_evaluates(engine: Engine) -> None:
    with opened(engine, worker=PipeWorker) as pool:
        big = "x" * 200_000

        assert run(pool, a=big) == {"a": big}
        assert run(pool, a=1) == {"a": 1}


def test_pipe_worker_is_killed_at_a_time_out(engine: Engine) -> None:
    with opened(engine, worker=PipeWorker) as pool:
        run(pool)
        pid = the_only_worker(pool).process.pid
        with pytest.raises(MapperTimedOut):
            run(pool, SPIN, timeout=0.3)

        assert_reaped(pid)
        assert run(pool, a=1) == {"a": 1}


def test_pipe_worker_that_died_idle_is_replaced(engine: Engine) -> None:
    with opened(engine, worker=PipeWorker) as pool:
        run(pool)
        worker = the_only_worker(pool)
        worker.process.kill()
        worker.process.wait()

        assert run(pool, a=1) == {"a": 1}

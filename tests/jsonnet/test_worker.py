"""The worker from outside: what it may still do once it has locked itself in."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_ms_identity.jsonnet import worker as worker_module
from django_ms_identity.jsonnet.engines import Engine
from django_ms_identity.jsonnet.worker_pool import WorkerPool
from django_ms_identity.jsonnet.worker_process import Worker, WorkerGone, command

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at the worker by way of /proc")

MiB = 1024 * 1024
SPIN = "local fib(n) = if n < 2 then n else fib(n - 1) + fib(n - 2); fib(60)"


def request(source: str, *, wall: float = 20) -> bytes:
    return json.dumps(
        {"id": "1", "source": source, "claims": "{}", "identity": "{}", "wall": wall, "explain": False}
    ).encode()


def asked(worker: Worker, source: str, *, wall: float = 20) -> object:
    deadline = time.monotonic() + 20
    worker.send(request(source, wall=wall), deadline=deadline)
    return json.loads(worker.receive(deadline=deadline))


@pytest.fixture(scope="module")
def worker(engine: Engine) -> Iterator[Worker]:
    worker = Worker(engine)
    assert asked(worker, "1") == {"id": "1", "output": "1\n"}
    yield worker
    worker.kill()


def proc(worker: Worker, name: str) -> Path:
    return Path("/proc", str(worker.process.pid), name)


@linux
def test_the_limits_are_set(worker: Worker, engine: Engine) -> None:
    table = {line[:25].strip(): line[25:].split() for line in proc(worker, "limits").read_text().splitlines()}

    go = engine.module == "_gojsonnet"
    memory, files = (2048, "16") if go else (512, "0")
    assert table["Max address space"][:2] == [str(memory * MiB)] * 2
    assert table["Max open files"][:2] == [files] * 2
    assert table["Max file size"][:2] == ["0", "0"]
    assert table["Max core file size"][:2] == ["0", "0"]
    if not go:  # Go cannot run without threads, which count as processes
        assert table["Max processes"][:2] == ["0", "0"]


@linux
def test_it_can_gain_no_privileges(worker: Worker) -> None:
    assert "NoNewPrivs:\t1" in proc(worker, "status").read_text()


@linux
def test_it_has_a_process_group_of_its_own_in_the_session_of_the_parent(worker: Worker) -> None:
    assert os.getpgid(worker.process.pid) == worker.process.pid
    assert os.getsid(worker.process.pid) == os.getsid(0)


@linux
def test_its_working_directory_is_nobodys(worker: Worker) -> None:
    assert proc(worker, "cwd").readlink() == Path("/")


@linux
def test_it_has_no_environment_but_what_the_engine_needs(worker: Worker, engine: Engine) -> None:
    go = engine.module == "_gojsonnet"

    assert proc(worker, "environ").read_bytes() == (b"GOMAXPROCS=1\0" if go else b"")


@linux
def test_it_inherits_nothing_but_its_socket(engine: Engine) -> None:
    inheritable = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        worker = Worker(engine)
        asked(worker, "1")
        handles = {int(path.name): os.readlink(path) for path in proc(worker, "fd").iterdir()}
        worker.kill()
    finally:
        os.close(inheritable)

    assert [handles.pop(number) for number in range(3)] == ["/dev/null"] * 3
    others = [target for target in handles.values() if not target.startswith("anon_inode:")]
    assert len(others) == 1
    assert others[0].startswith("socket:")


def landlock_version() -> int:
    version: int = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    return version


@linux
def test_landlock_takes_files_and_tcp_where_the_kernel_has_it() -> None:
    script = """
import runpy, socket, sys
worker = runpy.run_path(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
worker["forbid_files"]()
def tried(attempt):
    try:
        attempt()
    except PermissionError:
        return "refused"
    return "done"
print(tried(lambda: open("/etc/passwd")), tried(lambda: open("/tmp/x", "w")),
      tried(lambda: socket.create_connection(listener.getsockname())))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, worker_module.__file__], capture_output=True, text=True, check=True
    )

    version = landlock_version()
    files, tcp = ("refused" if version >= needed else "done" for needed in (1, 4))
    assert done.stdout.split() == [files, files, tcp]


@pytest.mark.skipif(os.name != "posix", reason="the timers are POSIX")
def test_its_own_timer_ends_it_when_the_parent_does_not(engine: Engine) -> None:
    # What the parent ignores is ignored by those whom it starts, unless they object.
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        worker = Worker(engine)
        with pytest.raises(WorkerGone):
            asked(worker, SPIN, wall=0.2)
        worker.kill()
    finally:
        signal.signal(signal.SIGALRM, before)

    assert worker.process.returncode == -signal.SIGALRM
    assert worker.ran_out_of_time()


@pytest.mark.skipif(os.name != "posix", reason="the timers are POSIX")
def test_the_timers_do_not_run_between_evaluations(engine: Engine) -> None:
    worker = Worker(engine)
    asked(worker, "1", wall=1.0)
    time.sleep(1.2)

    assert asked(worker, "2") == {"id": "1", "output": "2\n"}
    worker.kill()


def test_a_socket_that_does_not_block_serves_as_well(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def socketpair() -> tuple[socket.socket, socket.socket]:
        """Make them as gevent does."""
        pair = original()
        for end in pair:
            end.setblocking(False)
        return pair

    original = socket.socketpair
    monkeypatch.setattr(socket, "socketpair", socketpair)
    pool = WorkerPool(engine)
    for _ in range(2):
        assert pool.evaluate("1", name="m", claims={}, identity={}, timeout=20) == "1\n"
        time.sleep(0.01)
    pool.close()


def test_a_reply_that_claims_to_be_huge_is_not_read(engine: Engine) -> None:
    worker = Worker(engine)
    ours, theirs = socket.socketpair()
    worker._socket.close()
    worker._socket = ours
    with theirs:
        theirs.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(WorkerGone):
            worker.receive(deadline=time.monotonic() + 20)
    worker.kill()


def test_a_worker_that_does_not_read_runs_into_the_deadline(engine: Engine) -> None:
    worker = Worker(engine)
    ours, theirs = socket.socketpair()
    worker._socket.close()
    worker._socket = ours
    with theirs, pytest.raises(TimeoutError):
        worker.send(b"x" * 10_000_000, deadline=time.monotonic() + 0.1)
    worker.kill()


@pytest.mark.parametrize("executable", ["/usr/bin/uwsgi", "", None])
def test_the_interpreter_is_found_under_servers_that_embed_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)

    interpreter = command(engine, 3, 3)[0]

    assert Path(interpreter).name.startswith("python")
    assert os.access(interpreter, os.X_OK)


def test_it_runs_isolated_and_without_site_packages(engine: Engine) -> None:
    assert command(engine, 3, 3)[1:3] == ["-I", "-S"]

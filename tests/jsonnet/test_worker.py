"""The worker process from outside: what it may still do once it has limited itself."""

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

from django_ms_identity.jsonnet import engines
from django_ms_identity.jsonnet import worker as worker_module
from django_ms_identity.jsonnet.engines import Engine
from django_ms_identity.jsonnet.worker_pool import WorkerPool
from django_ms_identity.jsonnet.worker_process import CPU, Worker, WorkerGone, command

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at the worker by way of /proc")

MiB = 1024 * 1024
FIB = "local fib(n) = if n < 2 then n else fib(n - 1) + fib(n - 2); fib(%d)"
SPIN = FIB % 60


def request(source: str) -> bytes:
    return json.dumps(
        {"id": "1", "source": source, "claims": "{}", "identity": "{}", "explain": False}
    ).encode()


def asked(worker: Worker, source: str) -> object:
    deadline = time.monotonic() + 20
    worker.send(request(source), deadline=deadline)
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
def test_worker_has_its_resource_limits(worker: Worker, engine: Engine) -> None:
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
def test_worker_can_gain_no_privileges(worker: Worker) -> None:
    assert "NoNewPrivs:\t1" in proc(worker, "status").read_text()


@linux
def test_worker_has_its_own_process_group_in_the_session_of_the_parent(worker: Worker) -> None:
    assert os.getpgid(worker.process.pid) == worker.process.pid
    assert os.getsid(worker.process.pid) == os.getsid(0)


@linux
def test_worker_has_the_root_as_working_directory(worker: Worker) -> None:
    assert proc(worker, "cwd").readlink() == Path("/")


@linux
def test_worker_has_no_environment_but_what_the_engine_needs(worker: Worker, engine: Engine) -> None:
    go = engine.module == "_gojsonnet"

    assert proc(worker, "environ").read_bytes() == (b"GOMAXPROCS=1\0" if go else b"")


@linux
def test_worker_inherits_nothing_but_its_socket(engine: Engine) -> None:
    inheritable = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        worker = Worker(engine)
        asked(worker, "1")
        handles = {int(path.name): os.readlink(path) for path in proc(worker, "fd").iterdir()}
        worker.kill()
    finally:
        os.close(inheritable)

    stdin, stdout, stderr = (handles.pop(number) for number in range(3))
    assert stdin.startswith("socket:")
    assert (stdout, stderr) == (stdin, "/dev/null")
    assert [target for target in handles.values() if not target.startswith("anon_inode:")] == []


def landlock_version() -> int:
    version: int = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    return version


@linux
def test_landlock_takes_files_and_tcp_from_the_worker() -> None:
    script = """
import runpy, socket, sys
worker = runpy.run_path(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
worker["restrict_with_landlock"]()
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


@linux
@pytest.mark.parametrize("attack", ["process_vm_readv", "ptrace"])
def test_landlock_keeps_worker_from_the_memory_of_its_parent(attack: str) -> None:
    """Both are asked of a parent that allows it to all its user's processes, as root may in any case."""
    script = """
import ctypes, os, runpy, sys
worker = runpy.run_path(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
secret = ctypes.create_string_buffer(b"planted", 8)
copy = ctypes.create_string_buffer(8)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
def attack(parent):
    if sys.argv[2] == "ptrace":
        return libc.ptrace(0x4206, parent, None, None) == 0  # PTRACE_SEIZE does not stop it
    local, remote = (Vector(ctypes.addressof(buffer), 8) for buffer in (copy, secret))
    return libc.process_vm_readv(parent, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == 8
libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER_ANY, for Yama
child = os.fork()
if not child:
    worker["restrict_with_landlock"]()
    os._exit(attack(os.getppid()))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, worker_module.__file__, attack],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "0" or landlock_version() < 1


@pytest.mark.skipif(os.name != "posix", reason="the timer is POSIX")
def test_worker_is_ended_by_its_own_timer_although_the_parent_ignores_the_signal(engine: Engine) -> None:
    before = signal.signal(signal.SIGPROF, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPROF})
    try:
        worker = Worker(engine)
        with pytest.raises(ConnectionError):
            asked(worker, SPIN)
        worker.kill()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
        signal.signal(signal.SIGPROF, before)

    assert worker.process.returncode == -signal.SIGPROF
    assert worker.ran_out_of_time


@linux
def test_worker_has_its_processor_time_for_each_evaluation() -> None:
    worker = Worker(engines.preferred())
    while processor_seconds(worker) < 1.3 * CPU:
        assert asked(worker, FIB % 20) == {"id": "1", "output": "6765\n"}
    worker.kill()


def processor_seconds(worker: Worker) -> float:
    fields = proc(worker, "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def test_worker_serves_over_a_non_blocking_socket(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def socketpair() -> tuple[socket.socket, socket.socket]:
        """Make non-blocking ones, as gevent does."""
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


def test_worker_reply_that_announces_too_many_bytes_is_not_read(engine: Engine) -> None:
    worker = Worker(engine)
    ours, theirs = socket.socketpair()
    worker._socket.close()
    worker._socket = ours
    with theirs:
        theirs.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(WorkerGone):
            worker.receive(deadline=time.monotonic() + 20)
    worker.kill()


def test_worker_that_does_not_read_runs_into_the_deadline(engine: Engine) -> None:
    worker = Worker(engine)
    ours, theirs = socket.socketpair()
    worker._socket.close()
    worker._socket = ours
    with theirs, pytest.raises(TimeoutError):
        worker.send(b"x" * 10_000_000, deadline=time.monotonic() + 0.1)
    worker.kill()


@pytest.mark.parametrize("executable", ["/usr/bin/uwsgi", "", None])
def test_worker_interpreter_is_found_under_servers_that_embed_python(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)

    interpreter = command(engine)[0]

    assert Path(interpreter).name.startswith("python")
    assert os.access(interpreter, os.X_OK)


def test_worker_runs_isolated_and_without_site_packages(engine: Engine) -> None:
    assert command(engine)[1:3] == ["-I", "-S"]

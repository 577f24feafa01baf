"""A worker process as its parent sees it: start it, send and receive a frame, kill it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from .engines import Engine

CPU = 1.0
"""Seconds of processor time per evaluation."""
MAX_OUTPUT = 256 * 1024
"""Bytes of JSON that a mapper may produce."""
MAX_REPLY = 4 * MAX_OUTPUT
"""Bytes of a reply's frame: the output is a JSON string in it, with its quotes escaped."""

_WORKER = Path(__file__).with_name("worker.py")


class WorkerGone(ConnectionError):
    """The worker ended, or sent what no worker sends."""


class Worker:
    """A worker process and the socket to it.

    ``exchange`` raises ``TimeoutError`` at the deadline (of ``time.monotonic``), and another ``OSError``
    when the worker is gone. Kill it after any exception: a late reply may still arrive.
    """

    def __init__(self, engine: Engine) -> None:
        self.process = self._start(engine)

    def _start(self, engine: Engine) -> subprocess.Popen[bytes]:
        self._socket, theirs = socket.socketpair()
        with theirs:
            os.set_blocking(theirs.fileno(), True)  # gevent makes non-blocking sockets
            try:
                return start_process(engine, stdin=theirs.fileno(), stdout=theirs.fileno())
            except BaseException:
                self._socket.close()
                raise

    def exchange(self, request: Mapping[str, object], *, deadline: float) -> Mapping[str, object]:
        """Return the reply to a request, which echoes the random id that is sent with it."""
        request_id = secrets.token_hex(8)
        self.send(json.dumps({"id": request_id, **request}).encode(), deadline=deadline)
        try:
            reply = json.loads(self.receive(deadline=deadline))
        except (ValueError, RecursionError):
            raise WorkerGone from None
        if not isinstance(reply, dict) or reply.get("id") != request_id:
            raise WorkerGone
        return reply

    def send(self, body: bytes, *, deadline: float) -> None:
        self._write(struct.pack("!I", len(body)) + body, deadline)

    def receive(self, *, deadline: float) -> bytes:
        size: int = struct.unpack("!I", self._read(4, deadline))[0]
        if size > MAX_REPLY:
            raise WorkerGone
        return self._read(size, deadline)

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def ran_out_of_time(self) -> bool:
        """Whether the worker's own timer ended it."""
        return hasattr(signal, "SIGPROF") and self.process.returncode == -signal.SIGPROF

    def kill(self) -> None:
        """End the process at once and reap it; one that was ending keeps its own status."""
        self.process.kill()  # first: a thread that reads from a pipe would block its closing
        self._close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)

    def detach_after_fork(self) -> None:
        """Close this child's copy of the socket; the parent goes on using the worker."""
        self._close()
        self.process.returncode = 0  # keeps Popen from waiting for a process that is not a child

    def _write(self, frame: bytes, deadline: float) -> None:
        self._socket.settimeout(seconds_until(deadline))
        self._socket.sendall(frame)

    def _read(self, size: int, deadline: float) -> bytes:
        content = bytearray()
        while len(content) < size:
            self._socket.settimeout(seconds_until(deadline))
            part = self._socket.recv(size - len(content))
            if not part:
                raise WorkerGone
            content += part
        return bytes(content)

    def _close(self) -> None:
        self._socket.close()


def start_process(engine: Engine, *, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    """Start a worker that reads frames from ``stdin`` and writes replies to ``stdout``.

    It has a process group of its own, since a Ctrl-C at the terminal is meant for the parent. The session is
    the parent's: Linux may give each session the same share of the processors (sched(7), autogroup), and a
    mapper that loops would take as much as the whole web server.
    """
    # Windows does not start Python without SYSTEMROOT.
    kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    return subprocess.Popen(  # noqa: S603 - our own interpreter and file, no shell
        command(engine),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,  # engines quote claims there
        cwd="/",
        env=kept | dict(engine.environment),
        process_group=0,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def command(engine: Engine) -> list[str]:
    """Return the command that starts a worker, isolated from the environment and from site-packages."""
    settings = asdict(engine) | {"cpu": CPU, "max_output": MAX_OUTPUT}
    return [_interpreter(), "-I", "-S", str(_WORKER), json.dumps(settings)]


def _interpreter() -> str:
    # Under uWSGI and mod_wsgi sys.executable is the server, or empty.
    if Path(sys.executable or "").name.lower().startswith(("python", "pypy")):
        return sys.executable
    name = ("python.exe",) if os.name == "nt" else ("bin", f"python3.{sys.version_info.minor}")
    return str(Path(sys.prefix, *name))


def seconds_until(deadline: float) -> float:
    """Return the positive number of seconds until ``deadline``, or raise ``TimeoutError``."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left

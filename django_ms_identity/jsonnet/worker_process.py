"""One worker as its parent sees it: started, sent a frame, read, killed. No pool, no meaning."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .engines import Engine

CPU = 1.0
"""Seconds of processor time per evaluation."""
MAX_OUTPUT = 256 * 1024
"""Bytes of JSON that a mapper may produce."""
MAX_REPLY = 4 * MAX_OUTPUT
"""Bytes of a frame that comes back: the output is a JSON string in it, with its quotes escaped."""

_WORKER = Path(__file__).with_name("worker.py")
_OUT_OF_TIME = {-getattr(signal, name, 0) for name in ("SIGPROF", "SIGALRM")} - {0}


class WorkerGone(Exception):
    """The worker ended, or sent what no worker sends."""


class Worker:
    """An exec'd worker and the socket to it; a class because it is a process that lives and dies.

    ``send`` and ``receive`` raise ``TimeoutError`` at the deadline (of ``time.monotonic``) and
    ``WorkerGone``. After any exception of theirs the worker must be killed: a late reply may be under way.
    """

    def __init__(self, engine: Engine) -> None:
        self.served = 0
        self.process = self._start(engine)

    def _start(self, engine: Engine) -> subprocess.Popen[bytes]:
        self._socket, theirs = socket.socketpair()
        with theirs, _closed_on_failure(self._socket):
            handle = theirs.fileno()
            return subprocess.Popen(  # noqa: S603 - our own interpreter and file, no shell
                command(engine, handle, handle),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # engines quote claims there
                pass_fds=[handle],
                cwd="/",
                env=dict(engine.environment),
            )

    def send(self, body: bytes, *, deadline: float) -> None:
        try:
            self._write(struct.pack("!I", len(body)) + body, deadline)
        except TimeoutError:
            raise
        except OSError as error:
            raise WorkerGone from error

    def receive(self, *, deadline: float) -> bytes:
        try:
            size: int = struct.unpack("!I", self._read(4, deadline))[0]
            if size > MAX_REPLY:
                raise WorkerGone
            return self._read(size, deadline)
        except TimeoutError:
            raise
        except OSError as error:
            raise WorkerGone from error

    def ran_out_of_time(self) -> bool:
        """Say of an ended worker whether its own timers ended it."""
        return self.process.returncode in _OUT_OF_TIME

    def kill(self) -> None:
        """End the process, at once, and reap it; one that was ending keeps its own status."""
        self._close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)

    def abandon(self) -> None:
        """Let go in a forked child: the process is the parent's, which goes on using it."""
        self._close()
        self.process.returncode = 0  # keeps Popen from waiting for what is no child of ours

    def _write(self, frame: bytes, deadline: float) -> None:
        self._socket.settimeout(left_of(deadline))
        self._socket.sendall(frame)

    def _read(self, size: int, deadline: float) -> bytes:
        content = bytearray()
        while len(content) < size:
            self._socket.settimeout(left_of(deadline))
            part = self._socket.recv(size - len(content))
            if not part:
                raise WorkerGone
            content += part
        return bytes(content)

    def _close(self) -> None:
        self._socket.close()


@contextmanager
def _closed_on_failure(connection: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def command(engine: Engine, source: int, sink: int) -> list[str]:
    settings = {
        "module": engine.module,
        "path": engine.path,
        "address_space": engine.address_space,
        "open_files": engine.open_files,
        "threads": engine.threads,
        "cpu": CPU,
        "max_output": MAX_OUTPUT,
    }
    # -I and -S: no environment, no user directory, no site-packages, no .pth files.
    return [_interpreter(), "-I", "-S", str(_WORKER), json.dumps(settings), str(source), str(sink)]


def _interpreter() -> str:
    # Under uWSGI and mod_wsgi sys.executable is the server, or nothing.
    if Path(sys.executable or "").name.lower().startswith(("python", "pypy")):
        return sys.executable
    name = ("python.exe",) if os.name == "nt" else ("bin", f"python3.{sys.version_info.minor}")
    return str(Path(sys.prefix, *name))


def left_of(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left

"""The worker on systems whose processes cannot inherit a socket (Windows)."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import IO, cast

from .engines import Engine
from .worker_process import Worker, WorkerGone, command, left_of


class PipeWorker(Worker):
    """The same over pipes, for systems whose processes cannot inherit a socket (Windows).

    Pipes have no time-outs there, so a timer kills the worker when the deadline passes.
    """

    def _start(self, engine: Engine) -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and file, no shell
            command(engine, 0, 1),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env=kept | dict(engine.environment),  # Python does not start on Windows without SYSTEMROOT
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._sink, self._source = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        return process

    def _write(self, frame: bytes, deadline: float) -> None:
        with _Alarm(self.process, deadline):
            while frame:
                frame = frame[os.write(self._sink.fileno(), frame) :]

    def _read(self, size: int, deadline: float) -> bytes:
        content = bytearray()
        with _Alarm(self.process, deadline):
            while len(content) < size:
                part = os.read(self._source.fileno(), size - len(content))
                if not part:
                    raise WorkerGone
                content += part
        return bytes(content)

    def _close(self) -> None:
        self._sink.close()
        self._source.close()


class _Alarm:
    """Kill a process at a deadline, and turn what that does to a pipe into ``TimeoutError``."""

    def __init__(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        self._process = process
        self._rang = False
        self._timer = threading.Timer(left_of(deadline), self._ring)
        self._timer.daemon = True

    def _ring(self) -> None:
        self._rang = True
        self._process.kill()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *failure: object) -> None:
        self._timer.cancel()
        if self._rang:
            raise TimeoutError

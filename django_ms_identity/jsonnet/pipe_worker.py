"""The worker process on systems whose processes cannot inherit a socket (Windows)."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from .engines import Engine
from .worker_process import Worker, WorkerGone, seconds_until, start_process


class PipeWorker(Worker):
    """A worker process and the pipes to it.

    Pipes have no time-outs on Windows, so a timer kills the worker at the deadline.
    """

    def _start(self, engine: Engine) -> subprocess.Popen[bytes]:
        process = start_process(engine, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._sink, self._source = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        return process

    def _write(self, frame: bytes, deadline: float) -> None:
        with self._killed_at(deadline):
            self._sink.write(frame)
            self._sink.flush()

    def _read(self, size: int, deadline: float) -> bytes:
        with self._killed_at(deadline):
            content = self._source.read(size)
        if len(content) < size:
            raise WorkerGone
        return content

    def _close(self) -> None:
        self._source.close()
        with suppress(OSError):  # closing writes what is left of a frame
            self._sink.close()

    @contextmanager
    def _killed_at(self, deadline: float) -> Iterator[None]:
        timer = threading.Timer(seconds_until(deadline), self.process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            if time.monotonic() >= deadline:
                raise TimeoutError

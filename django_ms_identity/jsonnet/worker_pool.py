"""Evaluate Jsonnet in a small pool of worker processes.

An engine can abort its process, so it never runs in this one. A worker that did not send its whole reply is
killed, so a late reply cannot reach another caller. Workers start on first use, once per process.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Mapping

from django_ms_identity.exceptions import ClaimsInvalid

from . import failures
from .engines import Engine, preferred
from .fair_semaphore import FairSemaphore
from .json_values import JSON, encode
from .pipe_worker import PipeWorker
from .worker_process import Worker

SIZE = 2
MAX_INPUT = 256 * 1024
"""Bytes of JSON that the claims may take, and the identity as many."""
WORKER = PipeWorker if os.name == "nt" else Worker


class WorkerPool:
    """A pool of worker processes. Safe under threads, greenlets and forks.

    ``engine`` is the preferred one when none is given.
    """

    def __init__(
        self, engine: Engine | None = None, *, size: int = SIZE, worker: type[Worker] = WORKER
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._size = size
        self._semaphore = FairSemaphore(size)
        self._idle: set[Worker] = set()
        self.workers: set[Worker] = set()
        """The idle and the busy ones."""

    def evaluate(
        self,
        source: str,
        *,
        name: str,
        claims: Mapping[str, JSON],
        identity: Mapping[str, JSON],
        timeout: float,
        explain: bool = False,
    ) -> str:
        """Return the JSON text that a mapper makes of ``claims`` and ``identity``.

        ``name`` says in messages which mapper it is. Waits at most ``timeout`` seconds for a free worker
        and gives the evaluation as many. Raises a subclass of ``MapperFailed`` without the engine's words,
        which may hold claims; ``explain`` puts them (2 KiB) into its ``hint``, for an operator's dry run.
        Raises ``ClaimsInvalid`` for claims or an identity that are too large or not JSON.
        """
        request = {
            "source": source,
            "claims": _encode_input("claims", claims),
            "identity": _encode_input("identity", identity),
            "explain": explain,
        }
        reply = self._reply(request, name, timeout)
        output = reply.get("output")
        if not isinstance(output, str):
            raise failures.reported(name, reply)
        return output

    def close(self) -> None:
        """Kill all workers; the next evaluation starts new ones."""
        for worker in list(self.workers):
            self._kill(worker)

    def detach_after_fork(self) -> None:
        """Let go of all workers in a forked child: they belong to the parent."""
        for worker in self.workers:
            worker.detach_after_fork()
        self._idle, self.workers = set(), set()
        self._semaphore = FairSemaphore(self._size)

    def _reply(self, request: Mapping[str, object], name: str, timeout: float) -> Mapping[str, object]:
        semaphore, key = self._semaphore, hash(request["source"])  # a fork replaces the semaphore
        if not semaphore.acquire(key, timeout=timeout):
            raise failures.busy(name, self._size, timeout)
        try:
            worker = self._idle_worker() or self._new_worker()
            try:
                return self._exchange(worker, request, time.monotonic() + timeout)
            except TimeoutError:
                raise failures.timed_out(name, timeout) from None
            except OSError:
                if worker.ran_out_of_time:
                    raise failures.timed_out(name, timeout) from None
                raise failures.crashed(name, worker.process.returncode) from None
        finally:
            semaphore.release(key)

    def _exchange(
        self, worker: Worker, request: Mapping[str, object], deadline: float
    ) -> Mapping[str, object]:
        try:
            reply = worker.exchange(request, deadline=deadline)
            self._idle.add(worker)
        except BaseException:
            # Also at a Ctrl-C or a greenlet's time-out: the reply may still arrive.
            self._kill(worker)
            raise
        return reply

    def _idle_worker(self) -> Worker | None:
        for worker in list(self._idle):
            if worker.has_ended:  # the system may have ended it to free memory
                self._kill(worker)
        try:
            return self._idle.pop()
        except KeyError:
            return None

    def _new_worker(self) -> Worker:
        try:
            worker = self._worker(self._engine or preferred())
        except OSError as error:
            raise failures.not_started(error) from None
        self.workers.add(worker)
        return worker

    def _kill(self, worker: Worker) -> None:
        self.workers.discard(worker)
        self._idle.discard(worker)
        worker.kill()


def _encode_input(what: str, value: Mapping[str, JSON]) -> str:
    try:
        text = encode(dict(value))
    except (TypeError, ValueError, RecursionError):
        raise ClaimsInvalid(f"the {what} cannot be written as JSON") from None
    if (size := len(text.encode())) > MAX_INPUT:
        raise ClaimsInvalid(
            f"the {what} takes {size} bytes of JSON; at most {MAX_INPUT} are accepted",
            hint="Look at the optional claims and the claims-mapping policies of the app registration.",
        )
    return text


_own = WorkerPool()

evaluate = _own.evaluate
"""Evaluate in this process's own pool."""


atexit.register(_own.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_own.detach_after_fork)

"""Evaluates Jsonnet in a small pool of exec'd, killable workers; DESIGN 5.4.

The engine never runs in this process, which it could abort. A worker whose evaluation did not end with a
whole reply is killed, so a reply can never reach another caller. Starts on first use, once per process.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from weakref import WeakSet

from django_ms_identity.exceptions import MapperCrashed, MapperTimedOut

from . import protocol
from .engines import Engine, preferred
from .json_values import JSON
from .pipe_worker import PipeWorker
from .turns import Turns
from .worker_process import Worker, WorkerGone

SIZE = 2
RECYCLE = 1000
"""Evaluations after which a worker is replaced."""
WORKER = PipeWorker if os.name == "nt" else Worker

_BACKSTOP = 1.0
"""Seconds beyond the deadline after which a worker ends by itself, should its parent be stopped."""


class WorkerPool:
    """A pool of workers; a class because it owns processes. Safe under threads, greenlets and forks.

    ``engine`` is the preferred one when none is given.
    """

    def __init__(
        self,
        engine: Engine | None = None,
        *,
        size: int = SIZE,
        recycle: int = RECYCLE,
        worker: type[Worker] = WORKER,
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._size = size
        self._turns = Turns(size)
        self._recycle = recycle
        self._idle: list[Worker] = []
        self.workers: set[Worker] = set()
        """All there are, idle and busy."""
        _pools.add(self)

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
        and gives the evaluation as many. Raises a leaf of ``MapperFailed`` without the engine's words,
        which may hold claims; ``explain`` puts them (2 KiB) into its ``hint``, for an operator's dry run.
        Raises ``ClaimsInvalid`` for claims or an identity that are too large or no JSON.
        """
        request_id, request = protocol.request_for(
            source, name=name, claims=claims, identity=identity, wall=timeout + _BACKSTOP, explain=explain
        )
        reply = self._reply(request, request_id, name=name, timeout=timeout, whose=hash(source))
        return protocol.output_of(reply, name=name)

    def close(self) -> None:
        """Kill all workers; the next evaluation starts new ones."""
        for worker in list(self.workers):
            self._drop(worker)

    def abandon(self) -> None:
        """Let go of all workers in a forked child: they belong to the parent."""
        for worker in self.workers:
            worker.abandon()
        self._idle, self.workers = [], set()
        self._turns = Turns(self._size)

    def _reply(
        self, request: bytes, request_id: str, *, name: str, timeout: float, whose: int
    ) -> Mapping[str, object]:
        turns = self._turns
        if not turns.take(whose, timeout=timeout):
            raise protocol.busy(name, self._size, timeout)
        try:
            return self._ask(request, request_id, name=name, timeout=timeout)
        except (MapperTimedOut, MapperCrashed):
            turns.suspect(whose)
            raise
        finally:
            turns.give_back(whose)

    def _ask(self, request: bytes, request_id: str, *, name: str, timeout: float) -> Mapping[str, object]:
        deadline = time.monotonic() + timeout
        while True:
            worker = self._idle_one() or self._new_one()
            with self._killing(worker, name=name, timeout=timeout):
                if not self._sent(worker, request, deadline=deadline):
                    continue
                reply = protocol.reply_to(request_id, worker.receive(deadline=deadline))
            self._put_back(worker)
            return reply

    @contextmanager
    def _killing(self, worker: Worker, *, name: str, timeout: float) -> Iterator[None]:
        # On any exception, a Ctrl-C or a greenlet's time-out too: the reply may still be under way.
        try:
            yield
        except TimeoutError:
            self._drop(worker)
            raise protocol.timed_out(name, timeout) from None
        except WorkerGone:
            self._drop(worker)
            if worker.ran_out_of_time():
                raise protocol.timed_out(name, timeout) from None
            raise protocol.crashed(name, worker.process.returncode) from None
        except BaseException:
            self._drop(worker)
            raise

    def _sent(self, worker: Worker, request: bytes, *, deadline: float) -> bool:
        try:
            worker.send(request, deadline=deadline)
        except WorkerGone:
            if not worker.served:
                raise
            # It died while idle and read nothing, so asking another one is safe.
            self._drop(worker)
            return False
        return True

    def _idle_one(self) -> Worker | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _new_one(self) -> Worker:
        engine = self._engine or preferred()
        try:
            worker = self._worker(engine)
        except OSError as error:
            raise protocol.not_started(error) from None
        self.workers.add(worker)
        return worker

    def _put_back(self, worker: Worker) -> None:
        worker.served += 1
        if worker.served < self._recycle:
            self._idle.append(worker)
        else:
            self._drop(worker)

    def _drop(self, worker: Worker) -> None:
        self.workers.discard(worker)
        with suppress(ValueError):
            self._idle.remove(worker)
        worker.kill()


def evaluate(
    source: str,
    *,
    name: str,
    claims: Mapping[str, JSON],
    identity: Mapping[str, JSON],
    timeout: float,
    explain: bool = False,
) -> str:
    """Evaluate in this process' own sandbox; see ``Sandbox.evaluate``."""
    return _own.evaluate(
        source, name=name, claims=claims, identity=identity, timeout=timeout, explain=explain
    )


_pools: WeakSet[WorkerPool] = WeakSet()
_own = WorkerPool()


def _abandon_all() -> None:
    for sandbox in list(_pools):
        sandbox.abandon()


def _close_all() -> None:
    for sandbox in list(_pools):
        sandbox.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
atexit.register(_close_all)

"""A process that was just started: what its first sign-in costs, and how often it asks Microsoft."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.core.handlers.wsgi import WSGIHandler

from django_ms_identity.emulator.microsoft import ENVIRON_KEY
from django_ms_identity.testing.emulator import Emulator

from .measure import Budget, Clock, Row

PROCESSES = 5
"""Processes that are started for each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    name: str
    shared: bool
    """Whether another process has filled the shared cache."""
    requests: int
    provider: str = "microsoft"
    persona: str = "work"


_CASES = (
    _Case(name="cold cache", shared=False, requests=2),
    _Case(name="warm shared cache", shared=True, requests=1),
    _Case(name="cold cache, domain tenant", shared=False, requests=3, provider="domain", persona="admin"),
)


def rows(folder: Path) -> Iterator[Row]:
    """Start processes on the database and the file cache in ``folder``; their Microsoft is served here."""
    cache = folder / "cache"
    set_up: list[float] = []
    with _served() as (url, asked):
        for case in _CASES:
            _sign_in(case, url)  # Registers the person, and fills the cache.
            counts, first = [], []
            for _ in range(PROCESSES):
                if not case.shared:
                    shutil.rmtree(cache, ignore_errors=True)
                asked.clear()
                times = _sign_in(case, url)
                counts.append(len(asked))
                first.append(times["sign_in"])
                set_up.append(times["set_up"])
            yield Row(
                step=f"first sign-in of a process, {case.name}",
                median=statistics.median(first),
                p95=max(first),
                clock=Clock.WALL,
                requests=max(counts),
                budget=Budget(requests=case.requests),
            )
    yield Row(
        step="  imports and django.setup() before it",
        median=statistics.median(set_up),
        p95=max(set_up),
        clock=Clock.WALL,
    )


def _sign_in(case: _Case, url: str) -> dict[str, float]:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.fresh", case.provider, case.persona],
        env=os.environ | {"BENCHMARKS_EMULATOR_URL": url},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    times: dict[str, float] = json.loads(answer.stdout)
    return times


@contextmanager
def _served() -> Iterator[tuple[str, list[str]]]:
    """Serve an emulator on the loopback interface; list the paths that are asked server to server."""
    asked: list[str] = []
    server = make_server("127.0.0.1", 0, _listening(WSGIHandler(), asked), handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/emulator", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _listening(site: WSGIApplication, asked: list[str]) -> WSGIApplication:
    microsoft = Emulator().microsoft

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ["PATH_INFO"].endswith("/authorize"):
            asked.append(environ["PATH_INFO"])
        return site(environ | {ENVIRON_KEY: microsoft}, start_response)

    return application


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""

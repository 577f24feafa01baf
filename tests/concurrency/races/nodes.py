"""Servers in processes of their own behind one database and cache, and the Microsoft that they all ask."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

from django.conf import settings
from django.db import connection

from django_ms_identity.testing.emulator import Emulator
from tests.support import emulated
from tests.support.loopback import Server, serve

from .crowd import TIMEOUT

ROOT = Path(__file__).resolve().parents[3]
START = "http://testserver/ms/start/microsoft/"


class Node:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def open(self, url: str, cookies: dict[str, str] | None = None) -> dict[str, Any]:
        """Open an address with cookies; return what came back."""
        self.ask(url, cookies)
        return self.answer()

    def ask(self, url: str, cookies: dict[str, str] | None = None, *, dies_at: str = "") -> None:
        """As ``open``, without waiting for the answer; it is killed at the signal ``dies_at``."""
        assert self._process.stdin
        order = {"url": url, "cookies": cookies or {}, "dies_at": dies_at}
        print(json.dumps(order), file=self._process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"the node has ended: {self._process.wait(TIMEOUT)}"
        answer: dict[str, Any] = json.loads(line)
        assert "exception" not in answer, answer
        return answer

    def was_killed(self) -> bool:
        """Wait for its end, which must come without an answer."""
        assert self._process.stdout
        return not self._process.stdout.readline() and self._process.wait(TIMEOUT) == -signal.SIGKILL


class Cluster:
    """Nodes and their Microsoft."""

    def __init__(self, nodes: list[Node], emulator: Emulator, wire: Server) -> None:
        self.nodes = nodes
        self._emulator = emulator
        self._wire = wire

    def choose(self, location: str, persona: str = "work") -> str:
        """Choose an account at the address that a node redirected to; return the way back."""
        return self._emulator.authorize(location.replace(f"{self._wire.url}/", "https://"), persona)

    def asked(self, ending: str) -> int:
        """Count the nodes' requests to Microsoft by the end of their path."""
        return sum(request.path.endswith(ending) for request in self._wire.received)


@contextmanager
def cluster(count: int) -> Iterator[Cluster]:
    """Start nodes with the settings of the test, less their EMULATOR_URL; they end with the context."""
    emulator = Emulator()
    with ExitStack() as context:
        wire = context.enter_context(serve(lambda handler: emulated.answer(handler, emulator)))
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.concurrency.races.node_settings",
            "NODE_DATABASE": str(connection.settings_dict["NAME"]),
            "NODE_MS_IDENTITY": json.dumps(settings.MS_IDENTITY | {"EMULATOR_URL": wire.url}),
        }
        nodes = [Node(context.enter_context(_process(environment))) for _ in range(count)]
        yield Cluster(nodes, emulator, wire)


@contextmanager
def _process(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.concurrency.races.node"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as process:
        # Nobody waits for a node that hangs.
        timer = Timer(2 * TIMEOUT, process.terminate)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()

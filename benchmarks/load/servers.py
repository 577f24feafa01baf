"""The servers under load, started on a free port of the loopback interface and ended again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

PROCESSES = 2
"""Of each server."""
_THREADS = 8
_GUNICORN = ("-m", "gunicorn", "--bind", "fd://{fd}", "--log-level", "warning", "--timeout", "120")
_SITE = (*_GUNICORN, "--workers", str(PROCESSES), "benchmarks.load.site:wsgi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How a server is started; ``{fd}`` is the socket that it is to listen on."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    port: int
    pid: int


SERVERS = {
    server.name: server
    for server in (
        Server(name="sync", arguments=_SITE),
        Server(name="gthread", arguments=(*_SITE, "--worker-class", "gthread", "--threads", str(_THREADS))),
        Server(name="gevent", arguments=(*_SITE, "--worker-class", "gevent")),
        Server(
            name="uvicorn",
            arguments=(
                *("-m", "uvicorn", "--fd", "{fd}", "--workers", str(PROCESSES), "--log-level", "warning"),
                *("--no-access-log", "--lifespan", "off", "benchmarks.load.site:asgi"),
            ),
        ),
    )
}
MICROSOFT = Server(
    name="emulator",
    arguments=(
        *_GUNICORN,
        *("--worker-class", "gthread", "--threads", "16", "--keep-alive", "120"),
        "benchmarks.load.microsoft:application",
    ),
)


@contextmanager
def running(server: Server, environment: Mapping[str, str]) -> Iterator[Running]:
    """Run a server for as long as the context lasts; its first answer comes when it is ready."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        port = listener.getsockname()[1]
        fd = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, *(argument.format(fd=fd) for argument in server.arguments)],
            pass_fds=[fd],
            env=os.environ | dict(environment),
        )
    try:
        yield Running(port=port, pid=process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

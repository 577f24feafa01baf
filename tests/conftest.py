from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from django.core.cache import cache
from django.dispatch import Signal

from django_ms_identity import runtime
from tests.support import servers
from tests.support.web import Browser

# No deadline: a busy machine is no defect. In CI the same examples each time, so that a failure is the fault
# of the change; on a developer's machine new ones.
hypothesis.settings.register_profile("developer", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.register_profile("few", deadline=None, derandomize=True, max_examples=10)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")

NOISY = "django.db.backends"
"""Django's log of SQL, which has every value in it; only a project's own settings turn it on."""

# Threads share one connection to a database in memory, so they cannot race; `make races` has others.
collect_ignore = ["concurrency/races"] if servers.DATABASE == "sqlite" else []


def pytest_report_header() -> str:
    skipped = "; NOT RUN in memory: tests/concurrency/races (make races)" if collect_ignore else ""
    return f"database: {servers.DATABASE}, cache: {servers.CACHE}{skipped}"


@pytest.fixture(autouse=True)
def _fresh_process() -> None:
    """Begin each test like a new process with an empty cache."""
    runtime.reset()
    cache.clear()


@pytest.fixture
def client() -> Browser:
    return Browser()


@pytest.fixture
def listen() -> Iterator[Callable[[Signal, Callable[..., object]], None]]:
    """Connect signal receivers for the duration of one test."""
    connected: list[tuple[Signal, Callable[..., object]]] = []

    def connect(signal: Signal, receiver: Callable[..., object]) -> None:
        signal.connect(receiver, weak=False)
        connected.append((signal, receiver))

    yield connect
    for signal, receiver in connected:
        signal.disconnect(receiver)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """Return a function that renders every log record of any logger, at any level."""
    before: dict[logging.Logger, tuple[int, bool]] = {}
    for name in [*logging.root.manager.loggerDict, ""]:
        logger = logging.getLogger(name)
        before[logger] = (logger.level, logger.disabled)
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
    with caplog.at_level(logging.DEBUG):
        yield lambda: "\n".join(
            f"{caplog.handler.format(record)} {record.args!r}"
            for record in caplog.records
            if not record.name.startswith(NOISY)
        )
    for logger, (level, disabled) in before.items():
        logger.setLevel(level)
        logger.disabled = disabled

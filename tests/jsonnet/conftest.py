"""A worker pool for each engine that is installed, and a clock that a test sets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_ms_identity.jsonnet import engines
from django_ms_identity.jsonnet.engines import Engine
from django_ms_identity.jsonnet.worker_pool import WorkerPool

ENGINES = engines.installed()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module", params=ENGINES, ids=lambda engine: engine.module)
def engine(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.param
    return engine


@pytest.fixture(scope="module")
def sandbox(engine: Engine) -> Iterator[WorkerPool]:
    """A pool that the tests of a module share: after each test the next must find it usable."""
    pool = WorkerPool(engine)
    yield pool
    pool.close()

"""Counting and timing: statements, requests to Microsoft, and the time without Microsoft's answers."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter, thread_time
from typing import TypeAlias

import requests
from django.db import connection
from requests.adapters import HTTPAdapter

Prepare: TypeAlias = Callable[[], Callable[[], object]]
"""Set up one round, whatever that takes, and return the step that is measured."""

WARM_UP = 10
COUNTED = 3
"""Rounds whose statements and requests are counted; the most of them is reported."""
TURN = 5
"""Rounds of one side before it is the other's turn."""
_TRANSACTION_CONTROL = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "COMMIT")


class Clock(StrEnum):
    """What a time is: other programs on the machine count for little in ``CPU``."""

    CPU = "cpu"
    """Processor time of this thread, in Python and in the kernel."""
    WALL = "wall"
    """Time that passed, for steps that wait for another process."""

    def __call__(self) -> float:
        return thread_time() if self is Clock.CPU else perf_counter()


@dataclass(slots=True)
class Wire:
    """How often Microsoft was asked, and the seconds that its answers took, which do not count."""

    requests: int = 0
    seconds: dict[Clock, float] = field(default_factory=lambda: dict.fromkeys(Clock, 0.0))


@contextmanager
def tapped() -> Iterator[Wire]:
    """Listen where ``requests`` hands over to the network; something must already answer there."""
    wire, send = Wire(), HTTPAdapter.send

    def listen(
        adapter: HTTPAdapter, request: requests.PreparedRequest, **options: object
    ) -> requests.Response:
        wire.requests += 1
        began = {clock: clock() for clock in Clock}
        try:
            # Whatever options there are, they go on as they came.
            return send(adapter, request, **options)  # type: ignore[arg-type]  # passed on untyped
        finally:
            for clock in Clock:
                wire.seconds[clock] += clock() - began[clock]

    # requests has no other place where all that it sends comes by.
    HTTPAdapter.send = listen  # type: ignore[method-assign, assignment]  # undone below
    try:
        yield wire
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]  # what was there before


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a step may cost; None is not checked."""

    milliseconds: float | None = None
    statements: int | None = None
    requests: int | None = None
    ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    step: str
    median: float | None = None
    """Milliseconds, without Microsoft's share."""
    p95: float | None = None
    clock: Clock = Clock.CPU
    statements: int | None = None
    """SQL without transaction control."""
    requests: int | None = None
    ratio: float | None = None
    budget: Budget = field(default_factory=Budget)

    @property
    def over(self) -> tuple[str, ...]:
        """Name the budgets that are exceeded and cannot be blamed on the machine."""
        pairs = {
            "SQL": (self.statements, self.budget.statements),
            "requests": (self.requests, self.budget.requests),
            "ratio": (self.ratio, self.budget.ratio),
        }
        return tuple(name for name, pair in pairs.items() if _exceeds(*pair))

    def without(self, part: Row) -> Row:
        """Return what is left of the median when that of a part is taken away."""
        left = (self.median or 0) - (part.median or 0)
        return Row(step=f"  {self.step} without it", median=left, clock=self.clock)

    @property
    def slow(self) -> bool:
        return _exceeds(self.median, self.budget.milliseconds)


def _exceeds(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit


def measured(
    step: str,
    prepare: Prepare,
    *,
    wire: Wire,
    rounds: int,
    clock: Clock = Clock.CPU,
    budget: Budget | None = None,
) -> Row:
    """Warm up, count, then time ``rounds`` rounds of a step."""
    for _ in range(WARM_UP):
        prepare()()
    counts = [_counted(prepare(), wire) for _ in range(COUNTED)]
    times = [timed(prepare(), wire, clock) for _ in range(rounds)]
    return Row(
        step=step,
        median=statistics.median(times),
        p95=p95(times),
        clock=clock,
        statements=max(statements for statements, _ in counts),
        requests=max(requests for _, requests in counts),
        budget=budget or Budget(),
    )


def timed(act: Callable[[], object], wire: Wire, clock: Clock = Clock.CPU) -> float:
    """Return the milliseconds that ``act`` takes, without Microsoft's share."""
    before = wire.seconds[clock]
    began = clock()
    act()
    return (clock() - began - (wire.seconds[clock] - before)) * 1000


def compared(
    one: Prepare,
    other: Prepare,
    *,
    other_under: AbstractContextManager[object],
    wire: Wire,
    rounds: int,
    clock: Clock = Clock.CPU,
) -> tuple[list[float], list[float], float]:
    """Time two steps turn by turn; return both lists of milliseconds, and the first by the other.

    ``other_under`` is entered for each turn of the other. The ratio is the median of the turns' ratios: a
    machine that is busy is busy for both.
    """
    ones: list[float] = []
    others: list[float] = []
    ratios = []
    for _ in range(max(rounds // TURN, 4)):
        mine = _turn(one, wire, clock)
        with other_under:
            yours = _turn(other, wire, clock)
        ratios.append(statistics.median(mine) / statistics.median(yours))
        ones += mine
        others += yours
    return ones, others, statistics.median(ratios)


def _turn(prepare: Prepare, wire: Wire, clock: Clock) -> list[float]:
    # The first after a change is slower.
    return [timed(prepare(), wire, clock) for _ in range(TURN + 1)][1:]


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def _counted(act: Callable[[], object], wire: Wire) -> tuple[int, int]:
    statements: list[str] = []

    def note(execute: Callable[..., object], sql: str, *rest: object) -> object:
        if not sql.startswith(_TRANSACTION_CONTROL):
            statements.append(sql)
        return execute(sql, *rest)

    before = wire.requests
    with connection.execute_wrapper(note):
        act()
    return len(statements), wire.requests - before

"""One provider's sign-ins beside those of another one, whose mapper runs into its limits each time.

An evaluation that loops takes a core until its second of processor time is over, so on a machine with few
cores it slows everything. To leave that out, the same sign-ins are timed beside programs that take as many
cores and no worker of any sandbox, and the two are compared.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from threading import Event

from .growing import KNOWN
from .servers import PROCESSES, Running
from .visitors import Outcome, Visitor, sign_in_all

BUDGET = 1.5
"""A worker that was killed is replaced, and starting one takes a part of a core more than looping does."""
_LOGINS = 200
"""In one part of a round."""
_HOSTILE = 4
"""Hostile visitors at once: enough to hold every worker of every process."""
_LIMIT = 600.0
_LAYOUT = "{:<9}{:>14}{:>18}{:>24}{:>9}{:>11}   {}"
HEADER = _LAYOUT.format(
    *("server", "p95 alone", "p95 beside loops", "p95 beside hostile ones", "ratio", "hostile", "")
)


@dataclass(slots=True, kw_only=True)
class Slowed:
    alone: list[float] = field(default_factory=list)
    """The p95 of each round, in seconds."""
    beside_loops: list[float] = field(default_factory=list)
    beside_hostile: list[float] = field(default_factory=list)
    refused: int = 0
    """Hostile sign-ins, all of which must be refused."""
    errors: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Compare round by round: a machine that is busy is busy for both."""
        pairs = zip(self.beside_hostile, self.beside_loops, strict=True)
        return statistics.median(hostile / loops for hostile, loops in pairs)

    @property
    def failures(self) -> list[str]:
        failures = [f"{len(self.errors)} errors, such as {self.errors[:3]}"] if self.errors else []
        if self.ratio > BUDGET:
            failures.append(f"a hostile mapper slows another provider by {self.ratio:.2f}")
        return failures


def measured(site: Running, *, rounds: int, visitors: int) -> Slowed:
    """Let known people of one provider sign in: alone, beside loops, and beside a hostile provider."""
    people = [f"known-{number}" for number in range(KNOWN)]
    sign_in = partial(sign_in_all, port=site.port, visitors=visitors, limit=_LIMIT)
    slowed = Slowed(errors=sign_in(people * 4).errors)
    names = count()
    for _ in range(rounds):
        for times, company in (
            (slowed.alone, nullcontext),
            (slowed.beside_loops, _loops),
            (slowed.beside_hostile, partial(_hostile, site.port, names, slowed)),
        ):
            times.append(_p95(sign_in, people * (_LOGINS // KNOWN), company, slowed))
    return slowed


def _p95(
    sign_in: Callable[[list[str]], Outcome],
    people: list[str],
    company: Callable[[], AbstractContextManager[object]],
    slowed: Slowed,
) -> float:
    with company():
        outcome = sign_in(people)
    slowed.errors += outcome.errors
    return statistics.quantiles(outcome.seconds, n=20)[-1]


@contextmanager
def _loops() -> Iterator[None]:
    """Take as many cores as the workers do that a hostile mapper may hold."""
    program = f"import time\nend = time.monotonic() + {_LIMIT}\nwhile time.monotonic() < end: pass"
    with ExitStack() as stack:
        for _ in range(PROCESSES):
            process = subprocess.Popen([sys.executable, "-c", program])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


@contextmanager
def _hostile(port: int, names: Iterator[int], slowed: Slowed) -> Iterator[None]:
    over, begun = Event(), Event()

    def people() -> Iterator[str]:
        for number in names:
            if over.is_set():
                return
            yield f"{'looping' if number % 4 else 'greedy'}-{number}"

    def act(visitor: Visitor, person: str) -> None:
        visitor.be_refused(person, provider="hostile")
        begun.set()

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(sign_in_all, people(), port=port, visitors=_HOSTILE, limit=_LIMIT, act=act)
        try:
            # The sandbox has run the mapper once: what it learns from that is part of what is measured.
            begun.wait(_LIMIT)
            yield
        finally:
            over.set()
            outcome = done.result()
    slowed.refused += len(outcome.seconds)
    slowed.errors += outcome.errors


def line(name: str, slowed: Slowed) -> str:
    """Write one row of the table."""
    alone, loops, hostile = (
        f"{statistics.median(times) * 1000:.0f} ms"
        for times in (slowed.alone, slowed.beside_loops, slowed.beside_hostile)
    )
    verdict = "OVER" if slowed.failures else "OK"
    return _LAYOUT.format(name, alone, loops, hostile, f"{slowed.ratio:.2f}", slowed.refused, verdict)

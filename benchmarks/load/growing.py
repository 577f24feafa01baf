"""Many sign-ins at one server: how fast, how many failed, and what they left behind in its processes."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

from .processes import Sample, sample
from .servers import Running
from .visitors import Outcome, sign_in_all

KNOWN = 50
"""People who have signed in before; half of the visits are theirs."""
WARM_UP = 600
"""Sign-ins until pools, caches and the allocator's arenas are full."""
PARTS = 4
SANDBOXES = 2
"""Workers that one process may have for mappers."""
_MEMORY = 1.1
"""The growth of resident memory that is allowed: fragmentation, and the larger database's pages."""
_DESCRIPTORS = 5
"""Of one process: pooled connections come and go."""
_LIMIT = 3600.0
_LOOK = 0.2
"""Seconds from one look at the processes to the next."""
_LAYOUT = "{:<9}{:>8}{:>8}{:>9}{:>10}{:>10}   {:<34}{:<14}{:<20}{}"
HEADER = _LAYOUT.format(
    *(
        "server",
        "logins",
        "errors",
        "per s",
        "p50",
        "p95",
        "memory after each quarter",
        "descriptors",
        "sandbox workers",
        "",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    outcome: Outcome
    marks: tuple[Sample, ...]
    """After warm-up, and after each part of the sign-ins: a leak grows with each, a late warm-up does not."""
    most_sandboxes: int
    """Of one process, at any look."""

    @property
    def before(self) -> Sample:
        return self.marks[0]

    @property
    def after(self) -> Sample:
        return self.marks[-1]

    @property
    def memory(self) -> float:
        """The memory afterwards by that before."""
        return self.after.megabytes / self.before.megabytes

    @property
    def failures(self) -> list[str]:
        """Say what is over its budget."""
        descriptors = self.after.descriptors - self.before.descriptors
        checks = {
            f"{len(self.outcome.errors)} errors, such as {self.outcome.errors[:3]}": self.outcome.errors,
            f"memory grew by {self.memory - 1:.0%}": self.memory > _MEMORY,
            f"{descriptors:+} descriptors": abs(descriptors) > _DESCRIPTORS * self.before.processes,
            f"{self.after.processes - self.before.processes:+} processes": self.after.processes
            != self.before.processes,
            f"{self.most_sandboxes} sandbox workers in one process": self.most_sandboxes > SANDBOXES,
            f"{self.after.zombies} zombies": self.after.zombies,
        }
        return [what for what, failed in checks.items() if failed]


def people(logins: int, *, newcomer: str) -> Iterator[str]:
    """Name the visitors: in turn a known person and a new one."""
    for turn in range(logins):
        yield f"{newcomer}-{turn}" if turn % 2 else f"known-{turn // 2 % KNOWN}"


def measured(site: Running, *, logins: int, visitors: int) -> Load:
    """Warm up, then sign in ``logins`` times and look at the processes before, meanwhile and after."""
    sign_in = partial(sign_in_all, port=site.port, visitors=visitors, limit=_LIMIT)
    warm = sign_in(people(WARM_UP, newcomer="early"))
    outcome = Outcome(errors=warm.errors)
    marks = [sample(site.pid)]
    turns = people(logins, newcomer="new")
    with _watched(site.pid) as seen:
        for part in range(PARTS):
            outcome += sign_in(islice(turns, logins * (part + 1) // PARTS - logins * part // PARTS))
            marks.append(sample(site.pid))
    most = max(look.most_sandboxes for look in (*seen, *marks))
    return Load(outcome=outcome, marks=tuple(marks), most_sandboxes=most)


@contextmanager
def _watched(pid: int) -> Iterator[list[Sample]]:
    seen: list[Sample] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK):
            seen.append(sample(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def line(name: str, load: Load) -> str:
    """Write one row of the table."""
    times = load.outcome.seconds
    before, after = load.before, load.after
    return _LAYOUT.format(
        name,
        f"{len(times):,}",
        len(load.outcome.errors),
        f"{len(times) / load.outcome.elapsed:.1f}",
        f"{statistics.median(times) * 1000:.0f} ms" if times else "",
        f"{statistics.quantiles(times, n=20)[-1] * 1000:.0f} ms" if len(times) > 1 else "",
        f"{' '.join(f'{mark.megabytes:.0f}' for mark in load.marks)} MiB ({load.memory - 1:+.1%})",
        f"{before.descriptors} -> {after.descriptors}",
        f"{before.sandboxes} -> {after.sandboxes}, most {load.most_sandboxes}",
        "OVER" if load.failures else "OK",
    )

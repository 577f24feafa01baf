"""What many sign-ins leave in a process after warm-up: nothing."""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from django.core.handlers.wsgi import WSGIHandler

from django_ms_identity.testing.emulator import Emulator

from .journeys import Journeys

WARM_UP = 1200
"""Sign-ins until every bounded memory is full; the emulator's remembers a thousand codes."""
PARTS = 4
"""In so many parts the sign-ins are counted: a leak grows with each, a late warm-up does not."""
TRACED = 200
"""Sign-ins that are traced when something grew, to say where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a part of the sign-ins left behind."""

    blocks: int
    """Allocated by Python (objects up to 512 bytes)."""
    kibibytes: int
    """Resident set of the process, which large objects and C libraries show in."""


def grown(emulator: Emulator, *, logins: int) -> list[Growth]:
    """Sign in ``logins`` times after warm-up; return what each quarter of them left behind."""
    journeys = Journeys(emulator, WSGIHandler())
    _repeat(journeys.callback, WARM_UP)
    marks = [_mark()]
    for _ in range(PARTS):
        _repeat(journeys.callback, logins // PARTS)
        marks.append(_mark())
    return [
        Growth(blocks=blocks - before[0], kibibytes=resident - before[1])
        for before, (blocks, resident) in pairwise(marks)
    ]


def leaks(growth: list[Growth], *, logins: int) -> bool:
    """Say whether sign-ins leave objects behind: in every part, at least one for each ten of them."""
    return all(part.blocks > logins / PARTS / 10 for part in growth)


def where(emulator: Emulator, *, limit: int = 10) -> list[str]:
    """Name the lines whose allocations outlive their sign-in."""
    journeys = Journeys(emulator, WSGIHandler())
    tracemalloc.start(5)
    _repeat(journeys.callback, TRACED)
    gc.collect()
    before = tracemalloc.take_snapshot()
    _repeat(journeys.callback, TRACED)
    gc.collect()
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    return [str(line) for line in after.compare_to(before, "lineno")[:limit]]


def _repeat(prepare: Callable[[], Callable[[], object]], times: int) -> None:
    for _ in range(times):
        prepare()()


def _mark() -> tuple[int, int]:
    gc.collect()
    return sys.getallocatedblocks(), _resident()


def _resident() -> int:
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
    except OSError:
        return 0  # Not Linux: the blocks must do.
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024

"""Who may hold a worker of a sandbox: as many at once as there are, and whoever misuses them one less."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

SUSPECT = 60.0
"""Seconds for which it is remembered who ran into the limits."""
AROUND = 10.0
"""Seconds for which who asked counts as somebody to keep a turn for."""


class Turns:
    """Hand out so many turns at once; a class because it counts them. Safe under threads and greenlets.

    ``whose`` tells one mapper from another. Those that ran into their limits lately may, all together, hold
    all turns but one while others ask too: one provider's mapper that loops must not keep everybody out.
    """

    def __init__(self, size: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._held: Counter[int] = Counter()
        self._asked: dict[int, float] = {}
        self._suspects: dict[int, float] = {}

    @property
    def _changed(self) -> threading.Condition:
        # Made late: gevent may patch threading after this module was imported. One, whoever comes first.
        condition: threading.Condition = self.__dict__.setdefault("_condition", threading.Condition())
        return condition

    def take(self, whose: int, *, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for a turn; say whether there was one."""
        with self._changed:
            self._asked[whose] = self._clock()
            try:
                taken = self._changed.wait_for(lambda: self._is_free_for(whose), timeout)
            except BaseException:  # A greenlet's time-out: the turn may have been this one's.
                self._changed.notify_all()
                raise
            if taken:
                self._held[whose] += 1
            return taken

    def give_back(self, whose: int) -> None:
        with self._changed:
            self._held[whose] -= 1
            if not self._held[whose]:
                del self._held[whose]
            if self._suspects:  # The next in line may be one who has to wait.
                self._changed.notify_all()
            else:
                self._changed.notify()

    def suspect(self, whose: int) -> None:
        """Remember that an evaluation ran into its limits."""
        with self._changed:
            self._suspects[whose] = self._clock()

    def _is_free_for(self, whose: int) -> bool:
        if self._held.total() >= self._size:
            return False
        suspects, around = self._since(SUSPECT, self._suspects), self._since(AROUND, self._asked)
        if whose not in suspects or around <= suspects:
            return True
        return sum(self._held[suspect] for suspect in suspects) < max(self._size - 1, 1)

    def _since(self, seconds: float, times: dict[int, float]) -> set[int]:
        oldest = self._clock() - seconds
        for whose in [whose for whose, seen in times.items() if seen < oldest]:
            del times[whose]
        return set(times)

"""Bound how many evaluations run at once, and keep one mapper from taking every worker."""

from __future__ import annotations

import threading
from collections import Counter, deque

RECENT = 100
"""The latest requests, by which a mapper is known to be alone."""


class FairSemaphore:
    """A semaphore that leaves the last free place to keys that hold none, while several keys ask.

    Threat: a visitor whose claims make one provider's mapper loop takes all workers, and the sign-ins of the
    other providers wait. A key that asks alone may hold all places. Safe under threads and greenlets.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: Counter[int] = Counter()
        self._recent: deque[int] = deque(maxlen=RECENT)

    @property
    def _changed(self) -> threading.Condition:
        # Made on first use: gevent may patch threading after this module was imported. setdefault is atomic.
        condition: threading.Condition = self.__dict__.setdefault("_condition", threading.Condition())
        return condition

    def acquire(self, key: int, *, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for a place; return whether there was one."""
        with self._changed:
            self._recent.append(key)
            acquired = self._changed.wait_for(lambda: self._is_free_for(key), timeout)
            if acquired:
                self._held[key] += 1
            return acquired

    def release(self, key: int) -> None:
        """Give a place back."""
        with self._changed:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
            # All of them: the first in line may have to leave the place to another key.
            self._changed.notify_all()

    def _is_free_for(self, key: int) -> bool:
        alone = set(self._recent) <= {key}
        limit = self._size if alone else max(self._size - 1, 1)
        return self._held.total() < self._size and self._held[key] < limit

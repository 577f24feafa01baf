from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from django_ms_identity.jsonnet.fair_semaphore import RECENT, FairSemaphore

LOOPING, GOOD, OTHER = 1, 2, 3


def make_semaphore(size: int, *, asked: tuple[int, ...] = ()) -> FairSemaphore:
    """Make a semaphore at which the keys in ``asked`` asked lately."""
    semaphore = FairSemaphore(size)
    for key in asked:
        assert semaphore.acquire(key, timeout=0)
        semaphore.release(key)
    return semaphore


def acquired(semaphore: FairSemaphore, key: int, times: int) -> list[bool]:
    return [semaphore.acquire(key, timeout=0) for _ in range(times)]


def wait_for_waiters(semaphore: FairSemaphore, number: int) -> None:
    for _ in range(2000):
        if len(semaphore._changed._waiters) == number:
            return
        time.sleep(0.005)
    pytest.fail("the waiters did not come within 10 s")


def test_semaphore_has_as_many_places_as_its_size() -> None:
    semaphore = make_semaphore(2)

    assert acquired(semaphore, GOOD, 3) == [True, True, False]
    semaphore.release(GOOD)
    assert acquired(semaphore, GOOD, 2) == [True, False]


def test_semaphore_leaves_the_last_place_to_another_key_that_asked_lately() -> None:
    semaphore = make_semaphore(2, asked=(GOOD,))

    assert acquired(semaphore, LOOPING, 2) == [True, False]
    assert acquired(semaphore, GOOD, 1) == [True]
    assert acquired(semaphore, OTHER, 1) == [False]


def test_semaphore_of_size_one_serves_every_key() -> None:
    semaphore = make_semaphore(1, asked=(GOOD,))

    assert acquired(semaphore, LOOPING, 2) == [True, False]


def test_semaphore_gives_all_places_to_a_key_that_asks_alone_again() -> None:
    semaphore = make_semaphore(2, asked=(GOOD, *[LOOPING] * (RECENT - 1)))

    assert acquired(semaphore, LOOPING, 2) == [True, True]


def test_semaphore_keeps_nothing_of_keys_that_are_gone() -> None:
    semaphore = make_semaphore(2, asked=tuple(range(RECENT * 2)))

    assert (len(semaphore._held), len(semaphore._recent)) == (0, RECENT)


def test_semaphore_gives_a_released_place_to_the_waiter_who_may_have_it() -> None:
    """The first in line already holds a place: the second in line gets the one that is released."""
    semaphore = make_semaphore(2, asked=(GOOD,))
    assert acquired(semaphore, LOOPING, 1) == acquired(semaphore, OTHER, 1) == [True]

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(semaphore.acquire, LOOPING, timeout=20)
        wait_for_waiters(semaphore, 1)
        second = threads.submit(semaphore.acquire, GOOD, timeout=20)
        wait_for_waiters(semaphore, 2)
        semaphore.release(OTHER)

        # Much sooner than the look that it takes at its deadline.
        assert second.result(10)
        assert not first.done()
        semaphore.release(LOOPING)
        assert first.result(10)

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from django_ms_identity.jsonnet.turns import AROUND, SUSPECT, Turns

from .conftest import Clock

GOOD, BAD, WORSE = 1, 2, 3


@pytest.fixture
def make(clock: Clock) -> Callable[..., Turns]:
    """Make turns; everybody in ``asked`` has had one, and ``suspects`` ran into their limits."""

    def make_turns(size: int = 2, *, asked: tuple[int, ...] = (), suspects: tuple[int, ...] = ()) -> Turns:
        turns = Turns(size, clock=clock)
        for whose in asked:
            assert turns.take(whose, timeout=0)
            if whose in suspects:
                turns.suspect(whose)
            turns.give_back(whose)
        return turns

    return make_turns


class Interrupted(BaseException):
    pass


def wait_for(happened: Callable[[], bool]) -> None:
    for _ in range(2000):
        if happened():
            return
        time.sleep(0.005)
    pytest.fail("it never happened")


def taken(turns: Turns, whose: int, times: int) -> list[bool]:
    return [turns.take(whose, timeout=0) for _ in range(times)]


def test_there_are_as_many_turns_as_workers(make: Callable[..., Turns]) -> None:
    turns = make(2)

    assert taken(turns, GOOD, 3) == [True, True, False]
    turns.give_back(GOOD)
    assert taken(turns, GOOD, 2) == [True, False]


def test_who_ran_into_limits_leaves_a_turn_to_others(make: Callable[..., Turns]) -> None:
    turns = make(2, asked=(GOOD, BAD), suspects=(BAD,))

    assert taken(turns, BAD, 2) == [True, False]
    assert taken(turns, GOOD, 2) == [True, False]


def test_several_who_ran_into_limits_leave_a_turn_together(make: Callable[..., Turns]) -> None:
    turns = make(2, asked=(GOOD, BAD, WORSE), suspects=(BAD, WORSE))

    assert taken(turns, BAD, 1) == [True]
    assert taken(turns, WORSE, 1) == [False]
    assert taken(turns, GOOD, 1) == [True]


@pytest.mark.parametrize("asked", [(BAD,), (BAD, WORSE)], ids=["alone", "among their like"])
def test_no_turn_is_kept_for_nobody(make: Callable[..., Turns], asked: tuple[int, ...]) -> None:
    turns = make(2, asked=asked, suspects=asked)

    assert taken(turns, BAD, 2) == [True, True]


def test_a_single_worker_is_there_for_everybody(make: Callable[..., Turns]) -> None:
    turns = make(1, asked=(GOOD, BAD), suspects=(BAD,))

    assert taken(turns, BAD, 1) == [True]


def test_others_may_have_all_turns(make: Callable[..., Turns]) -> None:
    turns = make(2, asked=(GOOD, BAD), suspects=(BAD,))

    assert taken(turns, GOOD, 2) == [True, True]


def test_no_turn_is_kept_for_who_has_not_asked_for_a_while(make: Callable[..., Turns], clock: Clock) -> None:
    turns = make(2, asked=(GOOD, BAD), suspects=(BAD,))
    clock.now += AROUND + 1

    assert taken(turns, BAD, 2) == [True, True]


def test_after_a_while_limits_are_forgotten(make: Callable[..., Turns], clock: Clock) -> None:
    turns = make(2, asked=(GOOD, BAD), suspects=(BAD,))
    clock.now += SUSPECT + 1
    assert turns.take(GOOD, timeout=0)
    turns.give_back(GOOD)

    assert taken(turns, BAD, 2) == [True, True]


def test_nothing_is_kept_of_mappers_that_are_gone(make: Callable[..., Turns], clock: Clock) -> None:
    turns = make(2, asked=tuple(range(100)), suspects=tuple(range(50)))
    clock.now += SUSPECT + 1
    assert turns.take(GOOD, timeout=0)

    assert (len(turns._asked), len(turns._suspects), len(turns._held)) == (1, 0, 1)


@pytest.mark.parametrize("suspects", [(), (WORSE,)], ids=["no suspects", "suspects"])
def test_who_waits_gets_the_turn_that_is_given_back(
    make: Callable[..., Turns], suspects: tuple[int, ...]
) -> None:
    turns = make(1, asked=suspects, suspects=suspects)
    assert turns.take(GOOD, timeout=0)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(turns.take, BAD, timeout=60)
        wait_for(lambda: len(turns._changed._waiters) == 1)
        turns.give_back(GOOD)

        # Much sooner than the look that it takes at its deadline.
        assert waiting.result(20)


def test_who_is_interrupted_passes_the_turn_on(make: Callable[..., Turns], clock: Clock) -> None:
    """A greenlet's time-out may strike just when it was told that there is a turn."""
    turns = make(1)
    assert turns.take(GOOD, timeout=0)

    armed = threading.Event()

    def strike() -> float:
        if armed.is_set() and threading.current_thread() is first:
            raise Interrupted
        return clock()

    turns._clock = strike
    outcomes: list[str] = []

    def struck() -> None:
        try:
            turns.take(BAD, timeout=60)
        except Interrupted:
            outcomes.append("interrupted")

    first = threading.Thread(target=struck)
    first.start()
    wait_for(lambda: len(turns._changed._waiters) == 1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(turns.take, WORSE, timeout=60)
        wait_for(lambda: len(turns._changed._waiters) == 2)
        armed.set()
        turns.give_back(GOOD)

        assert waiting.result(20)
    first.join(20)
    assert outcomes == ["interrupted"]

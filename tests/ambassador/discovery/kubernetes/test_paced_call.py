"""A function that takes a bounded share of the event loop, on a clock of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from sidecars.ambassador.discovery.kubernetes.paced_call import PacedCall


class Clock:
    """The part of an event loop that is used: its clock, and timers that a test lets expire."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], object]) -> Any:
        entry = (self.now + seconds, call)
        self.timers.append(entry)

        class Handle:
            def cancel(_self) -> None:  # noqa: N805 - the clock is `self` here
                self.timers.remove(entry)

        return Handle()

    def pass_time(self, seconds: float) -> None:
        """Let timers expire in their order."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            first = min(due, key=lambda timer: timer[0])
            self.timers.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = max(self.now, end)


def paced(clock: Clock, cost: float) -> tuple[PacedCall, list[float], list[Exception]]:
    calls: list[float] = []
    errors: list[Exception] = []

    def work() -> None:
        calls.append(clock.now)
        clock.now += cost
        if cost > 1:
            raise ValueError

    return PacedCall(work, cast("asyncio.AbstractEventLoop", clock), errors.append), calls, errors


def test_a_first_change_is_taken_up_at_once_and_those_that_follow_together() -> None:
    clock = Clock()
    made, calls, _ = paced(clock, 0.1)
    for _ in range(5):
        made.ask()
    assert calls == [100.0]
    clock.pass_time(2.0)
    assert [round(each, 3) for each in calls] == [100.0, 101.0]


def test_changes_without_end_take_a_tenth_of_the_time() -> None:
    clock = Clock()
    made, calls, _ = paced(clock, 0.05)
    while clock.now < 110.0:
        made.ask()
        clock.pass_time(0.001)
    assert 19 <= len(calls) <= 21


def test_a_cheap_call_is_never_put_off() -> None:
    clock = Clock()
    made, calls, _ = paced(clock, 0.0)
    for _ in range(5):
        made.ask()
    assert len(calls) == 5


def test_what_was_asked_for_is_done_before_the_end() -> None:
    clock = Clock()
    made, calls, _ = paced(clock, 0.1)
    made.flush()
    assert calls == []
    made.ask()
    made.ask()
    made.flush()
    assert len(calls) == 2
    assert clock.timers == []


def test_a_call_that_fails_later_is_told_and_one_that_is_cancelled_never_comes() -> None:
    clock = Clock()
    made, calls, errors = paced(clock, 2.0)
    try:
        made.ask()
    except ValueError:
        made.ask()
    clock.pass_time(30.0)
    assert len(calls) == 2
    assert len(errors) == 1
    made.ask()
    made.cancel()
    clock.pass_time(60.0)
    assert len(calls) == 2

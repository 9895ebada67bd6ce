"""The share of the processor that the live tail may take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.live import work_share
from sidecars.logshipper.live.work_share import EarnedTime, WorkShare


class Clocks:
    """What was earned and the time of the processor, which the test sets."""

    def __init__(self) -> None:
        self.now = self.worked = 0.0

    def share(self, share: float = 0.5, most: float = 1.0) -> WorkShare:
        return WorkShare(share, most, work_share.Clocks(earned=lambda: self.now, worked=lambda: self.worked))


def test_work_that_takes_more_than_was_left_is_paid_back_before_there_is_more() -> None:
    clocks = Clocks()
    share = clocks.share()
    assert share.begin()
    clocks.worked += 3.0  # of 1.0
    assert not share.goes_on()
    clocks.now += 3.9
    assert not share.begin()
    clocks.now += 0.2
    assert share.begin()


def test_what_others_worked_between_two_works_is_not_counted() -> None:
    clocks = Clocks()
    share = clocks.share()
    assert share.begin()
    assert share.goes_on()
    clocks.worked += 100.0
    assert share.begin()
    assert share.goes_on()


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 0.5)), max_size=60))
def test_over_any_time_no_more_than_the_share_is_worked_but_for_the_last_work(steps: list[tuple[float, float]]) -> None:
    clocks = Clocks()
    share = clocks.share(0.1, 0.2)
    for pause, work in steps:
        clocks.now += pause
        if share.begin():
            clocks.worked += work
            share.goes_on()
        assert clocks.worked <= 0.2 + 0.1 * clocks.now + 0.5 + 1e-6


class Process:
    """A process whose work and time the test sets."""

    def __init__(self) -> None:
        self.worked = self.now = 0.0
        self.earned = EarnedTime(lambda: self.worked, lambda: self.now)

    def passes(self, seconds: float, work: float = 0.0, calls: int = 1) -> float:
        """Let time pass in so many steps, each with its part of the work. Return what is earned in it."""
        before = self.earned()
        for _ in range(calls):
            self.now += seconds / calls
            self.worked += work / calls
            self.earned()
        return self.earned() - before


def test_half_of_the_time_is_earned_by_a_process_that_does_nothing() -> None:
    assert Process().passes(10.0) == 5.0


def test_a_process_that_has_much_to_do_earns_its_own_work_alone_however_long_it_waits_for_a_processor() -> None:
    for calls in (1, 10, 1000):
        assert round(Process().passes(10.0, 1.0, calls), 6) == 1.0


def test_what_is_earned_never_becomes_less() -> None:
    process = Process()
    found = [process.passes(seconds, work) for seconds, work in [(0.05, 0.0), (0.04, 0.04), (0.02, 0.0), (0.3, 0.001)]]
    assert all(one >= 0 for one in found)

"""The share of the processor that the live tail may take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.live import work_share
from sidecars.logshipper.live.work_share import WorkShare


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

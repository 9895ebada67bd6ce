"""Progress: the times of its reports, whose numbers never fall."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier.transfer.progress import Progress, Stopped, bar


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def shares(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.fields["percent"] for record in caplog.records if record.msg == "%s"]  # type: ignore[attr-defined] # the logger adds the fields


def test_nothing_is_said_for_two_seconds_and_then_a_line_every_five(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    work = Progress(1000, clock=clock)
    for tenth in range(1, 101):
        clock.now = tenth / 10
        work.update(tenth * 10)
    assert shares(caplog) == [20, 70]


@given(st.lists(st.integers(0, 500), min_size=1, max_size=20))
def test_whatever_is_done_at_a_time_it_never_goes_backwards(done: list[int]) -> None:
    clock = Clock()
    said: list[str] = []

    def draw(text: str) -> bool:
        said.append(text)
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sidecars.chassis.runtime.logs.show_progress", draw)
        work = Progress(1000, clock=clock)
        for number, one in enumerate(done):
            clock.now = 3.0 + number
            work.update(one)
        work.complete_step(500)
        clock.now += 1
        work.update(0)
        work.end()
    percents = [int(text.split("]")[1].split("%")[0]) for text in said if text]
    assert percents == sorted(percents)
    assert max(percents) <= 100
    assert said[-1] == "", "the terminal is left as it was"


@given(st.floats(0, 1), st.floats(0, 10**5))
def test_a_bar_is_always_as_wide(share: float, rate: float) -> None:
    assert bar(share, rate).index("]") == 31


def test_a_run_that_is_to_end_is_told_at_its_next_step() -> None:
    over = [False]
    work = Progress(10, lambda: over[0])
    work.update(1)
    over[0] = True
    with pytest.raises(Stopped):
        work.update(2)

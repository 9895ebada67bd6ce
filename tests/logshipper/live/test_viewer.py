"""One client of the live tail."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.live import tail_query, work_share
from sidecars.logshipper.live.viewer import QUEUE, RATE, Viewer


class Clocks:
    """The time and the time of the processor, which the test sets."""

    now = worked = 0.0

    def viewer(self, query: str = "") -> Viewer:
        return Viewer(tail_query.parse(query, ("app",)), work_share.Clocks(self._now, self._now, lambda: self.worked))

    def _now(self) -> float:
        return self.now


def lines(first: int, count: int) -> list[bytes]:
    return [b'{"n":%d}\n' % number for number in range(first, first + count)]


def told(taken: bytes) -> list[int | str]:
    """Return the numbers of the lines that were taken, and `-n` for n that were skipped."""
    found = [json.loads(line) for line in taken.splitlines()]
    return [one["n"] if "n" in one else f"-{one['skipped']}" for one in found]


def test_beyond_200_lines_a_second_lines_are_skipped_and_counted_in_their_place() -> None:
    clocks = Clocks()
    viewer = clocks.viewer()
    viewer.offer(lines(0, 300))
    clocks.now += 0.01
    viewer.offer(lines(300, 5))

    assert told(viewer.take()) == [*range(RATE), "-100", 300, 301, "-3"]
    assert (viewer.shown, viewer.skipped) == (RATE + 2, 103)


def test_what_was_skipped_is_told_even_if_nothing_comes_after_it() -> None:
    viewer = Clocks().viewer()
    viewer.offer(lines(0, RATE))
    viewer.take()
    assert not viewer.has_news.is_set()
    viewer.offer(lines(0, 7))
    assert viewer.has_news.is_set()
    assert told(viewer.take()) == ["-7"]
    assert viewer.take() == b""


def test_a_client_that_does_not_read_keeps_what_came_first_and_never_more_than_the_queue() -> None:
    clocks = Clocks()
    viewer = clocks.viewer()
    long = [b'{"n":%d,"x":"%s"}\n' % (number, b"x" * 1000) for number in range(1000)]
    for at in range(0, 1000, 10):
        clocks.now += 1.0
        viewer.offer(long[at : at + 10])
    taken = viewer.take()

    assert len(taken) <= QUEUE + len(b'{"skipped":1000}\n')
    kept = viewer.shown
    assert told(taken) == [*range(kept), f"-{1000 - kept}"]
    viewer.offer(lines(1000, 1))
    assert told(viewer.take()) == [1000]


def test_a_line_that_is_larger_than_the_queue_is_skipped_and_the_next_one_is_not() -> None:
    viewer = Clocks().viewer()
    viewer.offer([b'{"n":"%s"}\n' % (b"x" * QUEUE), b'{"n":1}\n'])
    assert told(viewer.take()) == ["-1", 1]


def test_match_is_looked_for_in_the_line_as_it_is_shown() -> None:
    viewer = Clocks().viewer("match=%5E%7B%22n%22:.*0%7D%24")
    viewer.offer(lines(0, 21))
    assert told(viewer.take()) == [0, 10, 20]
    assert viewer.skipped == 0


def test_lines_of_which_none_matches_take_one_search() -> None:
    clocks = Clocks()
    viewer = clocks.viewer("match=no%20line%20has%20this")
    worked = iter(range(100))
    viewer._share._clocks = work_share.Clocks(viewer._clock, viewer._clock, lambda: next(worked) * 1e-4)
    viewer.offer(lines(0, 100))
    assert (viewer.take(), viewer.skipped) == (b"", 0)
    assert next(worked) == 2


def test_who_has_its_share_of_searching_used_up_is_told_how_many_were_not_searched() -> None:
    clocks = Clocks()
    viewer = clocks.viewer("match=1")
    costs = iter([0.0, 0.001, 0.002, 9.0])

    def worked() -> float:
        clocks.worked = next(costs, clocks.worked)
        return clocks.worked

    viewer._share._clocks = work_share.Clocks(viewer._clock, viewer._clock, worked)
    viewer.offer(lines(1, 10))
    assert told(viewer.take()) == [1, "-7"]  # 2 and 3 were searched, and do not match
    clocks.now += 10.0
    viewer.offer(lines(10, 1))
    assert told(viewer.take()) == ["-1"]  # the debt of 9 s takes an hour
    clocks.now += 3600.0
    viewer.offer(lines(10, 1))
    assert told(viewer.take()) == [10]


def test_after_the_limit_the_end_comes_and_nothing_more_is_queued_or_counted() -> None:
    viewer = Clocks().viewer("limit=3")
    viewer.offer(lines(0, 10))
    viewer.skip(5)
    assert viewer.is_over
    assert told(viewer.take()) == [0, 1, 2]
    assert viewer.has_news.is_set()
    assert viewer.take() == b""


@given(st.lists(st.tuples(st.sampled_from(["offer", "skip", "take", "wait"]), st.integers(0, 400)), max_size=40))
def test_each_line_is_shown_once_in_order_or_counted_as_skipped(steps: list[tuple[str, int]]) -> None:
    clocks = Clocks()
    viewer, offered, taken = clocks.viewer(), 0, b""
    for step, count in steps:
        if step == "offer":
            viewer.offer(lines(offered, count))
            offered += count
        elif step == "skip":
            viewer.skip(count)
            offered += count
        elif step == "take":
            taken += viewer.take()
        else:
            clocks.now += count / 1000
    expected = 0
    for one in told(taken + viewer.take()):
        if isinstance(one, str):
            expected += int(one[1:])
        else:
            assert one == expected
            expected += 1
    assert expected == offered
    assert viewer.shown + viewer.skipped == offered
    assert viewer.shown <= RATE + RATE * clocks.now + 1

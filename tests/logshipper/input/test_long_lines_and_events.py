"""Lines that are longer than MAX_LINE_SIZE, and the last event of several lines, read from a followed file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.logshipper.pod import Pod
from tests.logshipper.support import append


@pytest.mark.parametrize("size", [1025, 3000, 3_000_000])
async def test_a_line_that_is_too_long_can_be_cut_and_the_rest_is_counted(tmp_path: Path, size: int) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB", LOGSHIPPER_LONG_LINES="cut")
    append(pod.log, "before\n" + "x" * size + "\nafter\n")
    pod.look()
    assert pod.ship(room=2000, batches=2) == ["before", "x" * 1024]
    await pod.restart()
    assert pod.ship(room=2000) == ["after"]
    assert pod.dropped() == {"cut": size - 1024 + 1}
    assert pod.ledgers["default"].total.lines == 1, "of this process"


def test_a_line_that_is_cut_while_it_is_still_being_written(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB", LOGSHIPPER_LONG_LINES="cut")
    append(pod.log, "x" * 2000)
    pod.look()
    assert pod.ship() == ["x" * 1024]
    append(pod.log, "y" * 2000)
    pod.look()
    assert pod.ship() == []
    append(pod.log, "z\nafter\n")
    pod.look()
    assert pod.ship() == ["after"]
    assert pod.dropped() == {"cut": 976 + 2000 + 2}


TRACE = "2026-01-02 10:00:00 ERROR failed\njava.lang.IllegalStateException: no\n\tat shop.Order.pay(Order.java:1)\n"


def java(tmp_path: Path, **environ: str) -> Pod:
    return Pod(tmp_path, LOGSHIPPER_MULTILINE="java", LOGSHIPPER_MULTILINE_TIMEOUT="5s", **environ)


def events(pod: Pod, room: int = 100_000) -> list[str]:
    """Deliver everything. Return the text of each event."""
    found: list[str] = []
    while chunks := pod.queues["default"].collect(room):
        in_flight = pod.send("default", chunks)
        found += [body for records in in_flight.content.records for body in records.bodies]
        pod.settle(in_flight)
        pod.check()
    return found


def test_the_last_event_of_several_lines_waits_for_more_of_it_until_the_timeout(tmp_path: Path) -> None:
    pod = java(tmp_path)
    append(pod.log, TRACE)
    pod.look()
    assert events(pod) == []
    append(pod.log, "\tat shop.Shop.main(Shop.java:2)\n")
    pod.look(4)
    assert events(pod) == []
    pod.look(4)
    assert events(pod) == []
    pod.look(2)
    assert events(pod) == [TRACE + "\tat shop.Shop.main(Shop.java:2)"]
    assert pod.ledgers["default"].total.lines == 4


@pytest.mark.parametrize("room", [1, 100, 150, 1000])
def test_a_batch_ends_between_events_however_small_it_is(tmp_path: Path, room: int) -> None:
    pod = java(tmp_path)
    append(pod.log, TRACE * 20 + "2026-01-02 10:00:01 INFO fine\n")
    pod.look()
    assert events(pod, room) == [TRACE.removesuffix("\n")] * 20
    pod.look(6)
    assert events(pod, room) == ["2026-01-02 10:00:01 INFO fine"]


def test_the_last_event_is_shipped_at_the_end_of_the_file_and_of_the_pod(tmp_path: Path) -> None:
    pod = java(tmp_path)
    append(pod.log, TRACE)
    pod.look()
    pod.log.unlink()
    append(pod.log, TRACE + "\tat unfinished")
    pod.look()
    pod.follower.finish()
    first, *rest = events(pod)
    assert first == TRACE.removesuffix("\n")
    assert "\n".join(rest) == TRACE + "\tat unfinished"


def test_an_event_that_never_ends_stops_no_file(tmp_path: Path) -> None:
    pod = java(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB")
    append(pod.log, TRACE + "\tat endless\n" * 1000 + "2026-01-02 10:00:01 INFO fine\n" * 2)
    pod.look()
    found = events(pod, 500)
    assert "\n".join(found) + "\n" == TRACE + "\tat endless\n" * 1000 + "2026-01-02 10:00:01 INFO fine\n"
    assert max(map(len, found)) <= 1024


@pytest.mark.parametrize("unfinished", [False, True])
async def test_kill_nine_while_an_event_waits_ships_it_once(tmp_path: Path, *, unfinished: bool) -> None:
    pod = java(tmp_path)
    append(pod.log, TRACE + TRACE + ("\tat unfin" if unfinished else ""))
    await pod.store.save()
    pod.look()
    sent = pod.send("default", pod.queues["default"].collect(10_000))
    assert sent.content.events == 1
    pod.kill()
    pod.begin()
    ((again, _),) = pod.queues["default"].resend()
    assert [chunk.data for chunk in again] == [chunk.data for chunk in sent.chunks]

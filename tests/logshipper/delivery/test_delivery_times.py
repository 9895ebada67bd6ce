"""Metrics of deliveries: when a sink last took something, how long lines had waited, and what deleted files occupy."""

from __future__ import annotations

import pytest

from sidecars.logshipper.delivery.delivery_times import BOUNDS, DeliveryTimes
from tests.logshipper.pod import Pod
from tests.logshipper.support import append


def test_a_batch_is_recorded_with_its_time_and_in_the_interval_of_its_wait() -> None:
    times = DeliveryTimes(lambda: 1_700_000_000.0)
    assert times.last_success == 0

    for waited in (0.05, 0.1, 7.0, 4000.0):
        times.record(waited)

    assert times.last_success == 1_700_000_000.0
    assert times.seconds == pytest.approx(4007.15)
    assert [times.counts[0], times.counts[BOUNDS.index(10.0)], times.counts[-1]] == [2, 1, 1]
    assert sum(times.counts) == 4


def test_a_line_waits_from_its_first_sight_until_the_sink_has_decided(pod: Pod) -> None:
    append(pod.log, "one\n")
    pod.look()
    batch = pod.send("default", pod.queues["default"].collect(100))
    pod.now += 42
    pod.settle(batch)

    times = pod.queues["default"].times
    assert times.counts[BOUNDS.index(60.0)] == 1
    assert times.seconds == pytest.approx(42)
    assert times.last_success > 0


def test_a_batch_of_which_the_sink_took_nothing_is_no_success(pod: Pod) -> None:
    append(pod.log, "one\n")
    pod.look()
    batch = pod.send("default", pod.queues["default"].collect(100))
    batch.drop(batch.content, [0], "rejected")
    pod.settle(batch)

    times = pod.queues["default"].times
    assert (times.last_success, sum(times.counts)) == (0, 0)


def test_a_deleted_file_that_is_read_to_its_end_occupies_disk_until_then(pod: Pod) -> None:
    append(pod.log, "x" * 10_000 + "\n")
    pod.look()
    assert pod.follower.open_files.held_deleted() == 0

    pod.log.unlink()
    pod.look()
    assert pod.follower.open_files.held_deleted() >= 10_000

    pod.ship(room=100_000)
    pod.look(later=100)
    assert pod.follower.open_files.held_deleted() == 0

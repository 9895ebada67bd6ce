"""IGNORE_OLDER: files that are too old when they are first seen. MAX_HELD: deleted files that are held open."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append


def old(path: Path, text: str, hours: float) -> None:
    append(path, text)
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


# -- IGNORE_OLDER ------------------------------------------------------------------------------------------------------


def test_a_file_that_is_too_old_is_counted_as_ignored_and_not_read(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "up", "down", LOGSHIPPER_IGNORE_OLDER="24h")
    old(pod.logs / "old.log", "old 1\nold 2", hours=25)
    old(pod.logs / "new.log", "new\n", hours=23)
    pod.look()
    assert (pod.ship("up"), pod.ship("down")) == (["new"], ["new"])
    for sink in ("up", "down"):
        assert pod.dropped(sink) == {"ignored": len("old 1\nold 2")}
        assert pod.ledgers[sink].total.read == len("old 1\nold 2new\n")


def test_a_file_that_was_too_old_is_read_on_when_it_is_written_again(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_IGNORE_OLDER="24h")
    old(pod.log, "old\n", hours=25)
    pod.look()
    append(pod.log, "new\n")
    pod.look()
    assert pod.ship() == ["new"]
    pod.rotate()
    append(pod.log, "after the rotation\n")
    pod.look()
    assert pod.ship() == ["after the rotation"]
    assert pod.dropped() == {"ignored": 4}


async def test_a_file_that_was_too_old_is_not_read_after_a_restart(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_IGNORE_OLDER="24h")
    old(pod.log, "old\n", hours=25)
    pod.look()
    await pod.restart()
    assert pod.ship() == []
    assert pod.ledgers["default"].total.read == 0, "the process before has counted it"
    append(pod.log, "new\n")
    pod.look()
    assert pod.ship() == ["new"]


def test_a_known_file_is_never_too_old(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_IGNORE_OLDER="24h")
    append(pod.log, "1\n")
    pod.look()
    os.utime(pod.log, (0, 0))
    pod.look()
    assert pod.ship() == ["1"]
    assert not pod.dropped()


# -- MAX_HELD ----------------------------------------------------------------------------------------------------------


def deleted(pod: Pod, count: int, size: int = 600_000) -> None:
    """Let the app write and delete files, one after another."""
    for number in range(count):
        log = pod.logs / f"{number}.log"
        append(log, f"{number} {'x' * size}\n")
        pod.look()
        log.unlink()
        pod.look()


def test_without_a_limit_each_deleted_file_is_held_until_the_sink_has_it(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    deleted(pod, 5)
    assert [line.split()[0] for line in pod.ship(room=1 << 20)] == ["0", "1", "2", "3", "4"]
    assert not pod.dropped()


def test_beyond_the_limit_the_oldest_deleted_file_is_given_up_and_counted(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MAX_HELD="2MiB")
    deleted(pod, 5)
    assert pod.follower.open_files.held_deleted() <= 2 << 20
    assert [line.split()[0] for line in pod.ship(room=1 << 20)] == ["2", "3", "4"]
    assert pod.dropped() == {"given_up": 2 * 600_003}
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert not pod.follower.tails


def test_what_is_in_flight_is_settled_and_not_given_up(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MAX_HELD="1MiB")
    append(pod.logs / "0.log", "0 first\n")
    pod.look()
    in_flight = pod.send("default", pod.queues["default"].collect(100))
    append(pod.logs / "0.log", "x" * 1_500_000 + "\n")
    (pod.logs / "0.log").unlink()
    pod.look()
    assert not pod.dropped(), "the batch may be at the sink already"
    pod.settle(in_flight)
    pod.look()
    assert pod.dropped() == {"given_up": 1_500_001}
    assert pod.ledgers["default"].total.delivered == len("0 first\n")
    assert not pod.follower.tails


def test_a_file_with_a_name_is_never_given_up(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*.log*", LOGSHIPPER_MAX_HELD="1MiB")
    append(pod.log, "x" * 1_500_000 + "\n")
    pod.look()
    pod.rotate()
    pod.look()
    assert not pod.dropped()

"""More files than may be open: which are closed, and that none of their lines is lost or repeated."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from sidecars.logshipper.volumes.log_volumes import LogVolumes
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append


def crowded(tmp_path: Path, count: int, *sinks: str, most: int = 3) -> Pod:
    """A pod with `count` log files of one line each, of which `most` may be open."""
    pod = Pod(tmp_path, *sinks, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*.log*")
    pod.most = most
    pod.follower.open_files.set_limit(most)
    for number in range(count):
        append(pod.logs / f"{number}.log", f"{number} first\n")
    return pod


def opened(pod: Pod) -> list[str]:
    return [tail.state.first_path for tail in pod.follower.tails.values() if tail.descriptor is not None]


def everything(pod: Pod) -> Counter[str]:
    while pod.ship():
        pass
    return Counter(pod.got["default"])


def test_files_beyond_the_limit_are_in_the_ledger_and_shipped_in_turns(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 20)
    pod.look()
    assert len(opened(pod)) == 3
    assert pod.ledgers["default"].total.pending == sum(len(f"{number} first\n") for number in range(20))
    assert pod.follower.open_files.status() == {"most": 3, "open": 3, "idle": 0, "waiting": 17, "pinned": 0}
    assert everything(pod) == Counter(f"{number} first" for number in range(20))
    assert len(opened(pod)) == 3


def test_a_closed_file_that_grows_is_read_on(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 20)
    pod.look()
    everything(pod)
    for number in range(20):
        append(pod.logs / f"{number}.log", f"{number} second\n")
    assert pod.follower.poll()
    assert everything(pod) == Counter(f"{number} {word}" for number in range(20) for word in ("first", "second"))
    assert not pod.dropped()


def test_a_file_that_every_sink_has_is_closed_before_one_that_some_sink_needs(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 0, "up", "down")
    for name in ("a", "b"):
        append(pod.logs / f"{name}.log", f"{name}\n")
    pod.look()
    pod.ship("up")
    append(pod.logs / "settled.log", "settled\n")
    pod.look()
    for sink in ("up", "down"):
        pod.settle(pod.send(sink, [chunk for chunk in pod.queues[sink].collect(1000) if "settled" in chunk.first_path]))
    append(pod.logs / "new.log", "new\n")
    pod.look()
    assert str(pod.logs / "settled.log") not in opened(pod)
    assert len(opened(pod)) == 3


def test_deleted_files_are_held_to_their_end_however_many_others_there_are(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 3)
    pod.look()
    for number in range(3):
        (pod.logs / f"{number}.log").unlink()
    for number in range(3, 30):
        append(pod.logs / f"{number}.log", f"{number} first\n")
    pod.look()
    assert [Path(path).name for path in opened(pod)][:3] == ["0.log", "1.log", "2.log"]
    assert everything(pod) == Counter(f"{number} first" for number in range(30))
    assert not pod.dropped()
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert len(pod.follower.tails) == 27


def test_closed_files_that_are_renamed_are_found_again(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 12)
    pod.look()
    for number in range(12):
        (pod.logs / f"{number}.log").rename(pod.logs / f"{number}.log.1")
        append(pod.logs / f"{number}.log", f"{number} second\n")
    pod.look()
    assert everything(pod) == Counter(f"{number} {word}" for number in range(12) for word in ("first", "second"))
    assert not pod.dropped()


def test_closed_files_that_are_renamed_to_where_the_globs_do_not_match_are_found_again(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 12)
    pod.look()
    for number in range(12):
        (pod.logs / f"{number}.log").rename(pod.logs / f"{number}-old")
    pod.look()
    assert everything(pod) == Counter(f"{number} first" for number in range(12))
    assert not pod.dropped()


def test_closed_files_that_are_copied_and_truncated_go_on_in_their_copies(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 12)
    pod.look()
    for number in range(12):
        log = pod.logs / f"{number}.log"
        shutil.copyfile(log, pod.logs / f"{number}.log.1")
        os.truncate(log, 0)
        append(log, f"{number} second\n")
    pod.look()
    assert everything(pod) == Counter(f"{number} {word}" for number in range(12) for word in ("first", "second"))
    assert not pod.dropped()


def test_a_closed_file_that_every_sink_has_may_be_deleted(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 12)
    pod.look()
    everything(pod)
    for number in range(12):
        (pod.logs / f"{number}.log").unlink()
    pod.look()
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert pod.follower.tails == {}
    assert not pod.dropped()


def test_a_closed_file_that_is_deleted_before_it_was_shipped_is_counted_as_lost(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 12)
    pod.look()
    kept = opened(pod)
    for number in range(12):
        (pod.logs / f"{number}.log").unlink()
    pod.look_until_gone()
    assert everything(pod).keys() == {f"{Path(path).stem} first" for path in kept}
    assert set(pod.dropped()) == {"lost"}


def test_a_new_file_with_the_inode_of_a_closed_one_is_another_file(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 12)
    pod.look()
    everything(pod)
    for number in range(12):
        log = pod.logs / f"{number}.log"
        os.truncate(log, 0)  # what a reused inode looks like
        append(log, f"{number} other content, and longer than before\n")
    pod.look()
    everything(pod)
    assert pod.got["default"].count("7 other content, and longer than before") == 1


async def test_closed_files_go_on_after_a_restart(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 12)
    pod.look()
    pod.ship(batches=1, room=40)
    await pod.restart()
    for number in range(12):
        append(pod.logs / f"{number}.log", f"{number} second\n")
    pod.look()
    assert everything(pod) == Counter(f"{number} {word}" for number in range(12) for word in ("first", "second"))
    assert len(opened(pod)) == 3


def test_a_closed_file_with_an_unfinished_event_is_shipped_when_it_is_over(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MULTILINE="indent", LOGSHIPPER_MULTILINE_TIMEOUT="5s")
    pod.most = 1
    pod.follower.open_files.set_limit(1)
    for number in range(4):
        append(pod.logs / f"{number}.log", f"{number}\n  more\n")
    pod.look()
    assert everything(pod) == Counter()
    pod.look(6)
    assert everything(pod) == Counter({"0": 1, "1": 1, "2": 1, "3": 1, "  more": 4})


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
def test_a_closed_file_that_cannot_be_opened_for_now_keeps_no_sink_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    pod = crowded(tmp_path, 12)
    pod.look()
    closed = [tail.state.path for tail in pod.follower.tails.values() if tail.parked]
    real = LogVolumes.open

    def refuse(volumes: LogVolumes, path: str) -> int:
        if path in closed:
            raise OSError(number, os.strerror(number))
        return real(volumes, path)

    with monkeypatch.context() as patch:
        patch.setattr(LogVolumes, "open", refuse)
        assert len(everything(pod)) == 3
        assert pod.queues["default"].waiting(1000) == 0
        assert pod.ledgers["default"].total.pending > 0
        pod.look()
        assert pod.follower.access.unreadable.keys() == set(closed)
    pod.look()
    assert everything(pod) == Counter(f"{number} first" for number in range(12))
    assert not pod.dropped()


def test_with_more_files_than_descriptors_the_one_that_has_waited_longest_is_read_first(tmp_path: Path) -> None:
    pod = crowded(tmp_path, 0)
    order = ["f", "b", "e", "a", "d", "c"]
    for name in order:
        append(pod.logs / f"{name}.log", f"{name} first\n")
        pod.look()
    assert pod.ship(room=40, batches=1) + pod.ship() == [f"{name} first" for name in order]
    for name in reversed(order):
        append(pod.logs / f"{name}.log", f"{name} second\n")
        pod.look()
    assert pod.ship() == [f"{name} second" for name in reversed(order)]

"""Files that nobody needs for now: they are closed after CLOSE_INACTIVE, and found again by identity and content."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from sidecars.chassis.isolation import file_handles
from sidecars.logshipper.volumes.log_volumes import LogVolumes
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append

QUIET = 300.0  # CLOSE_INACTIVE


def idle(tmp_path: Path, *sinks: str, count: int = 1, **environ: str) -> Pod:
    """A pod whose files were shipped, were quiet for CLOSE_INACTIVE, and are closed."""
    pod = Pod(tmp_path, *sinks, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*.log*", **environ)
    for number in range(count):
        append(pod.logs / f"{number}.log", f"{number} first\n")
    pod.look()
    for sink in pod.names:
        pod.ship(sink)
    pod.look(QUIET + 1)
    assert states(pod) == {"idle": count}
    return pod


def states(pod: Pod) -> dict[str, int]:
    found = pod.follower.open_files.status()
    del found["most"]
    return {state: count for state, count in found.items() if count}


def inode_is_used_again(log: Path, content: str) -> None:
    """Replace a file by another one that has its inode, as after a deletion: truncated, in the eyes of everybody."""
    os.truncate(log, 0)
    append(log, content)


def test_a_file_is_closed_once_every_sink_has_it_and_it_was_quiet(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "up", "down")
    append(pod.log, "1\n")
    pod.look()
    pod.ship("up")
    pod.look(QUIET + 1)
    assert states(pod) == {"open": 1}, "one sink does not have it"
    pod.ship("down")
    pod.look()
    assert states(pod) == {"idle": 1}


def test_a_file_stays_open_while_it_is_written(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    for number in range(5):
        append(pod.log, f"{number}\n")
        pod.look(QUIET / 2)
        pod.ship()
        assert states(pod) == {"open": 1}


def test_a_file_that_is_written_again_is_opened_again(tmp_path: Path) -> None:
    pod = idle(tmp_path, count=30)
    append(pod.logs / "7.log", "7 second\n")
    pod.look()
    assert pod.ship() == ["7 second"]
    assert states(pod) == {"idle": 29, "open": 1}


def test_a_closed_file_that_is_truncated_goes_on_in_its_copy_although_the_kernel_names_it_too(tmp_path: Path) -> None:
    pod = idle(tmp_path)
    log = pod.logs / "0.log"
    (pod.logs / "0.log.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    pod.follower.note_written([(str(pod.logs), "0.log")])
    pod.look()
    append(log, "second\n")
    pod.look()
    assert pod.ship() == ["second"]
    assert not pod.dropped()


def test_the_kernel_names_a_closed_file_that_was_written(tmp_path: Path) -> None:
    pod = idle(tmp_path, count=200)
    append(pod.logs / "150.log", "150 second\n")
    pod.follower.note_written([(str(pod.logs), "150.log"), (str(pod.logs), "unknown")])
    for _ in pod.follower.poll_steps():
        pass
    assert pod.ship() == ["150 second"]


def test_each_closed_file_has_its_turn_to_be_looked_at(tmp_path: Path) -> None:
    pod = idle(tmp_path, count=100)
    append(pod.logs / "99.log", "99 second\n")
    for _ in range(2):
        for _ in pod.follower.poll_steps(pod.follower.open_files.some_parked(many=False)):
            pass
    assert pod.ship() == ["99 second"]


@pytest.mark.parametrize("content", ["1\n", "0 first\n", "0 first\n0 third\n"], ids=["shorter", "equal", "longer"])
def test_another_file_with_the_inode_of_a_closed_one_is_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    pod = idle(tmp_path)
    inode_is_used_again(pod.logs / "0.log", content)
    monkeypatch.setattr(file_handles, "identity", lambda *_: "h:another")
    pod.look()
    pod.look()
    assert "\n".join(pod.ship()) + "\n" == content, "also if its content begins as that of the other one"
    assert not pod.dropped()


def test_without_handles_another_file_with_the_inode_is_told_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_handles, "identity", lambda *_: "")
    pod = idle(tmp_path)
    inode_is_used_again(pod.logs / "0.log", "another file that is longer\n")
    pod.look()
    assert pod.ship() == ["another file that is longer"]


async def test_after_a_restart_another_file_with_the_inode_is_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = idle(tmp_path)
    await pod.store.save()
    pod.kill()
    inode_is_used_again(pod.logs / "0.log", "0 first\n0 third\n")
    monkeypatch.setattr(file_handles, "identity", lambda *_: "h:another")
    pod.begin()
    assert pod.ship() == ["0 first", "0 third"]


def test_closed_files_that_are_rotated_and_deleted_lose_nothing(tmp_path: Path) -> None:
    pod = idle(tmp_path, count=12)
    for number in range(12):
        log = pod.logs / f"{number}.log"
        append(log, f"{number} second\n")
        log.rename(pod.logs / f"{number}.log.1")
        append(log, f"{number} third\n")
    pod.look()
    for number in range(12):
        (pod.logs / f"{number}.log.1").unlink()
    pod.look()
    while pod.ship():
        pass
    assert Counter(pod.got["default"]) == Counter(
        f"{number} {word}" for number in range(12) for word in ("first", "second", "third")
    )
    assert not pod.dropped()
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert len(pod.follower.tails) == 12


def test_a_closed_file_that_is_deleted_is_forgotten(tmp_path: Path) -> None:
    pod = idle(tmp_path)
    (pod.logs / "0.log").unlink()
    pod.look_until_gone()
    assert not pod.follower.tails
    assert not pod.dropped()


def test_what_a_closed_file_had_grown_by_when_it_vanished_is_counted_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = idle(tmp_path)
    append(pod.logs / "0.log", "0 second\n")
    real = LogVolumes.open

    def gone(volumes: LogVolumes, path: str) -> int:
        Path(path).unlink()
        return real(volumes, path)

    with monkeypatch.context() as patch:
        patch.setattr(LogVolumes, "open", gone)
        pod.follower.poll()
    assert pod.ledgers["default"].total.pending == len("0 second\n")
    pod.look_until_gone()
    assert pod.dropped() == {"lost": len("0 second\n")}
    assert not pod.follower.tails


def test_a_file_that_is_written_while_it_is_to_be_closed_stays_open(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    pod.ship()
    append(pod.log, "2\n")
    assert not list(pod.follower.open_files.close_inactive(pod.now + QUIET + 1))
    assert states(pod) == {"open": 1}


def test_deleted_files_that_take_all_descriptors_are_told(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    pod.most = 2
    pod.follower.open_files.set_limit(2)
    for number in range(3):
        append(pod.logs / f"{number}.log", f"{number}\n")
    pod.look()
    assert not pod.follower.open_files.problem()
    for number in range(3):
        (pod.logs / f"{number}.log").unlink()
    pod.look()
    assert states(pod) == {"pinned": 2}
    assert "2 deleted files" in pod.follower.open_files.problem()
    pod.ship()
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert not pod.follower.open_files.problem()

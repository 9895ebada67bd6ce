"""Files through every kind of rotation in one process: the lines, their order, and the saved state."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecars.logshipper.model.file_key import file_key
from sidecars.logshipper.volumes.log_volumes import LogVolumes
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append


def test_lines_are_shipped_when_they_are_whole(pod: Pod) -> None:
    append(pod.log, "one\ntw")
    pod.look()
    assert pod.ship() == ["one"]
    append(pod.log, "o\n")
    pod.look()
    assert pod.ship() == ["two"]


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(pod: Pod) -> None:
    append(pod.log, "1\n")
    pod.look()
    with pod.log.open("a") as writer:
        pod.log.rename(pod.logs / "app.log.1")
        append(pod.log, "3\n")
        writer.write("2\n")
    pod.look()
    assert pod.ship(room=2) == ["1", "2", "3"]


def test_a_deleted_file_is_read_to_its_end(pod: Pod) -> None:
    append(pod.log, "1\n")
    pod.look()
    with pod.log.open("a") as writer:
        pod.log.unlink()
        writer.write("2\n")
    pod.look()
    assert pod.ship() == ["1", "2"]


def test_an_unfinished_line_of_a_rotated_file_is_shipped_when_the_file_has_been_quiet(pod: Pod) -> None:
    append(pod.log, "whole\nlast wor")
    pod.look()
    pod.log.unlink()
    pod.look(ROTATE_WAIT - 2)
    assert pod.ship() == ["whole"]
    pod.look(3)
    assert pod.ship() == ["last wor"]
    pod.look()
    assert pod.follower.tails == {}
    assert not pod.dropped()


def test_an_unfinished_line_of_a_file_in_place_waits_for_ever(pod: Pod) -> None:
    append(pod.log, "half")
    pod.look(10 * ROTATE_WAIT)
    pod.look(10 * ROTATE_WAIT)
    assert pod.ship() == []


def test_a_rotated_file_is_held_for_as_long_as_a_sink_is_down(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "up", "down")
    append(pod.log, "1\n")
    pod.look()
    pod.log.unlink()
    assert pod.ship("up") == ["1"]
    for _ in range(5):
        pod.look(10 * ROTATE_WAIT)
    assert pod.ship("down") == ["1"]
    pod.look()
    assert pod.follower.tails == {}


def test_a_truncated_file_begins_anew(pod: Pod) -> None:
    append(pod.log, "1\n2\n")
    pod.look()
    assert pod.ship() == ["1", "2"]
    os.truncate(pod.log, 0)
    append(pod.log, "3\n")
    pod.look()
    assert pod.ship() == ["3"]
    assert not pod.dropped()


def test_a_file_that_was_truncated_and_refilled_between_two_looks_is_noticed(pod: Pod) -> None:
    append(pod.log, "old 1\nold 2\n")
    pod.look()
    pod.ship()
    os.truncate(pod.log, 0)
    append(pod.log, "new 1\nnew 2\nnew 3\n")
    pod.look()
    assert pod.ship() == ["new 1", "new 2", "new 3"]


def test_what_was_cut_off_before_it_was_read_is_counted(pod: Pod) -> None:
    append(pod.log, "1\n")
    pod.look()
    pod.ship()
    append(pod.log, "never shipped\n")
    pod.look()
    os.truncate(pod.log, 0)
    pod.look()
    assert pod.dropped() == {"lost": len("never shipped\n")}


def test_a_copytruncated_file_goes_on_in_its_copy_inside_or_outside_the_globs(pod: Pod) -> None:
    for copy in ("app.log.1", "app-old.log"):
        append(pod.log, f"1 {copy}\n2 {copy}\n")
        pod.look()
        pod.ship(room=5, batches=1)
        shutil.copyfile(pod.log, pod.logs / copy)
        os.truncate(pod.log, 0)
        append(pod.log, f"3 {copy}\n")
        pod.look()
        pod.ship()
        pod.look(3 * ROTATE_WAIT)
        pod.look()
        pod.ship()
    assert Counter(pod.got["default"]) == Counter(
        f"{number} {copy}" for copy in ("app.log.1", "app-old.log") for number in (1, 2, 3)
    )
    assert not pod.dropped()


def test_a_copy_that_is_shorter_than_what_was_read_is_not_shipped_again(pod: Pod) -> None:
    for number in range(100):
        append(pod.log, f"line {number}\n")
        pod.look(0.1)
    copied = pod.log.read_bytes()
    append(pod.log, "after the copying\n")
    pod.look()
    pod.ship()
    (pod.logs / "app-copy.log").write_bytes(copied)
    os.truncate(pod.log, 0)
    pod.look()
    assert pod.ship() == []
    assert len(pod.got["default"]) == 101


def test_a_copy_in_the_making_is_left_alone_until_it_turns_out_to_be_a_file_of_its_own(pod: Pod) -> None:
    append(pod.log, "banner\nmine\n")
    pod.look()
    pod.ship()
    twin = pod.logs / "twin.log"
    append(twin, "banner\n")
    pod.look()
    assert pod.ship() == []
    append(twin, "its own\n")
    pod.look()
    assert pod.ship() == ["banner", "its own"]


def test_a_file_that_stays_equal_to_the_beginning_of_another_is_shipped_after_a_while(pod: Pod) -> None:
    append(pod.log, "banner\nmine\n")
    append(pod.logs / "twin.log", "banner\n")
    pod.look()
    pod.look(11)
    pod.ship()
    assert Counter(pod.got["default"]) == {"banner": 2, "mine": 1}


def test_a_hole_left_by_copytruncate_is_skipped_and_counted(pod: Pod) -> None:
    append(pod.log, "1\n")
    pod.look()
    pod.ship()
    os.truncate(pod.log, 0)
    pod.look()
    with pod.log.open("r+b") as writer:
        writer.seek(3_000_000)
        writer.write(b"2\n")
    pod.look()
    assert pod.ship() == ["2"]
    assert pod.dropped() == {"hole": 3_000_000}


def test_a_file_that_was_allocated_beforehand_is_read_as_it_fills(pod: Pod) -> None:
    pod.log.write_bytes(b"1\n" + b"\0" * 5000)
    pod.look()
    assert pod.ship() == ["1"]
    with pod.log.open("r+b") as writer:
        writer.seek(2)
        writer.write(b"2\n3")
    os.utime(pod.log, (1, 1))
    pod.look()
    assert pod.ship() == ["2"]
    assert not pod.dropped()


def test_hard_links_and_symlinks_are_one_file(pod: Pod) -> None:
    append(pod.log, "1\n")
    (pod.logs / "b.log").hardlink_to(pod.log)
    (pod.logs / "c.log").symlink_to(pod.log)
    pod.look()
    assert pod.ship() == ["1"]


def test_a_compressed_rotation_is_left_alone(pod: Pod) -> None:
    (pod.logs / "old.log").write_bytes(b"\x1f\x8b\x08 not lines\n")
    pod.look()
    assert pod.ship() == []


def test_an_unreadable_file_is_told_and_read_once_it_can_be(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pod.log, "1\n")
    real = LogVolumes.open

    def refuse(volumes: LogVolumes, path: str) -> int:
        if path == str(pod.log):
            raise PermissionError(13, "Permission denied")
        return real(volumes, path)

    with monkeypatch.context() as patch:
        patch.setattr(LogVolumes, "open", refuse)
        pod.look()
        assert pod.follower.access.unreadable == {str(pod.log): "Permission denied"}
    pod.look()
    assert pod.follower.access.unreadable == {}
    assert pod.ship() == ["1"]


async def test_a_directory_that_may_not_be_read_at_a_restart_hides_files_and_loses_none(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(pod.log, "1\n")
    pod.look()
    pod.ship()
    await pod.store.save()
    append(pod.log, "2\n")
    pod.kill()

    def refuse(_volumes: LogVolumes, _folder: str) -> Iterator[os.DirEntry[str]]:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(LogVolumes, "is_readable", lambda _self, _folder: False)
        patch.setattr(LogVolumes, "scan", refuse)
        pod.begin()
        pod.look()
        assert str(pod.logs) in pod.follower.access.unreadable
    pod.look()
    assert pod.ship() == ["2"]
    assert pod.dropped() == {}


def test_excluded_files_and_directories_are_not_followed(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_EXCLUDE="*/gc*.log")
    append(pod.logs / "gc-1.log", "1\n")
    (pod.logs / "folder.log").mkdir()
    pod.look()
    assert pod.follower.tails == {}


async def test_start_at_end_begins_with_the_first_line_that_is_finished_afterwards(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    append(tmp_path / "logs" / "app.log", "old\nbeing writ")
    pod = Pod(tmp_path, LOGSHIPPER_START_AT="end")
    pod.look()
    append(pod.log, "ten\n")
    append(pod.logs / "new.log", "a new file\n")
    pod.look()
    assert Counter(pod.ship()) == Counter(["being written", "a new file"])
    await pod.restart()
    append(pod.logs / "newer.log", "found after a restart\n")
    pod.look()
    assert pod.ship() == ["found after a restart"]


def test_two_files_that_are_equal_when_the_pod_ends_are_both_shipped(pod: Pod) -> None:
    append(pod.log, "started\n")
    append(pod.logs / "other.log", "started\n")
    pod.look()
    pod.follower.finish()
    assert pod.ship() == ["started", "started"]


def test_a_file_whose_unused_end_is_cut_off_is_not_read_again(pod: Pod) -> None:
    """NULs of a writer that maps a region of the file, and truncates the file when it closes it."""
    pod.log.write_bytes(b"1\n2\n" + b"\0" * 5000)
    pod.look()
    assert pod.ship() == ["1", "2"]
    os.truncate(pod.log, 4)
    pod.look()
    append(pod.log, "3\n")
    pod.look()
    assert pod.ship() == ["3"]
    assert pod.dropped() == {"hole": 5000}


async def test_a_file_whose_unused_end_was_cut_off_while_we_were_down_is_not_read_again(pod: Pod) -> None:
    pod.log.write_bytes(b"1\n2\n" + b"\0" * 5000)
    pod.look()
    pod.ship()
    await pod.restart()
    pod.kill()
    os.truncate(pod.log, 4)
    append(pod.log, "3\n")
    pod.begin()
    assert pod.ship() == ["3"]
    assert pod.dropped() == {"hole": 4998}


def test_the_unfinished_line_of_a_rotated_file_is_shipped_however_many_nuls_follow(pod: Pod) -> None:
    pod.log.write_bytes(b"last wor" + b"\0" * 5000)
    pod.look()
    pod.log.unlink()
    pod.look(ROTATE_WAIT + 1)
    assert pod.ship(room=10) == ["last wor"]
    pod.look()
    assert pod.follower.tails == {}
    assert pod.dropped() == {"hole": 5000}


def test_a_file_that_opens_and_cannot_be_read_is_told_and_stops_nothing(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(pod.log, "1\n")
    append(pod.logs / "broken.log", "2\n")
    real, broken = os.pread, file_key((pod.logs / "broken.log").stat())

    def fail(descriptor: int, length: int, offset: int) -> bytes:
        if file_key(os.fstat(descriptor)) == broken:
            raise OSError(5, "Input/output error")
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", fail)
    pod.look()
    pod.look()
    assert pod.follower.access.unreadable == {str(pod.logs / "broken.log"): "Input/output error"}
    assert pod.ship() == ["1"]

"""Races between a rotation and a scan or a read: no line is lost and none is shipped twice."""

from __future__ import annotations

import gzip
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from sidecars.logshipper.volumes.log_volumes import LogVolumes
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_a_rotated_file_that_is_renamed_again_before_it_was_read(tmp_path: Path, pattern: str) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/{pattern}")
    for number in range(1, 5):
        append(pod.log, f"{number}\n")
        pod.look()
        pod.rotate()
    append(pod.log, "5\n")
    pod.look()
    assert pod.ship(room=2) == ["1", "2", "3", "4", "5"]


async def test_rotated_files_that_are_renamed_again_while_we_are_down(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    for number in range(1, 4):
        append(pod.log, f"{number}\n")
        pod.look()
        pod.rotate()
    await pod.restart()
    pod.kill()
    append(pod.log, "4\n")
    pod.rotate()
    append(pod.log, "5\n")
    pod.begin()
    assert Counter(pod.ship(room=2)) == Counter("12345")
    assert not pod.dropped()


def test_delete_and_recreate_between_two_looks(pod: Pod) -> None:
    append(pod.log, "1\n")
    pod.look()
    with pod.log.open("a") as old:
        pod.log.unlink()
        append(pod.log, "3\n")
        old.write("2\n")
    pod.look()
    assert pod.ship(room=2) == ["1", "2", "3"]


def test_a_file_that_is_recreated_with_the_very_same_first_lines_is_another_file(pod: Pod) -> None:
    """A file is not skipped because it begins like another: a checksum of the first line alone would do that."""
    append(pod.log, "banner\n1\n")
    pod.look()
    pod.ship()
    pod.log.unlink()
    append(pod.log, "banner\n2\n")
    pod.look()
    assert pod.ship() == ["banner", "2"]


def test_a_file_that_is_cut_between_the_look_and_the_read(pod: Pod) -> None:
    """The race of copytruncate: after the size was polled, the bytes are gone or others when they are read."""
    append(pod.log, "1\n2\n")
    pod.look()
    assert pod.ship(room=2, batches=1) == ["1"]
    shutil.copyfile(pod.log, pod.logs / "app.log.1")
    os.truncate(pod.log, 0)
    append(pod.log, "33333\n")
    assert pod.ship() == [], "the read itself notices"
    assert pod.ship() == ["2", "33333"], "and goes on in the copy"
    assert not pod.dropped()


def test_a_file_that_vanishes_between_being_listed_and_being_opened(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pod.log, "1\n")
    append(pod.logs / "short-lived.log", "gone\n")
    real = LogVolumes.open

    def vanish(volumes: LogVolumes, path: str) -> int:
        if path.endswith("short-lived.log"):
            Path(path).unlink()
        return real(volumes, path)

    with monkeypatch.context() as patch:
        patch.setattr(LogVolumes, "open", vanish)
        pod.look()
    assert pod.ship() == ["1"]
    assert pod.follower.access.unreadable == {}


def compress(path: Path, *, keep: bool = False) -> None:
    """Compress a file as gzip does: a new file grows beside the old one, which is then removed."""
    packed = path.with_name(f"{path.name}.gz")
    packed.touch()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    if not keep:
        path.unlink()


def test_a_rotated_file_that_is_compressed_before_it_was_read_is_shipped_once(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    append(pod.log, "1\n2\n")
    pod.look()
    rotated = pod.log.rename(pod.logs / "app.log.1")
    append(pod.log, "3\n")
    (pod.logs / "app.log.1.gz").touch()
    pod.look()
    compress(rotated, keep=True)
    pod.look()
    rotated.unlink()
    pod.look()
    assert Counter(pod.ship()) == Counter("123")
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert pod.ship() == []
    assert not pod.dropped()


async def test_a_rotated_file_that_is_compressed_while_we_are_down_is_not_shipped_twice(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    append(pod.log, "1\n2\n")
    pod.look()
    pod.ship()
    await pod.restart()
    pod.kill()
    compress(pod.log.rename(pod.logs / "app.log.1"))
    append(pod.log, "3\n")
    pod.begin()
    assert pod.ship() == ["3"]
    assert not pod.dropped()


@pytest.mark.parametrize(
    "first", [b"\x1f\x8b", b"\x1f\x9d", b"BZh9", b"PK\x03\x04", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"]
)
def test_compressed_files_are_known_by_their_first_bytes_whatever_their_name(pod: Pod, first: bytes) -> None:
    (pod.logs / "x.log").write_bytes(first + b" not lines\n")
    pod.look()
    assert pod.ship() == []

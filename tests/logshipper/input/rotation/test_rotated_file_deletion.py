"""DELETE_DELIVERED: a rotated file is deleted once every sink has all of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from sidecars.chassis.isolation.beneath import Root
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append


def fails(*_: object) -> NoReturn:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def deleting(tmp_path: Path, *sinks: str) -> Pod:
    pod = Pod(tmp_path, *sinks, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    pod.kill()
    pod.delete = True
    pod.begin()
    return pod


def test_a_rotated_file_is_deleted_when_the_last_sink_has_all_of_it(tmp_path: Path) -> None:
    pod = deleting(tmp_path, "up", "down")
    append(pod.log, "1\n")
    pod.look()
    rotated = pod.log.rename(pod.logs / "app.log.1")
    append(pod.log, "2\n")
    pod.look()
    pod.ship("up")
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert rotated.exists()
    pod.ship("down")
    pod.look()
    assert not rotated.exists()
    assert pod.log.exists(), "the log itself never is"
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert [tail.state.first_path for tail in pod.follower.tails.values()] == [str(pod.log)]


def test_a_rotated_file_that_is_a_log_again_is_not_deleted(tmp_path: Path) -> None:
    """A loss of power can undo the renaming of a rotation: the app then goes on in the file, which was seen rotated."""
    pod = deleting(tmp_path)
    append(pod.logs / "app.log.1", "1\n")
    pod.look()
    pod.ship()
    (pod.logs / "app.log.1").rename(pod.log)
    pod.look()
    for _ in range(2):
        pod.look(ROTATE_WAIT + 1)
    assert pod.log.exists()
    append(pod.log, "2\n")
    pod.look()
    assert pod.ship() == ["2"]


def test_what_is_written_to_a_file_after_its_deletion_is_still_shipped(tmp_path: Path) -> None:
    """The writer holds the rotated file open for longer than ROTATE_WAIT."""
    pod = deleting(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    with pod.log.open("a") as late:
        rotated = pod.log.rename(pod.logs / "app.log.1")
        pod.look()
        pod.ship()
        pod.look(ROTATE_WAIT + 1)
        assert not rotated.exists()
        late.write("2\n")
    pod.look()
    assert pod.ship() == ["2"]


def test_another_file_that_took_the_name_just_before_the_deletion_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = deleting(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    rotated = pod.log.rename(pod.logs / "app.log.1")
    append(pod.log, "2\n")
    pod.look()
    pod.ship()
    real = os.rename

    def rotate_first(source: str, target: str, **directories: int) -> None:
        monkeypatch.setattr(os, "rename", real)
        pod.rotate()
        real(source, target, **directories)

    monkeypatch.setattr(os, "rename", rotate_first)
    pod.look(ROTATE_WAIT + 1)
    assert rotated.read_text() == "2\n"
    assert (pod.logs / "app.log.2").exists(), "it is looked for under its new name next time"
    pod.look()
    assert not (pod.logs / "app.log.2").exists()


def test_a_rotated_file_that_cannot_be_deleted_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = deleting(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    rotated = pod.log.rename(pod.logs / "app.log.1")
    pod.look()
    pod.ship()

    def refuse(_source: str, _target: str, **_directories: int) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "rename", refuse)
    pod.look(ROTATE_WAIT + 1)
    assert pod.follower.access.unreadable == {str(rotated): "Read-only file system"}
    append(pod.log, "2\n")
    pod.look()
    assert pod.ship() == ["2"]


def test_the_log_itself_is_not_deleted_when_its_directory_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing without the log is no rotation: the volume failed for a moment."""
    pod = deleting(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    pod.ship()
    with monkeypatch.context() as failing:
        failing.setattr(Root, "scan", fails)
        pod.look(ROTATE_WAIT + 1)
    assert pod.log.exists()


def test_a_line_that_is_being_written_is_not_cut_when_its_directory_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = deleting(tmp_path)
    append(pod.log, "1\n2")
    pod.look()
    with monkeypatch.context() as failing:
        failing.setattr(Root, "scan", fails)
        pod.look(ROTATE_WAIT + 1)
        assert pod.ship() == ["1"]
    append(pod.log, "3\n")
    pod.look()
    assert pod.ship() == ["23"]

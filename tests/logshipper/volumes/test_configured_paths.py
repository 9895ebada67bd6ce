"""Directories that the operator names, with links in their paths: those of the image, of root, and of the app."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecars.chassis.isolation.beneath import LeavesRoot, Root
from sidecars.logshipper.volumes import configured_paths
from sidecars.logshipper.volumes.configured_paths import ConfiguredDirectory
from sidecars.logshipper.volumes.log_volumes import LogVolumes
from tests.support import wait_until


@pytest.fixture
def on_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that counts as one of the image, wherever the tests have theirs."""
    monkeypatch.setattr(configured_paths, "_device_of_the_image", lambda _root: tmp_path.stat().st_dev)
    return tmp_path


@pytest.fixture
def on_a_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that counts as one of a volume."""
    monkeypatch.setattr(configured_paths, "_device_of_the_image", lambda _root: -1)
    monkeypatch.setattr(configured_paths, "_is_of_root", lambda _status: False)
    return tmp_path


def names(path: Path) -> list[str]:
    with configured_paths.open_directory(str(path)) as opened:
        return sorted(entry.name for entry in opened.scan())


def linked(folder: Path) -> Path:
    """Make `folder/link`, which leads to `folder/real`, with one file."""
    (folder / "real").mkdir()
    (folder / "real" / "a.log").touch()
    (folder / "link").symlink_to("real")
    return folder / "link"


def later_than(path: Path) -> bool:
    """Return True if a file that is changed now gets a later time than the path has: kernels count in ticks."""
    clock = path.parent / "clock"
    clock.write_text("")
    return clock.lstat().st_ctime_ns > path.lstat().st_ctime_ns


def test_a_link_of_the_image_is_followed(on_the_image: Path) -> None:
    assert names(linked(on_the_image)) == ["a.log"]
    (on_the_image / "absolute").symlink_to(on_the_image / "real" / ".." / "link")
    assert names(on_the_image / "absolute") == ["a.log"]


def test_a_link_on_a_volume_is_not_followed(on_a_volume: Path) -> None:
    path = linked(on_a_volume)
    with pytest.raises(LeavesRoot, match="the app may have made it"):
        names(path)
    assert names(on_a_volume / "real") == ["a.log"]


def test_a_link_of_root_on_a_volume_is_followed(on_a_volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configured_paths, "_is_of_root", lambda _status: True)
    assert names(linked(on_a_volume)) == ["a.log"]


def test_a_circle_of_links_ends(on_the_image: Path) -> None:
    (on_the_image / "a").symlink_to("b")
    (on_the_image / "b").symlink_to("a")
    with pytest.raises(LeavesRoot):
        names(on_the_image / "a")


def test_a_link_that_is_swapped_while_it_is_read_is_not_followed_either_without_o_path(
    on_the_image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app puts a link of its own in the place of the image's for as long as `readlink` takes."""
    path = linked(on_the_image)
    evil = on_the_image / "evil"
    evil.symlink_to("/etc")
    wait_until(lambda: later_than(evil), "the clock of the file system goes on")
    read = os.readlink

    def swapped(name: str, *, dir_fd: int) -> str:
        path.rename(on_the_image / "away")
        evil.rename(path)
        target = read(name, dir_fd=dir_fd)
        path.rename(evil)
        (on_the_image / "away").rename(path)
        return target

    monkeypatch.setattr(configured_paths, "PATH_ONLY", 0)
    assert names(path) == ["a.log"]
    monkeypatch.setattr(os, "readlink", swapped)
    with pytest.raises(LeavesRoot, match="the app may have made it"):
        names(path)


def test_what_is_missing_is_made_with_the_mode(on_the_image: Path) -> None:
    with configured_paths.open_directory(str(on_the_image / "x" / "y"), create=True) as opened:
        assert opened.status().st_mode & 0o777 == 0o700
    with pytest.raises(FileNotFoundError):
        names(on_the_image / "z")


def test_a_directory_that_is_replaced_is_opened_again_and_one_that_is_gone_is_closed(on_the_image: Path) -> None:
    path = on_the_image / "logs"
    directory = ConfiguredDirectory(str(path))
    with pytest.raises(FileNotFoundError):
        directory.refresh()
    path.mkdir()
    directory.refresh()
    first = directory.root
    directory.refresh()
    assert directory.root is first
    path.rename(on_the_image / "was")
    path.mkdir()
    (path / "new.log").touch()
    assert [entry.name for entry in directory.opened().scan()] == ["new.log"]
    path.rename(on_the_image / "was-2")
    with pytest.raises(FileNotFoundError):
        directory.refresh()
    assert directory.root is None


@pytest.mark.processes
def test_one_mount_for_state_and_logs_is_told(small_volume: Path, tmp_path: Path) -> None:
    (small_volume / "logs").mkdir()
    (small_volume / "state").mkdir()
    volumes = LogVolumes([str(small_volume / "logs")])
    with Root.open(small_volume / "state") as beside, Root.open(tmp_path) as elsewhere:
        assert volumes.on_the_mount_of(beside) == [str(small_volume / "logs")]
        assert volumes.on_the_mount_of(elsewhere) == []
    volumes.close()


@pytest.mark.processes
def test_a_link_that_the_app_put_into_the_path_of_a_glob_is_not_followed_on_a_real_volume(small_volume: Path) -> None:
    """The base of `/volume/link/*.log` is within the app's reach; this process and the app have one uid."""
    path = linked(small_volume)
    with pytest.raises(LeavesRoot):
        names(path)

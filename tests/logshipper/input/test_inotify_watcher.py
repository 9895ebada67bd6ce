"""The inotify watcher: the events that wake the loop. Everything works without them, only later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import inotify_simple
import pytest

from sidecars.logshipper.input import inotify_watcher
from sidecars.logshipper.input.inotify_watcher import Watcher
from tests.logshipper.support import append

LONG = 30.0  # seconds; a time-out that is not reached if an event comes


@pytest.fixture
async def watcher(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watcher]:
    def refuse(_name: str) -> str:
        raise FileNotFoundError(2, "a confined process starts no ldconfig and no compiler")

    monkeypatch.setattr(inotify_simple, "_libc", None)
    monkeypatch.setattr(inotify_simple, "find_library", refuse)
    made = Watcher()
    yield made
    made.close()


async def woken(watcher: Watcher) -> None:
    async with asyncio.timeout(LONG / 2):
        await watcher.wait(LONG)


async def test_of_very_many_directories_some_are_watched(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify_watcher, "_MOST_WATCHED", 3)
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        folder.mkdir()
    assert watcher.watch(map(str, folders))
    assert len(watcher._watches) == 3
    assert not watcher.watch(map(str, folders)), "these three stay"


async def test_a_line_wakes_and_changes_no_name(watcher: Watcher, tmp_path: Path) -> None:
    append(tmp_path / "app.log", "1\n")
    watcher.watch([str(tmp_path)])
    watcher.take()
    append(tmp_path / "app.log", "2\n")
    await woken(watcher)
    assert watcher.take() is False


@pytest.mark.parametrize("act", ["create", "rename", "delete"])
async def test_a_name_that_comes_changes_or_goes_is_told(watcher: Watcher, tmp_path: Path, act: str) -> None:
    log = tmp_path / "app.log"
    append(log, "1\n")
    watcher.watch([str(tmp_path)])
    watcher.take()
    if act == "create":
        append(tmp_path / "new.log", "1\n")
    elif act == "rename":
        log.rename(tmp_path / "app.log.1")
    else:
        log.unlink()
    await woken(watcher)
    assert watcher.take() is True


async def test_a_directory_that_is_removed_and_comes_again_is_watched_again(watcher: Watcher, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    watcher.watch([str(folder)])
    watcher.take()
    folder.rmdir()
    await woken(watcher)
    assert watcher.take() is True
    folder.mkdir()
    watcher.watch([str(folder)])
    watcher.take()
    append(folder / "app.log", "1\n")
    await woken(watcher)


async def test_what_is_no_longer_to_be_watched_wakes_nobody(watcher: Watcher, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    watcher.watch([str(tmp_path / "old")])
    watcher.watch([str(tmp_path / "new"), str(tmp_path / "absent")])
    watcher.take()
    watcher.take()
    append(tmp_path / "old" / "app.log", "1\n")
    await watcher.wait(0.05)
    assert watcher.take() is False
    append(tmp_path / "new" / "app.log", "1\n")
    await woken(watcher)


async def test_whoever_is_woken_does_not_wait(watcher: Watcher) -> None:
    watcher.wake()
    await woken(watcher)


async def test_where_no_inotify_is_left_it_only_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(**_options: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify_watcher, "INotify", refuse)
    watcher = Watcher()
    watcher.watch([str(tmp_path)])
    append(tmp_path / "app.log", "1\n")
    await watcher.wait(0.05)
    assert watcher.take() is False
    watcher.wake()
    await woken(watcher)
    watcher.close()


async def test_of_very_many_events_some_are_taken_and_the_others_wake_at_once(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify_watcher, "_MOST_READ", 256)
    watcher.watch([str(tmp_path)])
    watcher.take()
    append(tmp_path / "app.log", "1\n")
    for _ in range(50):
        append(tmp_path / "app.log", "1\n")
        append(tmp_path / "other.log", "1\n")
    (tmp_path / "app.log").rename(tmp_path / "app.log.1")
    looks = [watcher.take()]
    while not looks[-1] or len(looks) < 3:
        await woken(watcher)
        looks.append(watcher.take())
    assert len(looks) > 5

"""The store: the state after a crash, states that are refused, and a full disk."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from sidecars.chassis.isolation.beneath import Root
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.model.fingerprint import Fingerprint
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.snapshot_file import SNAPSHOT, SnapshotFile
from sidecars.logshipper.state.store import Store

FILE = FileState("f1", "/logs/a.log", "/logs/a.log", "default", 1, 2)


def opened(folder: Path) -> Store:
    store = Store(folder, "LOGSHIPPER_STATE_DIR")
    store.open()
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    running = opened(tmp_path / "state")
    yield running
    running.close()


def done(store: Store, offset: int) -> None:
    """Note a decision of the sink in the state and in the journal."""
    store.state.files.setdefault(FILE.generation, FILE)
    entry = checkpoint.done_entry("default", {FILE.generation: Fingerprint(offset, 0, "")}, None)
    checkpoint.apply(store.state, entry)
    store.append(entry)


def reopened(store: Store) -> Store:
    store.close()
    return opened(store._folder)


def position(store: Store) -> int:
    return store.state.files[FILE.generation].positions["default"].offset


async def test_what_was_appended_after_the_last_snapshot_survives_kill_nine(store: Store) -> None:
    await store.save()
    store.append(checkpoint.file_entry(FILE))
    done(store, 10)
    store = reopened(store)
    assert position(store) == 10
    assert not store.is_fresh
    store.close()


async def test_kill_nine_between_a_new_journal_and_its_snapshot_loses_nothing(store: Store, tmp_path: Path) -> None:
    done(store, 1)
    await store.save()
    done(store, 2)
    store._begin_journal()  # and no snapshot
    done(store, 3)
    store = reopened(store)
    assert position(store) == 3
    store.close()


async def test_old_journals_are_removed(store: Store, tmp_path: Path) -> None:
    for offset in range(5):
        done(store, offset)
        assert await store.save()
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["journal-5", "lock", SNAPSHOT]


async def test_journals_of_a_state_that_was_removed_are_not_taken_for_ours(store: Store, tmp_path: Path) -> None:
    for offset in range(5):
        done(store, offset)
        assert await store.save()
    done(store, 5)
    (tmp_path / "state" / SNAPSHOT).unlink()
    store = reopened(store)
    assert store.is_fresh
    assert await store.save()
    store = reopened(store)
    assert store.state.files == {}
    store.close()


async def test_a_journal_that_cannot_be_read_is_a_sentence(store: Store, tmp_path: Path) -> None:
    await store.save()
    (tmp_path / "state" / "journal-9").mkdir()
    store.close()
    with pytest.raises(IOFailed, match="journal-9 cannot be read"):
        opened(tmp_path / "state")


@pytest.mark.parametrize("is_fresh", [True, False])
async def test_a_directory_that_cannot_be_listed_is_a_sentence(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_fresh: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    if not is_fresh:
        await store.save()
    store.close()

    def scan(_root: Root) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Root, "scan", scan)
    with pytest.raises(IOFailed, match="cannot be listed: Input/output error"):
        opened(tmp_path / "state")


async def test_a_journal_torn_by_a_loss_of_power_gives_what_is_whole(store: Store, tmp_path: Path) -> None:
    await store.save()
    store.append(checkpoint.file_entry(FILE))
    done(store, 1)
    done(store, 2)
    journal = tmp_path / "state" / "journal-1"
    journal.write_bytes(journal.read_bytes()[:-5])
    store = reopened(store)
    assert position(store) == 1
    store.close()


@pytest.mark.parametrize("content", [b"", b"{", b"nonsense\n", b"\0" * 100])
async def test_a_torn_snapshot_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SNAPSHOT).write_bytes(content)
    with pytest.raises(IOFailed, match=rf"LOGSHIPPER_STATE_DIR={tmp_path}: {SNAPSHOT} .*torn; restore it, or remove"):
        opened(tmp_path)


def test_a_directory_in_use_by_another_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(IOFailed, match="in use by another logshipper"):
        opened(tmp_path / "state")


async def test_a_failing_disk_is_told_and_healed_from_and_costs_no_position(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(checkpoint.file_entry(FILE))
    done(store, 1)
    assert await store.save()
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        """Write half of the line, then fail."""
        real(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        done(store, 2)
        assert "No space left" in store.problem
    done(store, 3)
    assert store.problem, "only a snapshot heals: an entry is missing on the disk"
    assert await store.save()
    assert not store.problem
    done(store, 4)
    store = reopened(store)
    assert position(store) == 4
    store.close()


async def test_an_entry_that_is_lost_while_a_snapshot_is_written_is_still_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot may have the state from before. Only the next one makes up for the entry."""

    def full(_descriptor: int, _line: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    finish = SnapshotFile.finish

    def finish_while_the_disk_is_full(self: SnapshotFile, journal: int) -> None:
        with monkeypatch.context() as failing:
            failing.setattr("sidecars.logshipper.state.store._write_whole", full)
            done(store, 10)
        finish(self, journal)

    await store.save()
    store.append(checkpoint.file_entry(FILE))
    with monkeypatch.context() as slow:
        slow.setattr(SnapshotFile, "finish", finish_while_the_disk_is_full)
        assert await store.save()
    assert "No space left" in store.problem

    assert await store.save()
    assert not store.problem


async def test_entries_after_a_failed_one_are_not_hidden_by_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    done(store, 1)
    await store.save()
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        done(store, 2)
    done(store, 3)
    store = reopened(store)
    assert position(store) == 3
    store.close()


async def test_a_snapshot_that_cannot_be_written_leaves_the_old_one(store: Store, tmp_path: Path) -> None:
    done(store, 1)
    await store.save()
    before = (tmp_path / "state" / SNAPSHOT).read_bytes()
    (tmp_path / "state" / "positions.json.new").mkdir()
    done(store, 2)
    assert not await store.save()
    assert not await store.save()
    assert (tmp_path / "state" / SNAPSHOT).read_bytes() == before
    journals = list((tmp_path / "state").glob("journal-*"))
    assert len(journals) <= 2, "a disk that stays full does not fill up with journals"
    store = reopened(store)
    assert position(store) == 2
    store.close()


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EMFILE, "raise the container's limit of open files (ulimit -n)"),
        (errno.ENOSPC, "make room there"),
        (errno.EROFS, "mount a writable volume there"),
    ],
)
async def test_a_state_that_cannot_be_saved_says_what_to_do_about_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, cure: str
) -> None:
    store = Store(tmp_path, "LOGSHIPPER_STATE_DIR")
    store.open()

    def refuse(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Root, "create", refuse)
        assert not await store.save()
    assert store.problem.startswith(f"LOGSHIPPER_STATE_DIR={tmp_path}: ")
    assert store.problem.endswith(f"{os.strerror(number)}; {cure}")
    store.close()


async def test_changes_while_the_snapshot_is_written_are_in_it_or_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_PIECE", 1)
    store = opened(tmp_path / "state")
    for number in range(6):
        store.add_file(FileState(f"f{number}", f"/logs/{number}", f"/logs/{number}", "default", 1, number))
    saving = asyncio.create_task(store.save())
    new = tmp_path / "state" / "positions.json.new"
    while not new.exists() or b'"f2"' not in new.read_bytes():  # noqa: ASYNC110 - a thread writes it
        await asyncio.sleep(0)  # until some of the files are written, and the others are not
    store.forget_file("f0")
    store.forget_file("f5")
    store.add_file(FileState("new", "/logs/new", "/logs/new", "default", 1, 9))
    for number in (1, 4):
        store.state.files[f"f{number}"].path = "/logs/moved"
        store.record_file(store.state.files[f"f{number}"])
    assert not saving.done()
    assert await saving
    store.close()
    again = opened(tmp_path / "state")
    assert {name: file.path for name, file in again.state.files.items()} == {
        "f1": "/logs/moved",
        "f2": "/logs/2",
        "f3": "/logs/3",
        "f4": "/logs/moved",
        "new": "/logs/new",
    }
    again.close()


async def test_two_snapshots_at_once_are_written_one_after_the_other(store: Store, tmp_path: Path) -> None:
    for number in range(300):
        store.add_file(FileState(f"f{number}", f"/logs/{number}", f"/logs/{number}", "default", 1, number))
    assert all(await asyncio.gather(store.save(), store.save(), store.save()))
    store.close()
    again = opened(tmp_path / "state")
    assert again.state.files == store.state.files
    again.close()


async def test_a_snapshot_that_is_cancelled_does_not_harm_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_PIECE", 1)
    store = opened(tmp_path / "state")
    for number in range(50):
        store.add_file(FileState(f"f{number}", f"/logs/{number}", f"/logs/{number}", "default", 1, number))
    for turns in range(1, 40):
        saving = asyncio.create_task(store.save())
        for _ in range(turns):
            await asyncio.sleep(0)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
    assert await store.save()
    assert await store.save()
    store.close()
    again = opened(tmp_path / "state")
    assert again.state.files == store.state.files
    again.close()

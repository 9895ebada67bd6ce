"""The sink file:///directory: acceptance, crashes, full disks and rotation."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.local.file import FileSink
from sidecars.logshipper.sinks.local.numbered_rotation import NumberedRotation
from tests.logshipper.support import a_batch, a_chunk, full_disk


def batch(text: str, start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start))


def messages(path: Path) -> list[str]:
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


def file_sink(folder: Path, size: int | None = None, keep: int | None = None) -> FileSink:
    path = folder / "out" / "logshipper.ndjson"
    return FileSink(path, "LOGSHIPPER_SINK", NumberedRotation(path.name, size, keep))


async def test_the_file_sink_appends_and_a_restart_goes_on(tmp_path: Path) -> None:
    sink = file_sink(tmp_path)
    receipt = await sink.open(None)
    receipt = (await sink.deliver(batch("1\n"))).receipt
    await sink.close()
    await sink.open(receipt)
    await sink.deliver(batch("2\n", 2))
    await sink.close()
    assert messages(tmp_path / "out" / "logshipper.ndjson") == ["1", "2"]


@pytest.mark.parametrize("torn", [b'{"id":"f', b'{"id":"f00d-2","message":"2"}\n'])
async def test_the_file_sink_cuts_off_what_was_not_acknowledged(tmp_path: Path, torn: bytes) -> None:
    """The process is killed in a write, or between the write and the saving of the position."""
    sink = file_sink(tmp_path)
    await sink.open(None)
    receipt = (await sink.deliver(batch("1\n"))).receipt
    await sink.close()
    path = tmp_path / "out" / "logshipper.ndjson"
    with path.open("ab") as file:
        file.write(torn)
    await sink.open(json.loads(json.dumps(receipt)))
    await sink.deliver(batch("2\n", 2))
    await sink.close()
    assert messages(path) == ["1", "2"]


async def test_the_file_sink_never_cuts_a_file_that_its_receipt_is_not_about(tmp_path: Path) -> None:
    sink = file_sink(tmp_path)
    await sink.open(None)
    receipt = (await sink.deliver(batch("1\n"))).receipt
    await sink.close()
    path = tmp_path / "out" / "logshipper.ndjson"
    path.write_text('{"message":"of somebody else, and longer than ours was"}\n{"message":"more"}\n{"torn')
    await sink.open(receipt)
    await sink.deliver(batch("2\n", 2))
    await sink.close()
    lines = path.read_text().splitlines()
    assert lines[2] == '{"torn'
    assert json.loads(lines[3])["message"] == "2"


async def test_the_file_sink_goes_on_in_a_new_file_when_its_own_was_moved(tmp_path: Path) -> None:
    sink = file_sink(tmp_path)
    await sink.open(None)
    await sink.deliver(batch("1\n"))
    path = tmp_path / "out" / "logshipper.ndjson"
    path.rename(path.with_name("rotated"))
    await sink.deliver(batch("2\n", 2))
    await sink.close()
    assert (messages(path.with_name("rotated")), messages(path)) == (["1"], ["2"])


async def test_a_second_writer_of_the_same_file_is_refused(tmp_path: Path) -> None:
    first, second = file_sink(tmp_path), file_sink(tmp_path)
    await first.open(None)
    with pytest.raises(IOFailed, match="being written by another logshipper"):
        await second.open(None)
    await first.close()


async def test_a_directory_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("not a directory")
    with pytest.raises(IOFailed, match=r"^LOGSHIPPER_SINK: .*cannot be written"):
        await file_sink(tmp_path).open(None)


async def test_a_full_disk_is_tried_again_and_leaves_nothing_torn_even_until_then(tmp_path: Path) -> None:
    sink = file_sink(tmp_path)
    await sink.open(None)
    await sink.deliver(batch("1\n"))
    path = tmp_path / "out" / "logshipper.ndjson"
    whole = path.read_bytes()
    with full_disk(), pytest.raises(RetryLater, match="No space left on device"):
        await sink.deliver(batch("2\n", 2))
    assert path.read_bytes() == whole
    await sink.deliver(batch("2\n", 2))
    await sink.close()
    assert messages(path) == ["1", "2"]


async def test_a_disk_that_cannot_be_flushed_leaves_nothing_that_was_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = file_sink(tmp_path)
    await sink.open(None)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _no_device)
        with pytest.raises(RetryLater, match="Input/output error"):
            await sink.deliver(batch("1\n"))
    assert (tmp_path / "out" / "logshipper.ndjson").read_bytes() == b""
    await sink.close()


def _no_device(_descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


async def test_a_file_that_could_not_be_begun_is_begun_on_a_new_line_later(tmp_path: Path) -> None:
    """While the disk was full, another program put a file with a torn line in place of ours."""
    sink = file_sink(tmp_path)
    await sink.open(None)
    await sink.deliver(batch("1\n"))
    path = tmp_path / "out" / "logshipper.ndjson"
    path.rename(path.with_name("ours"))
    path.write_text('{"torn')
    with full_disk(nothing=True), pytest.raises(RetryLater, match="No space left on device"):
        await sink.deliver(batch("2\n", 2))
    await sink.deliver(batch("2\n", 2))
    await sink.close()
    torn, line = path.read_text().splitlines()
    assert (torn, json.loads(line)["message"]) == ('{"torn', "2")


ROOM = 150  # bytes: for two of the records below


def files(folder: Path) -> dict[str, list[str]]:
    return {path.name: messages(path) for path in sorted((folder / "out").iterdir())}


async def test_the_file_is_rotated_before_a_batch_that_it_has_no_room_for(tmp_path: Path) -> None:
    sink = file_sink(tmp_path, ROOM)
    await sink.open(None)
    for number in range(5):
        await sink.deliver(batch(f"{number}\n", number * 2))
    await sink.deliver(batch("large\n" * 10, 10))
    await sink.close()
    assert files(tmp_path) == {
        "logshipper.000001.ndjson": ["0", "1"],
        "logshipper.000002.ndjson": ["2", "3"],
        "logshipper.000003.ndjson": ["4"],
        "logshipper.ndjson": ["large"] * 10,
    }


async def test_only_so_many_rotated_files_are_kept_and_their_numbers_only_rise(tmp_path: Path) -> None:
    for start in (0, 4):
        sink = file_sink(tmp_path, ROOM, keep=1)
        await sink.open(None)
        for number in range(start, start + 4):
            await sink.deliver(batch(f"{number}\n", number * 2))
        await sink.close()
    assert files(tmp_path) == {"logshipper.000003.ndjson": ["4", "5"], "logshipper.ndjson": ["6", "7"]}


@pytest.mark.parametrize("unsaved", [1, 2, 3, 5])
async def test_a_crash_around_a_rotation_leaves_every_line_exactly_once(tmp_path: Path, unsaved: int) -> None:
    """`unsaved` receipts were not saved before the crash: their batches are delivered again."""
    sink = file_sink(tmp_path, ROOM)
    receipts = [await sink.open(None)]
    receipts += [(await sink.deliver(batch(f"{number}\n", number * 2))).receipt for number in range(5)]
    await sink.close()
    await sink.open(json.loads(json.dumps(receipts[-1 - unsaved])))
    for number in range(5 - unsaved, 5):
        await sink.deliver(batch(f"{number}\n", number * 2))
    await sink.close()
    assert [message for found in files(tmp_path).values() for message in found] == ["0", "1", "2", "3", "4"]


async def test_a_crash_between_renaming_and_the_new_file_is_none(tmp_path: Path) -> None:
    sink = file_sink(tmp_path, ROOM)
    await sink.open(None)
    receipt = (await sink.deliver(batch("1\n"))).receipt
    await sink.close()
    path = tmp_path / "out" / "logshipper.ndjson"
    path.rename(path.with_name("logshipper.000001.ndjson"))
    await sink.open(receipt)
    await sink.deliver(batch("2\n", 2))
    await sink.close()
    assert files(tmp_path) == {"logshipper.000001.ndjson": ["1"], "logshipper.ndjson": ["2"]}

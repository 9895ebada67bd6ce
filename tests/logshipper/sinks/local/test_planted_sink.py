"""A directory of a file sink or of dead letters that somebody else can write to."""

from __future__ import annotations

import errno
import fcntl
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.delivery.dead_letters import DeadLetters
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.local.file import FileSink
from sidecars.logshipper.sinks.local.numbered_rotation import NumberedRotation
from tests.logshipper.support import a_batch, a_chunk
from tests.support import examples

SECRET = "a file of somebody else\n"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text(SECRET)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def sink_in(folder: Path, size: int | None = None, keep: int | None = None) -> FileSink:
    path = folder / "logshipper.ndjson"
    return FileSink(path, "LOGSHIPPER_SINK", NumberedRotation(path.name, size, keep))


def line(number: int) -> Any:
    return a_batch(a_chunk(f"{number}\n".encode(), number * 2))


def messages(path: Path) -> list[str]:
    return [json.loads(one)["message"] for one in path.read_text().splitlines()]


@pytest.mark.parametrize("kind", ["symlink_to", "hardlink_to"])
async def test_a_planted_link_is_refused_at_the_start_and_never_written_through(
    out: Path, victim: Path, kind: str
) -> None:
    getattr(out / "logshipper.ndjson", kind)(victim)
    with pytest.raises(IOFailed, match=r"cannot be used: .*link"):
        await sink_in(out).open(None)
    assert text(victim) == SECRET


@pytest.mark.parametrize("kind", ["symlink_to", "hardlink_to"])
async def test_a_link_that_is_planted_later_is_told_and_never_written_through(
    out: Path, victim: Path, kind: str
) -> None:
    sink = sink_in(out)
    await sink.open(None)
    await sink.deliver(line(1))
    replace(out / "logshipper.ndjson", victim, kind)
    with pytest.raises(RetryLater, match="link"):
        await sink.deliver(line(2))
    remove(out / "logshipper.ndjson")
    await sink.deliver(line(2))
    await sink.close()
    assert text(victim) == SECRET
    assert messages(out / "logshipper.ndjson") == ["2"]


async def test_a_rotated_file_in_the_place_of_the_next_one_is_not_replaced(out: Path, victim: Path) -> None:
    sink = sink_in(out, size=150)
    await sink.open(None)
    for number in range(2):
        await sink.deliver(line(number))
    link(out / "logshipper.000001.ndjson", victim)
    link(out / f"logshipper.{'9' * 15}.ndjson", victim)
    link(out / f"logshipper.{'9' * 200}.ndjson", victim)
    for number in range(2, 6):
        await sink.deliver(line(number))
    await sink.close()
    assert text(victim) == SECRET
    assert all_messages(out) == ["0", "1", "2", "3", "4", "5"]


READER = """
import fcntl, os, struct, sys
descriptor = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(descriptor, fcntl.LOCK_EX)
fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.processes
async def test_a_reader_that_locks_the_file_keeps_the_sink_from_nothing(out: Path) -> None:
    sink = sink_in(out)
    await sink.open(None)
    await sink.deliver(line(1))
    await sink.close()
    reader = subprocess.Popen(  # noqa: ASYNC220 - the test waits for it
        [sys.executable, "-c", READER, str(out / "logshipper.ndjson")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"locked\n"
        await sink.open(None)
        await sink.deliver(line(2))
        await sink.close()
        assert reader.stdin is not None
        reader.stdin.close()
    assert messages(out / "logshipper.ndjson") == ["1", "2"]


def test_the_size_of_struct_flock_is_that_of_the_kernel() -> None:
    assert struct.calcsize("hhqqi4x") == 32
    assert fcntl.F_OFD_SETLK == 37


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@examples(80)
@given(_JSON | st.lists(st.integers(-1, 2**65) | st.text(max_size=3), min_size=4, max_size=4))
def test_any_saved_receipt_cuts_nothing_and_stops_nothing(receipt: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logshipper.ndjson"
        path.write_text('{"message":"1"}\n')
        sink = sink_in(Path(folder))
        sink._open(receipt)
        sink._close_file()
        sink._directory.close()
        assert messages(path) == ["1"]


# -- dead letters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["symlink_to", "hardlink_to"])
async def test_dead_letters_are_never_written_through_a_planted_link(out: Path, victim: Path, kind: str) -> None:
    getattr(out / "search.ndjson", kind)(victim)
    letters = DeadLetters(out, "search")
    with pytest.raises(OSError, match="link") as caught:
        await letters.append(line(1), [(0, "no")])
    assert caught.value.errno in (errno.ELOOP, errno.EPERM)
    remove(out / "search.ndjson")
    await letters.append(line(1), [(0, "no")])
    assert messages(out / "search.ndjson") == ["1"]
    assert text(victim) == SECRET


async def test_a_planted_older_file_of_dead_letters_is_replaced_and_not_followed(out: Path, victim: Path) -> None:
    link(out / "search.1.ndjson", victim)
    letters = DeadLetters(out, "search", limit=400)
    for number in range(8):
        await letters.append(line(number), [(0, "no")])
    assert text(victim) == SECRET
    assert not is_link(out / "search.1.ndjson")


# -- files, outside of coroutines --------------------------------------------------------------------------------------


def all_messages(folder: Path) -> list[str]:
    return sorted(message for path in folder.iterdir() if not path.is_symlink() for message in messages(path))


def text(path: Path) -> str:
    return path.read_text()


def link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def is_link(path: Path) -> bool:
    return path.is_symlink()


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path, target: Path, kind: str) -> None:
    path.rename(path.with_name("aside"))
    getattr(path, kind)(target)

"""Files in UTF-16, from the file to the records: lines, pieces, events of several lines, restarts, and `auto`."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.logshipper.pod import Pod

_MARKS = {"utf-16le": b"\xff\xfe", "utf-16be": b"\xfe\xff", "utf-8": b"\xef\xbb\xbf"}
_TEXT = "\u0a0dfür 上\n\u4e0a 😀\r\nlast\n"
_BODIES = ["\u0a0dfür 上", "\u4e0a 😀", "last"]


def write(pod: Pod, text: str, encoding: str, mark: bytes = b"") -> None:
    with pod.log.open("ab") as file:
        file.write(mark + text.encode(encoding))


def ship(pod: Pod, room: int = 100_000) -> list[str]:
    """Ship everything, and return the texts of the events."""
    found: list[str] = []
    while chunks := pod.queues["default"].collect(room):
        in_flight = pod.send("default", chunks)
        found += [body for records in in_flight.content.records for body in records.bodies]
        pod.settle(in_flight)
        pod.check()
    return found


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be", "utf-8"])
@pytest.mark.parametrize("room", [14, 100_000])
async def test_auto_reads_each_file_by_its_mark_and_goes_on_after_a_restart(
    tmp_path: Path, encoding: str, room: int
) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_ENCODING="auto")
    write(pod, _TEXT, encoding, _MARKS[encoding])
    pod.look()
    assert ship(pod, room) == _BODIES
    await pod.restart()
    write(pod, "ü\nunfinished", encoding)
    pod.look()
    assert ship(pod, room) == ["ü"]
    assert not pod.dropped()


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be"])
async def test_a_file_without_a_mark_is_read_by_the_setting(tmp_path: Path, encoding: str) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_ENCODING=encoding, LOGSHIPPER_MULTILINE="indent")
    write(pod, "a\n \u0a0d\nb\n c", encoding)
    pod.look()
    assert ship(pod) == ["a\n \u0a0d"]
    write(pod, "\nd\n", encoding)
    pod.look()
    assert ship(pod) == ["b\n c"]
    pod.look(later=5)
    assert ship(pod) == ["d"]
    assert pod.ledgers["default"].total.lines == 5
    assert not pod.dropped()


async def test_a_long_line_is_shipped_in_pieces_of_whole_characters(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_ENCODING="utf-16le", LOGSHIPPER_MAX_LINE_SIZE="1KiB")
    write(pod, "a" + "😀" * 600 + "\nb\n", "utf-16le")
    pod.look()
    pieces = ship(pod)
    assert "".join(pieces[:-1]) == "a" + "😀" * 600
    assert pieces[-1] == "b"
    assert not pod.dropped()


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be", "auto"])
async def test_a_file_of_which_nothing_was_shipped_is_known_by_its_content_after_a_restart(
    tmp_path: Path, encoding: str
) -> None:
    pod = Pod(
        tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*", LOGSHIPPER_ENCODING=encoding, LOGSHIPPER_COMPRESSED="auto"
    )
    written = "utf-16le" if encoding == "auto" else encoding
    mark = _MARKS[written]
    first, second = ([f"{word} line {number}" for number in range(20)] for word in ("early", "late"))
    write(pod, "".join(f"{line}\n" for line in first), written, mark)
    pod.look()
    await pod.store.save()
    pod.kill()
    (pod.logs / "app.log.1.gz").write_bytes(gzip.compress(pod.log.read_bytes()))
    pod.log.unlink()
    write(pod, "".join(f"{line}\n" for line in second), written, mark)
    pod.begin()
    shipped: list[str] = []
    for _ in range(4):
        pod.look()
        shipped += ship(pod)
    assert sorted(shipped) == sorted(first + second)
    assert not pod.dropped()


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be"])
@pytest.mark.parametrize("tail", [b"", b"x", b"x\0y", b"\0x\0"])
@pytest.mark.parametrize("shipped", [True, False])
async def test_a_file_that_ended_in_half_a_character_is_known_in_its_compressed_copy(
    tmp_path: Path, encoding: str, tail: bytes, *, shipped: bool
) -> None:
    pod = Pod(
        tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*", LOGSHIPPER_ENCODING=encoding, LOGSHIPPER_COMPRESSED="auto"
    )
    await pod.store.save()
    first = [f"early {number}" for number in range(20)]
    write(pod, "".join(f"{line}\n" for line in first), encoding, _MARKS[encoding])
    with pod.log.open("ab") as file:
        file.write(tail)
    pod.look()
    found = ship(pod) if shipped else []
    generation = next(iter(pod.follower.tails))
    await pod.store.save()
    pod.kill()
    (pod.logs / "app.log.1.gz").write_bytes(gzip.compress(pod.log.read_bytes()))
    pod.log.unlink()
    write(pod, "late\n", encoding, _MARKS[encoding])
    pod.begin()
    for _ in range(4):
        pod.look()
        found += ship(pod)
    assert sorted(found) == sorted([*first, "late"])
    assert generation in pod.follower.tails
    assert not pod.dropped(), "nothing is counted as lost"


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be"])
def test_a_file_that_is_truncated_and_refilled_before_anything_was_shipped_is_read_anew(
    tmp_path: Path, encoding: str
) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_ENCODING=encoding)
    write(pod, "early\n" * 9, encoding, _MARKS[encoding])
    pod.look()
    (before,) = pod.follower.tails
    pod.log.write_bytes(b"")
    write(pod, "later\n" * 20, encoding, _MARKS[encoding])
    pod.look()
    assert before not in pod.follower.tails, "an id stands for one text"
    assert ship(pod) == ["later"] * 20


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be", "auto"])
def test_reading_that_begins_at_the_end_begins_with_a_character(tmp_path: Path, encoding: str) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_ENCODING=encoding, LOGSHIPPER_START_AT="end")
    written = "utf-16le" if encoding == "auto" else encoding
    pod.kill()
    write(pod, "old\n\u0a0d be", written, _MARKS[written])
    pod.begin()
    pod.look()
    write(pod, "gun\nnew\n", written)
    pod.look()
    assert ship(pod) == ["\u0a0d begun", "new"]


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be", "utf-8"])
async def test_a_file_that_is_copied_and_truncated_goes_on_in_its_encoding_without_a_mark(
    tmp_path: Path, encoding: str
) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*", LOGSHIPPER_ENCODING="auto")
    write(pod, "first\nsecond\n", encoding, _MARKS[encoding])
    pod.look()
    assert ship(pod) == ["first", "second"]
    for number, restarts in enumerate([False, True, False]):
        (pod.logs / f"app.log.{number}").write_bytes(pod.log.read_bytes())
        pod.log.write_bytes(b"")
        pod.look()
        write(pod, "\u0a0d ü\nlast\n", encoding)
        if restarts:
            pod.look()
            await pod.restart()
        pod.look()
        assert ship(pod) == ["\u0a0d ü", "last"], "nothing of the copy comes again"
    assert not pod.dropped()


def test_a_truncated_file_that_begins_with_another_mark_has_that_encoding(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_ENCODING="auto")
    for encoding in ("utf-16le", "utf-16be", "utf-8", "utf-16le"):
        pod.log.write_bytes(b"")
        pod.look()
        write(pod, "ü first\nsecond\n", encoding, _MARKS[encoding])
        pod.look()
        assert ship(pod) == ["ü first", "second"]


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be"])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_file_of_utf_16_that_is_truncated_and_written_in_utf_8_is_read_as_it_is_now(
    tmp_path: Path, encoding: str, *, restarts: bool
) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*", LOGSHIPPER_ENCODING="auto")
    write(pod, "first\n", encoding, _MARKS[encoding])
    pod.look()
    assert ship(pod) == ["first"]
    for number, written in enumerate(["utf-8", "utf-8", encoding, "utf-8"]):
        (pod.logs / f"app.log.{number}").write_bytes(pod.log.read_bytes())
        pod.log.write_bytes(b"")
        pod.look()
        write(pod, f"\u4e0a ü {number}\n", written)
        pod.look()
        if restarts:
            await pod.restart()
            pod.look()
        assert ship(pod) == [f"\u4e0a ü {number}"]
        write(pod, "last\n", written)
        pod.look()
        assert ship(pod) == ["last"]
    assert not pod.dropped()


def test_a_truncated_file_that_is_refilled_in_utf_8_before_it_is_looked_at_is_read_as_it_is_now(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_ENCODING="auto")
    write(pod, "early\n" * 9, "utf-16le", _MARKS["utf-16le"])
    pod.look()
    assert ship(pod) == ["early"] * 9
    pod.log.write_bytes(b"")
    write(pod, "ü later\n" * 99, "utf-8")
    pod.look()
    assert ship(pod) == ["ü later"] * 99

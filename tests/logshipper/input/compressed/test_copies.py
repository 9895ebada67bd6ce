"""Compressed rotated files: each line once, whatever is compressed when, and whenever the process is killed."""

from __future__ import annotations

import bz2
import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from sidecars.logshipper.input.compressed import decompression
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append

COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd.compress}


def compressing(tmp_path: Path, *sinks: str, **environ: str) -> Pod:
    return Pod(tmp_path, *sinks, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*", LOGSHIPPER_COMPRESSED="auto", **environ)


def compress(path: Path, suffix: str = ".gz") -> Path:
    """Compress a file as gzip(1) does: the copy gets its time, and then the file is deleted."""
    copy = path.with_name(path.name + suffix)
    copy.write_bytes(COMPRESS[suffix](path.read_bytes()))
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    path.unlink()
    return copy


def lines(pod: Pod, begin: int, count: int = 3) -> list[str]:
    """Write some lines, and return them."""
    written = [f"line {number} {'x' * 30}" for number in range(begin, begin + count)]
    append(pod.log, "".join(f"{line}\n" for line in written))
    return written


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_copy_of_what_was_read_is_not_read_again(tmp_path: Path, suffix: str) -> None:
    pod = compressing(tmp_path)
    written = lines(pod, 0)
    pod.look()
    pod.ship()
    pod.rotate()
    compress(pod.logs / "app.log.1", suffix)
    written += lines(pod, 3)
    for _ in range(4):
        pod.look(ROTATE_WAIT)
        pod.ship()
    assert pod.got["default"] == written
    assert not pod.dropped()


@pytest.mark.parametrize("suffix", COMPRESS)
async def test_a_copy_of_what_was_read_is_not_read_again_after_restarts(tmp_path: Path, suffix: str) -> None:
    pod = compressing(tmp_path)
    written = lines(pod, 0)
    pod.look()
    pod.ship()
    pod.rotate()
    copy = compress(pod.logs / "app.log.1", suffix)
    for _ in range(3):
        pod.look(ROTATE_WAIT + 1)
        pod.ship()
    await pod.restart()
    pod.look()
    copy.rename(copy.with_name(f"app.log.2{suffix}"))
    await pod.restart()
    for _ in range(3):
        pod.look(ROTATE_WAIT + 1)
        pod.ship()
    assert pod.got["default"] == written
    copy.with_name(f"app.log.2{suffix}").unlink()
    pod.look_until_gone()
    assert not pod.follower.tails, "it is remembered until the file is gone"


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("is_killed", [True, False])
async def test_what_was_compressed_while_the_process_was_away_is_read_on_in_the_copy(
    tmp_path: Path, suffix: str, *, is_killed: bool
) -> None:
    pod = compressing(tmp_path, "up", "down")
    await pod.store.save()  # as the process does at its start
    written = lines(pod, 0, 40)
    pod.look()
    pod.ship("up", 700, batches=2)
    if not is_killed:
        await pod.store.save()
    pod.kill()
    written += lines(pod, 40)
    pod.rotate()
    compress(pod.logs / "app.log.1", suffix)
    written += lines(pod, 43)
    pod.begin()
    for _ in range(3):
        pod.look()
        pod.ship("up", 700)
        pod.ship("down", 900)
    assert (sorted(pod.got["up"]), sorted(pod.got["down"])) == (sorted(written), sorted(written))
    assert not pod.dropped("up")
    assert not pod.dropped("down")


def test_a_copy_of_what_is_still_being_read_waits_for_the_original(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    written = lines(pod, 0, 40)
    pod.look()
    pod.ship(room=700, batches=1)
    pod.rotate()
    compress(pod.logs / "app.log.1")
    for _ in range(3):
        pod.look(ROTATE_WAIT + 1)
        pod.ship(room=700, batches=1)
    pod.ship()
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    pod.ship()
    assert pod.got["default"] == written
    (tail,) = pod.follower.tails.values()
    assert tail.state.path.endswith(".gz"), "and then the generation is known by its copy"


def test_an_idle_file_that_is_rotated_and_compressed_at_once_is_not_read_again(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    written = lines(pod, 0)
    pod.look()
    pod.ship()
    pod.look(301)
    assert pod.follower.open_files.status()["idle"] == 1
    pod.rotate()
    compress(pod.logs / "app.log.1")
    written += lines(pod, 3)
    for _ in range(3):
        pod.look(ROTATE_WAIT + 1)
        pod.ship()
    assert pod.got["default"] == written
    assert not pod.dropped()


def test_lines_that_were_written_to_an_idle_file_before_it_was_compressed_are_read_in_the_copy(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    written = lines(pod, 0)
    pod.look()
    pod.ship()
    pod.look(301)
    written += lines(pod, 3)
    pod.rotate()
    compress(pod.logs / "app.log.1")
    for _ in range(3):
        pod.look()
        pod.ship()
    assert pod.got["default"] == written
    assert not pod.dropped()


@pytest.mark.parametrize("suffix", COMPRESS)
def test_old_copies_are_read_once_at_the_first_start(tmp_path: Path, suffix: str) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in (3, 2):
        append(logs / f"app.log.{number}", "".join(f"{number} {line}\n" for line in range(100)))
        compress(logs / f"app.log.{number}", suffix)
    append(logs / "app.log", "now\n")
    pod = compressing(tmp_path)
    pod.look()
    pod.ship(room=300)
    pod.look()
    pod.ship()
    assert sorted(pod.got["default"]) == sorted(["now", *(f"{n} {line}" for n in (2, 3) for line in range(100))])
    assert pod.ledgers["default"].total.pending == 0


async def test_old_copies_of_a_start_at_the_end_are_never_read(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    append(tmp_path / "logs" / "app.log.2", "old\n")
    compress(tmp_path / "logs" / "app.log.2")
    pod = compressing(tmp_path, LOGSHIPPER_START_AT="end")
    pod.look()
    await pod.restart()
    pod.look()
    assert pod.ship() == []


async def test_copies_that_are_too_old_are_counted_and_never_read(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    append(tmp_path / "logs" / "app.log.2", "old\n")
    os.utime(tmp_path / "logs" / "app.log.2", (0, 0))
    compress(tmp_path / "logs" / "app.log.2")
    pod = compressing(tmp_path, LOGSHIPPER_IGNORE_OLDER="24h")
    pod.look()
    assert pod.dropped() == {"ignored": 4}
    await pod.restart()
    pod.look()
    assert pod.ship() == []


def test_a_copy_is_not_read_before_it_is_whole(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    whole = gzip.compress(b"".join(b"%d\n" % number for number in range(1000)))
    copy = pod.logs / "app.log.2.gz"
    for end in (1, 5, 20, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        copy.write_bytes(whole[:end])
        pod.look()
        assert pod.ship() == []
    copy.write_bytes(whole)
    pod.look()
    assert pod.ship() == [str(number) for number in range(1000)]


def test_a_copy_that_stays_unfinished_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    text = b"".join(b"%d\n" % number for number in range(5000))
    (pod.logs / "app.log.2.gz").write_bytes(gzip.compress(text)[:-100])
    pod.look()
    pod.look(59)
    assert pod.ship() == []
    pod.look(2)
    got = pod.ship()
    assert got == [str(number) for number in range(len(got))]
    assert 1000 < len(got) < 5000


def test_logrotates_original_stays_until_the_copy_is_whole(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    written = lines(pod, 0)
    pod.look()
    pod.rotate()
    whole = gzip.compress((pod.logs / "app.log.1").read_bytes())
    for end in (0, 10, len(whole) - 1, len(whole)):
        (pod.logs / "app.log.1.gz").write_bytes(whole[:end])
        pod.look()
        pod.ship(batches=1, room=50)
    (pod.logs / "app.log.1").unlink()
    for _ in range(3):
        pod.look(ROTATE_WAIT + 1)
        pod.ship()
    assert pod.got["default"] == written


async def test_the_kubelets_scheme_reads_each_line_once_with_a_restart_at_each_step(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    written: list[str] = []

    async def step() -> None:
        pod.look()
        pod.ship(room=100, batches=1)
        await pod.restart()
        pod.look()

    for round_ in range(3):
        written += lines(pod, 10 * round_)
        await step()
        earlier = pod.logs / f"app.log.2006010{round_ - 1}"
        if round_:
            data = gzip.compress(earlier.read_bytes())
            earlier.with_suffix(earlier.suffix + ".tmp").write_bytes(data)
            await step()
            earlier.with_suffix(earlier.suffix + ".tmp").rename(earlier.with_suffix(earlier.suffix + ".gz"))
            await step()
            earlier.unlink()
            await step()
        pod.log.rename(pod.logs / f"app.log.2006010{round_}")
        await step()
    for _ in range(3):
        pod.look(ROTATE_WAIT + 1)
        pod.ship()
    assert sorted(pod.got["default"]) == sorted(written)
    assert not pod.dropped()


def test_members_of_gzip_are_read_as_one_text(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    members = [gzip.compress(text) for text in (b"1\n2", b"", b"3\n")]
    (pod.logs / "app.log.2.gz").write_bytes(b"".join(members) + bytes(9))
    pod.look()
    assert pod.ship() == ["1", "23"]


def test_damaged_copies_and_bombs_are_refused_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decompression, "BOMB_SIZE", 100_000)
    pod = compressing(tmp_path)
    good = gzip.compress(b"a line\n" * 100)
    (pod.logs / "app.log.2.gz").write_bytes(good[:30] + b"?" + good[31:])
    (pod.logs / "app.log.3.gz").write_bytes(gzip.compress(bytes(5_000_000)))
    (pod.logs / "app.log.4.bz2").write_bytes(bz2.compress(b"not of these\n"))
    (pod.logs / "app.log.5.gz").write_bytes(b"")
    pod.look()
    pod.look()
    assert pod.ship() == []
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "a compressed file is not read",
        "a compressed file is not read",
    ]
    assert not pod.follower.has_compressed_work()


def test_a_far_position_is_reached_in_steps(tmp_path: Path) -> None:
    pod = compressing(tmp_path, "up", "down")
    text = b"".join(b"%09d %s\n" % (number, b"x" * 90) for number in range(60_000))
    (pod.logs / "app.log.2.gz").write_bytes(gzip.compress(text))
    pod.look()
    assert len(pod.ship("up", 1 << 20, batches=4)) > 30_000
    pod.follower.open_files.set_limit(1)
    append(pod.log, "now\n")
    pod.look()  # the copy is closed, and opened again at its position
    while pod.ship("up", 1 << 20) or pod.follower.has_compressed_work():
        pod.look()
    assert len(pod.got["up"]) == len(set(pod.got["up"])) == 60_001


def test_a_copy_that_is_read_is_deleted_with_its_lines_counted(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    (pod.logs / "app.log.2.gz").write_bytes(gzip.compress(b"1\n2\n"))
    pod.look()
    pod.follower.open_files.set_limit(1)
    append(pod.log, "now\n")
    pod.look()
    (pod.logs / "app.log.2.gz").unlink()
    pod.look_until_gone()
    pod.ship()
    assert pod.dropped() in ({}, {"lost": 4}), "it was open, or it was not"
    assert pod.ledgers["default"].total.pending == 0


def test_by_default_nothing_compressed_is_read(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    (pod.logs / "app.log.2.gz").write_bytes(gzip.compress(b"1\n2\n"))
    pod.look()
    assert pod.ship() == []
    assert not pod.follower.has_compressed_work()


def test_times_of_copies_are_those_of_their_originals(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    append(path, "1\n")
    os.utime(path, (5, 5))
    assert compress(path).stat().st_mtime == 5 < time.time()

"""Copying: whatever the kernel refuses, the bytes arrive."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecars.warcopier.archive.zip_directory import ReadAt
from sidecars.warcopier.transfer import copying
from tests.support import wait_until
from tests.warcopier.support import noise, sha256

DATA = noise(700_001)
Files = tuple[int, int]


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    (tmp_path / "from").write_bytes(DATA)
    reader = os.open(tmp_path / "from", os.O_RDONLY)
    writer = os.open(tmp_path / "to", os.O_RDWR | os.O_CREAT)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def refuse(code: int) -> Callable[..., int]:
    def refused(*args: object) -> int:
        raise OSError(code, os.strerror(code))

    return refused


def broken_disk() -> None:
    refuse(errno.EIO)()


def copied(files: Files) -> bytes:
    assert copying.copy(*files, len(DATA)) == len(DATA)
    return os.pread(files[1], len(DATA) + 1, 0)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM])
@pytest.mark.parametrize("refused", [[], ["copy_file_range"], ["copy_file_range", "sendfile"]])
def test_it_falls_back_to_what_the_kernel_does_not_refuse(
    files: Files, monkeypatch: pytest.MonkeyPatch, refused: list[str], code: int
) -> None:
    for name in refused:
        monkeypatch.setattr(os, name, refuse(code))
    assert copied(files) == DATA


def test_it_goes_on_where_it_was_when_the_kernel_refuses_midway(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.copy_file_range, iter([True, True, False])

    def some(*args: int) -> int:
        return real(*args) if next(calls) else refuse(errno.EXDEV)()

    monkeypatch.setattr(copying, "_STRIDE", 100_000)
    monkeypatch.setattr(os, "copy_file_range", some)
    assert copied(files) == DATA


def test_a_file_system_that_moves_nothing_is_not_taken_for_the_end(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    monkeypatch.setattr(os, "sendfile", lambda *_: 0)
    assert copied(files) == DATA


def test_short_writes_are_continued(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    for name in ("copy_file_range", "sendfile"):
        monkeypatch.setattr(os, name, refuse(errno.ENOSYS))
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:50_000], at))
    assert copied(files) == DATA


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_what_is_no_refusal_is_raised(files: Files, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "copy_file_range", refuse(code))
    with pytest.raises(OSError, match=os.strerror(code)):
        copying.copy(*files, len(DATA))


def test_a_file_that_became_shorter_is_told_by_the_count(files: Files) -> None:
    assert copying.copy(*files, len(DATA) + 5) == len(DATA)


def test_the_digest_is_that_of_all_bytes(files: Files) -> None:
    assert copying.sha256_of(copying.reader_of(files[0])) == sha256(DATA)


def test_work_beside_gives_its_result_or_its_error(files: Files) -> None:
    with copying.BackgroundTask(files[0], copying.sha256_of) as digest:
        assert digest.result() == sha256(DATA)
    with copying.BackgroundTask(files[0], lambda _: 1 // 0) as broken, pytest.raises(ZeroDivisionError):
        broken.result()


def test_leaving_early_stops_the_work_beside(files: Files) -> None:
    def endless(read: ReadAt) -> int:
        while True:
            read(0, 1)

    before = set(threading.enumerate())
    with copying.BackgroundTask(files[0], endless):
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) <= before


def test_the_thread_beside_takes_no_signal_so_that_one_can_wait(files: Files) -> None:
    def blocked(_read: ReadAt) -> set[int]:
        return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    with copying.BackgroundTask(files[0], blocked) as beside:
        assert beside.result() >= {signal.SIGTERM, signal.SIGINT}
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_what_is_written_is_brought_to_the_disk_behind_the_copy(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(copying, "_STRIDE", 100_000)
    before = set(threading.enumerate())
    with copying.BackgroundFlush(lambda: flushed.append(os.fstat(files[1]).st_size), 200_000) as behind:
        assert copying.copy(*files, len(DATA), behind.wrote) == len(DATA)
        wait_until(lambda: flushed, "flushed before the end")
    assert min(flushed) >= 200_000
    assert set(threading.enumerate()) <= before


def test_what_is_less_than_a_stretch_needs_no_thread(files: Files) -> None:
    before = threading.active_count()
    with copying.BackgroundFlush(lambda: None, 200_000) as behind:
        behind.wrote(199_999)
        assert threading.active_count() == before


def test_a_stretch_that_cannot_be_brought_to_the_disk_is_told_although_a_later_flush_would_succeed() -> None:
    behind = copying.BackgroundFlush(broken_disk, 1)

    def work() -> None:
        with behind:
            behind.wrote(1 << 40)
            wait_until(lambda: behind._error, "the error")

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        work()


def test_work_that_fails_is_what_is_told_and_not_that_the_disk_failed_too() -> None:
    behind = copying.BackgroundFlush(broken_disk, 1)

    def work() -> None:
        with behind:
            behind.wrote(1 << 40)
            raise copying.Stopped

    with pytest.raises(copying.Stopped):
        work()

"""Work in a second thread: its result or error arrives, it takes no signal, and it ends with its context."""

from __future__ import annotations

import errno
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from sidecars.warcopier.transfer import copying
from sidecars.warcopier.transfer.background import BackgroundFlush, BackgroundTask
from sidecars.warcopier.transfer.progress import Stopped
from tests.support import wait_until
from tests.warcopier.open_files import DATA, Files, refuse
from tests.warcopier.support import sha256

if TYPE_CHECKING:
    from sidecars.warcopier.io_errors import ReadAt


def broken_disk() -> None:
    refuse(errno.EIO)()


def test_work_beside_gives_its_result_or_its_error(files: Files) -> None:
    with BackgroundTask(files[0], copying.sha256_of) as digest:
        assert digest.result() == sha256(DATA)
    with BackgroundTask(files[0], lambda _: 1 // 0) as broken, pytest.raises(ZeroDivisionError):
        broken.result()


def test_leaving_early_stops_the_work_beside(files: Files) -> None:
    def endless(read: ReadAt) -> int:
        while True:
            read(0, 1)

    before = set(threading.enumerate())
    with BackgroundTask(files[0], endless):
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) <= before


def test_the_thread_beside_takes_no_signal_so_that_one_can_wait(files: Files) -> None:
    def blocked(_read: ReadAt) -> set[int]:
        return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    with BackgroundTask(files[0], blocked) as beside:
        assert beside.result() >= {signal.SIGTERM, signal.SIGINT}
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_what_is_written_is_brought_to_the_disk_behind_the_copy(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(copying, "_KERNEL_PIECE", 100_000)
    before = set(threading.enumerate())
    with BackgroundFlush(lambda: flushed.append(os.fstat(files[1]).st_size), 200_000) as behind:
        assert copying.copy(*files, len(DATA), behind.wrote) == len(DATA)
        wait_until(lambda: flushed, "flushed before the end")
    assert min(flushed) >= 200_000
    assert set(threading.enumerate()) <= before


def test_what_is_less_than_a_stretch_needs_no_thread(files: Files) -> None:
    before = set(threading.enumerate())
    with BackgroundFlush(lambda: None, 200_000) as behind:
        behind.wrote(199_999)
        assert set(threading.enumerate()) <= before


def test_a_stretch_that_cannot_be_brought_to_the_disk_is_told_although_a_later_flush_would_succeed() -> None:
    behind = BackgroundFlush(broken_disk, 1)

    def work() -> None:
        with behind:
            behind.wrote(1 << 40)
            wait_until(lambda: behind._error, "the error")

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        work()


def test_work_that_fails_is_what_is_told_and_not_that_the_disk_failed_too() -> None:
    behind = BackgroundFlush(broken_disk, 1)

    def work() -> None:
        with behind:
            behind.wrote(1 << 40)
            raise Stopped

    with pytest.raises(Stopped):
        work()

"""Log lines and a reader that stalls: no call waits, and every line is written or counted."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime import log_writer
from sidecars.chassis.runtime.log_writer import LogWriter
from tests.chassis.stalled import Stalled, stalled
from tests.support import PATIENCE, wait_until

KINDS = ("pipe", "terminal", "socket")


def notice(lines: int) -> bytes:
    return f"dropped {lines}\n".encode()


@pytest.fixture(params=KINDS)
def full(request: pytest.FixtureRequest) -> Iterator[Stalled]:
    with stalled(request.param) as ends:
        yield ends


def test_a_line_that_does_not_fit_is_written_when_there_is_room(full: Stalled) -> None:
    writer = LogWriter(full.theirs, notice)

    writer.write(b"first\n")
    writer.write(b"second\n")

    assert full.read(b"second\n") == b"first\nsecond\n"
    writer.finish(PATIENCE)
    writer.write(b"third\n")
    assert os.read(full.ours, 100) == b"third\n"
    assert writer.dropped == 0


def test_the_description_that_other_processes_share_stays_as_it_is(full: Stalled) -> None:
    LogWriter(full.theirs, notice).write(b"line\n")

    assert full.is_still_blocking()
    assert full.read(b"line\n") == b"line\n"  # before another file gets the descriptor's number


def test_what_does_not_fit_into_the_queue_is_dropped_and_the_next_line_says_how_many(full: Stalled) -> None:
    writer = LogWriter(full.theirs, notice)
    line = b"x" * 999 + b"\n"
    logged = 2 * log_writer.QUEUE // len(line)

    for _ in range(logged):
        writer.write(line)

    assert 0 < writer.dropped < logged
    kept = logged - writer.dropped
    writer_sees = threading.Thread(target=writer.finish, args=[PATIENCE])
    writer_sees.start()
    assert full.read(line * kept) == line * kept
    writer_sees.join()
    writer.write(b"next\n")
    assert os.read(full.ours, 1000) == notice(logged - kept) + b"next\n"


def test_a_line_of_an_error_has_room_when_the_queue_has_none_for_others(full: Stalled) -> None:
    writer = LogWriter(full.theirs, notice)
    while not writer.dropped:
        writer.write(b"x" * 999 + b"\n")

    writer.write(b"the reason\n", urgent=True)

    assert full.read(b"the reason\n").endswith(notice(1) + b"the reason\n")


def test_a_line_longer_than_a_pipe_comes_whole_and_before_the_next(full: Stalled) -> None:
    writer = LogWriter(full.theirs, notice)
    long = b"x" * 200_000 + b"\n"

    writer.write(long)
    writer.write(b"next\n")

    assert full.read(b"next\n") == long + b"next\n"


def test_the_end_of_the_process_waits_for_a_stalled_reader_no_longer_than_it_is_told(full: Stalled) -> None:
    writer = LogWriter(full.theirs, notice)
    writer.write(b"line\n")

    writer.finish(0.01)

    assert full.read(b"line\n") == b"line\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_has_gone_is_counted_and_raises_nothing(kind: str) -> None:
    with stalled(kind) as ends:
        writer = LogWriter(ends.theirs, notice)
        os.close(ends.ours)
        for _ in range(3):
            writer.write(b"line\n")
        wait_until(lambda: writer.dropped == 3, "all lines are counted")


@given(st.lists(st.one_of(st.integers(1, 100_000), st.none()), max_size=60))
def test_every_line_is_written_whole_or_counted_and_none_changes_places(steps: list[int | None]) -> None:
    """A step is a line of that size, or a read of all bytes in the pipe."""
    with stalled("pipe") as ends:
        writer = LogWriter(ends.theirs, notice)
        numbers = itertools.count()
        logged = 0
        read: list[bytes] = []
        reader = threading.Thread(target=_read_all, args=[ends, read])
        for step in steps:
            if step is None and not reader.ident:
                reader.start()
            elif step is not None:
                writer.write(b"%d:%s\n" % (next(numbers), b"x" * step))
                logged += 1
        if not reader.ident:
            reader.start()
        writer.finish(PATIENCE)
        writer.write(b"last\n", urgent=True)
        writer.finish(PATIENCE)
        writer.write(b"end\n")
        writer.finish(PATIENCE)
        reader.join()
        lines = b"".join(read)[ends.filled :].decode().splitlines()
    told = sum(int(line.removeprefix("dropped ")) for line in lines if line.startswith("dropped "))
    whole = [int(line.partition(":")[0]) for line in lines if re.fullmatch(r"\d+:x+", line)]
    assert whole == sorted(set(whole))
    assert len(whole) + told == logged
    assert told == writer.dropped


def _read_all(ends: Stalled, into: list[bytes]) -> None:
    while not (into and into[-1].endswith(b"end\n")):
        into.append(os.read(ends.ours, 1 << 16))


def test_threads_that_log_at_once_never_mix_their_lines() -> None:
    with stalled("pipe") as ends:
        writer = LogWriter(ends.theirs, notice)

        def log(letter: bytes) -> None:
            for _ in range(500):
                writer.write(letter * 50 + b"\n")

        threads = [threading.Thread(target=log, args=[letter]) for letter in (b"a", b"b", b"c")]
        for thread in threads:
            thread.start()
        read: list[bytes] = []
        reader = threading.Thread(target=_read_all, args=[ends, read])
        reader.start()
        for thread in threads:
            thread.join()
        writer.finish(PATIENCE)
        writer.write(b"end\n")
        reader.join()
        lines = b"".join(read)[ends.filled :].splitlines()[:-1]
    assert len(lines) == 1500
    assert all(line in (b"a" * 50, b"b" * 50, b"c" * 50) for line in lines)


def test_the_room_in_the_queue_is_the_same_after_a_signal_in_the_middle_of_a_count(full: Stalled) -> None:
    writer = LogWriter(full.theirs, notice)
    count = len
    signals: list[int] = []

    class Line(bytes):
        def __len__(self) -> int:
            if count(signals) < 50:
                signals.append(1)
                writer.write(b"from a handler\n")
            return super().__len__()

    for _ in range(50):
        writer.write(Line(b"a line\n"))

    with writer._changed:
        assert writer._queued == sum(count(one.data) for one in writer._queue)
    assert signals


def test_dropped_lines_are_reported_once_although_a_signal_comes_while_they_are(full: Stalled) -> None:
    signals: list[int] = []

    def interrupted(lines: int) -> bytes:
        if signals:
            signals.pop()
            writer.write(b"from a handler\n", urgent=True)
        return notice(lines)

    writer = LogWriter(full.theirs, interrupted)
    while writer.dropped < 3:
        writer.write(b"x" * 999 + b"\n")
    signals.append(1)
    writer.write(b"the last\n", urgent=True)

    reports = re.findall(rb"dropped (\d+)", full.read(b"the last\n"))
    assert sum(map(int, reports)) == writer.dropped == 3
    assert not signals


def test_a_handler_of_a_signal_may_log_in_the_middle_of_a_line() -> None:
    with stalled("pipe") as ends:
        writer = LogWriter(ends.theirs, notice)
        read: list[bytes] = []
        reader = threading.Thread(target=_read_all, args=[ends, read])
        reader.start()
        heard = itertools.count()
        before = signal.signal(signal.SIGALRM, lambda *_: writer.write(b"signal %d\n" % next(heard)))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            for number in range(3000):
                writer.write(b"line %d\n" % number)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        writer.finish(PATIENCE)
        writer.write(b"end\n")
        reader.join()
        lines = b"".join(read)[ends.filled :].splitlines()
    assert writer.dropped == 0
    assert [line for line in lines if line.startswith(b"line ")] == [b"line %d" % number for number in range(3000)]
    signals = [line for line in lines if line.startswith(b"signal ")]
    assert sorted(signals) == sorted(b"signal %d" % number for number in range(next(heard)))


@pytest.mark.processes
def test_a_forked_child_logs_its_own_lines_and_not_those_of_its_parent_again() -> None:
    with stalled("pipe") as ends:
        writer = LogWriter(ends.theirs, notice)
        writer.write(b"of the parent\n")  # waits: there is a thread now
        child = os.fork()
        if not child:
            writer.write(b"of the child\n")
            writer.finish(PATIENCE)
            os._exit(0)
        text = ends.read(b"of the child\n")
        if b"of the parent\n" not in text:
            text += os.read(ends.ours, 1000)
        os.waitpid(child, 0)
    assert sorted(text.splitlines()) == [b"of the child", b"of the parent"]


@pytest.mark.processes
def test_lines_of_a_child_to_the_same_file_are_not_overwritten(tmp_path: Path) -> None:
    place = tmp_path / "log"
    with place.open("wb") as file:
        writer = LogWriter(file.fileno(), notice)
        for _ in range(3):
            writer.write(b"ours\n")
            subprocess.run(["echo", "theirs"], stdout=file, check=True)

    assert place.read_text() == "ours\ntheirs\n" * 3


def test_a_full_disk_is_counted_and_told_when_there_is_room_again() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    writer = LogWriter(full, notice)

    writer.write(b"line\n")

    os.close(full)
    assert writer.dropped == 1


def test_where_stderr_cannot_be_opened_again_a_thread_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refused(path: str, flags: int, *others: int) -> int:
        if path.startswith("/proc/self/fd/"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *others)

    monkeypatch.setattr(os, "open", refused)
    with stalled("pipe") as ends:
        writer = LogWriter(ends.theirs, notice)
        writer.write(b"first\n")
        writer.write(b"second\n")
        assert ends.read(b"second\n") == b"first\nsecond\n"
        writer.finish(PATIENCE)
        writer.write(b"third\n")
        assert os.read(ends.ours, 100) == b"third\n"
        os.close(ends.ours)


def test_where_no_thread_may_be_started_the_lines_wait_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with stalled("pipe") as ends:
        writer = LogWriter(ends.theirs, notice)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            writer.write(b"first\n")
        writer.write(b"second\n")

        assert ends.read(b"second\n") == b"first\nsecond\n"

"""Tasks shared by two processes: each is done once, and a failure or death of one process is noticed by the other."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime.lifecycle import BadData, IOFailed
from sidecars.warcopier.transfer.fork_pool import MAX_TASKS, ForkPool
from sidecars.warcopier.transfer.progress import no_progress
from tests.support import examples, own_descriptors

if TYPE_CHECKING:
    from sidecars.warcopier.transfer.fork_pool import OnWritten

pytestmark = pytest.mark.processes

US = os.getpid()


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


class Turns:
    """Pipes by which a task waits for the other process."""

    def __init__(self) -> None:
        self._ends = {True: os.pipe(), False: os.pipe()}

    def tell(self) -> None:
        """Let the other process go on."""
        os.write(self._ends[os.getpid() != US][1], b".")

    def wait(self) -> None:
        os.read(self._ends[os.getpid() == US][0], 1)

    def meet(self) -> None:
        """Wait until the other process is here, too."""
        self.tell()
        self.wait()


@pytest.fixture
def turns() -> Turns:
    return Turns()


def shared(count: int, work: Callable[[int, OnWritten], Any], *, alone: bool = False) -> list[Any]:
    with ForkPool(count, work, single_process=alone) as tasks:
        return tasks.run(no_progress)


@given(count=st.integers(0, MAX_TASKS), alone=st.booleans())
@examples(20)
def test_every_task_is_done_once_and_the_results_come_in_their_order(count: int, *, alone: bool) -> None:
    assert shared(count, lambda number, _wrote: number * 2, alone=alone) == [number * 2 for number in range(count)]


def test_both_take_part(turns: Turns) -> None:
    def work(_number: int, _wrote: OnWritten) -> int:
        turns.meet()
        return os.getpid()

    assert len(set(shared(2, work))) == 2


def test_alone_it_is_all_done_here() -> None:
    assert set(shared(5, lambda _number, _wrote: os.getpid(), alone=True)) == {US}


def test_where_there_may_be_no_more_processes_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", none_left)
    before = own_descriptors()
    assert set(shared(5, lambda _number, _wrote: os.getpid())) == {US}
    assert own_descriptors() <= before


def test_more_tasks_than_a_pipe_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="1001 tasks; at most 1000"):
        ForkPool(MAX_TASKS + 1, lambda _number, _wrote: None, single_process=False)


def test_what_both_have_done_is_told_as_one_sum(turns: Turns) -> None:
    sums: list[int] = []

    def work(_number: int, wrote: OnWritten) -> None:
        turns.meet()
        if os.getpid() == US:
            turns.wait()
            wrote(100_000)
        else:
            wrote(1_000_000)
            turns.tell()

    with ForkPool(2, work, single_process=False) as tasks:
        tasks.run(sums.append)
    assert sums == [1_100_000]


FAILURES = [
    IOFailed("a.war: cannot be read: Input/output error", code="source-unreadable"),
    BadData("a.war: is damaged", code="bad-archive"),
    OSError(errno.ENOSPC, "No space left on device"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("here", [True, False])
def test_what_fails_in_either_process_is_raised_here(turns: Turns, failure: Exception, *, here: bool) -> None:
    def work(_number: int, _wrote: OnWritten) -> None:
        turns.meet()
        if (os.getpid() == US) == here:
            raise failure

    with pytest.raises(type(failure)) as raised:
        shared(2, work)
    assert raised.value.args == failure.args
    assert getattr(raised.value, "code", None) == getattr(failure, "code", None)
    assert children() == []


def test_of_two_failures_the_one_of_the_earlier_task_counts(turns: Turns) -> None:
    def work(number: int, _wrote: OnWritten) -> None:
        turns.meet()
        raise BadData(f"{number} is damaged", code="bad-archive")

    for _ in range(20):
        with pytest.raises(BadData, match="0 is damaged"):
            shared(2, work)


def test_after_a_failure_no_more_tasks_begin(turns: Turns, tmp_path: Path) -> None:
    def work(number: int, _wrote: OnWritten) -> None:
        (tmp_path / str(number)).touch()
        turns.meet()
        raise BadData("is damaged", code="bad-archive")

    with pytest.raises(BadData):
        shared(100, work)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def hang_there(_number: int, _wrote: OnWritten) -> None:
    while os.getpid() != US:
        signal.pause()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_is_killed_is_a_failure_and_never_an_end(number: int) -> None:
    with ForkPool(2, hang_there, single_process=False) as tasks:
        os.kill(children()[0], number)
        with pytest.raises(IOFailed, match=r"^the process that shares the work has died: give the container more mem"):
            tasks.run(no_progress)
    assert children() == []


def test_what_has_failed_here_is_told_though_the_child_is_killed(turns: Turns) -> None:
    def work(_number: int, _wrote: OnWritten) -> None:
        turns.meet()
        if os.getpid() != US:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        shared(2, work)


def test_work_that_is_interrupted_here_ends_the_child_at_once() -> None:
    def give_up() -> None:
        with ForkPool(2, hang_there, single_process=False):
            assert len(children()) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert children() == []


def test_a_defect_in_the_child_is_a_failure_here(turns: Turns, capfd: pytest.CaptureFixture[str]) -> None:
    def work(_number: int, _wrote: OnWritten) -> None:
        turns.meet()
        if os.getpid() != US:
            raise AssertionError("a defect")

    with pytest.raises(IOFailed, match="has died"):
        shared(2, work)
    assert "AssertionError: a defect" in capfd.readouterr().err


# -- the program ----------------------------------------------------------------------------------------------------

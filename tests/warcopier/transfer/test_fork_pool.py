"""Tasks that two processes share: each is done once, and neither process outlives or deceives the other."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecars.chassis.runtime.lifecycle import BadData, IOFailed
from sidecars.warcopier.archive import verification
from sidecars.warcopier.archive.unpacking import Tree
from sidecars.warcopier.archive.verification import Contents
from sidecars.warcopier.archive.zip_directory import NotAnArchive
from sidecars.warcopier.transfer.copying import no_tick, reader_of
from sidecars.warcopier.transfer.fork_pool import MOST, Shared
from tests.support import wait_until
from tests.warcopier.archives import WIDE, packed, streamed
from tests.warcopier.support import UNPACK, Copier, deployed, entries, leftovers, noise, tree, tree_digest, war

if TYPE_CHECKING:
    from sidecars.warcopier.transfer.fork_pool import Wrote

US = os.getpid()


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


class Turns:
    """Lets a task wait for the other process."""

    def __init__(self) -> None:
        self._ends = {True: os.pipe(), False: os.pipe()}

    def tell(self) -> None:
        """Let the other one go on."""
        os.write(self._ends[os.getpid() != US][1], b".")

    def wait(self) -> None:
        os.read(self._ends[os.getpid() == US][0], 1)

    def meet(self) -> None:
        """Go on when the other one has come as far."""
        self.tell()
        self.wait()


@pytest.fixture
def turns() -> Turns:
    return Turns()


def shared(count: int, work: Callable[[int, Wrote], Any], *, alone: bool = False) -> list[Any]:
    with Shared(count, work, alone=alone) as tasks:
        return tasks.run(no_tick)


@given(count=st.integers(0, MOST), alone=st.booleans())
@settings(max_examples=20)
def test_every_task_is_done_once_and_the_results_come_in_their_order(count: int, *, alone: bool) -> None:
    assert shared(count, lambda number, _wrote: number * 2, alone=alone) == [number * 2 for number in range(count)]


def test_both_take_part(turns: Turns) -> None:
    def work(_number: int, _wrote: Wrote) -> int:
        turns.meet()
        return os.getpid()

    assert len(set(shared(2, work))) == 2


def test_alone_it_is_all_done_here() -> None:
    assert set(shared(5, lambda _number, _wrote: os.getpid(), alone=True)) == {US}


def test_where_there_may_be_no_more_processes_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", none_left)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - of numbers
    assert set(shared(5, lambda _number, _wrote: os.getpid())) == {US}
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - as above


def test_more_tasks_than_a_pipe_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="1001 tasks; at most 1000"):
        Shared(MOST + 1, lambda _number, _wrote: None, alone=False)


def test_what_both_have_done_is_told_as_one_sum(turns: Turns) -> None:
    sums: list[int] = []

    def work(_number: int, wrote: Wrote) -> None:
        turns.meet()
        if os.getpid() == US:
            turns.wait()
            wrote(100_000)
        else:
            wrote(1_000_000)
            turns.tell()

    with Shared(2, work, alone=False) as tasks:
        tasks.run(sums.append)
    assert sums == [1_100_000]


FAILURES = [
    IOFailed("a.war: cannot be read: Input/output error"),
    BadData("a.war: is damaged"),
    OSError(errno.ENOSPC, "No space left on device"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("here", [True, False])
def test_what_fails_in_either_process_is_raised_here(turns: Turns, failure: Exception, *, here: bool) -> None:
    def work(_number: int, _wrote: Wrote) -> None:
        turns.meet()
        if (os.getpid() == US) == here:
            raise failure

    with pytest.raises(type(failure)) as raised:
        shared(2, work)
    assert raised.value.args == failure.args
    assert children() == []


def test_of_two_failures_the_one_of_the_earlier_task_counts(turns: Turns) -> None:
    def work(number: int, _wrote: Wrote) -> None:
        turns.meet()
        raise BadData(f"{number} is damaged")

    for _ in range(20):
        with pytest.raises(BadData, match="0 is damaged"):
            shared(2, work)


def test_after_a_failure_no_more_tasks_begin(turns: Turns, tmp_path: Path) -> None:
    def work(number: int, _wrote: Wrote) -> None:
        (tmp_path / str(number)).touch()
        turns.meet()
        raise BadData("is damaged")

    with pytest.raises(BadData):
        shared(100, work)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def hang_there(_number: int, _wrote: Wrote) -> None:
    while os.getpid() != US:
        signal.pause()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_is_killed_is_a_failure_and_never_an_end(number: int) -> None:
    with Shared(2, hang_there, alone=False) as tasks:
        os.kill(children()[0], number)
        with pytest.raises(IOFailed, match=r"^the process that shares the work has died: give the container more mem"):
            tasks.run(no_tick)
    assert children() == []


def test_what_has_failed_here_is_told_though_the_child_is_killed(turns: Turns) -> None:
    def work(_number: int, _wrote: Wrote) -> None:
        turns.meet()
        if os.getpid() != US:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        shared(2, work)


def test_work_that_is_interrupted_here_ends_the_child_at_once() -> None:
    def give_up() -> None:
        with Shared(2, hang_there, alone=False):
            assert len(children()) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert children() == []


def test_a_defect_in_the_child_is_a_failure_here(turns: Turns, capfd: pytest.CaptureFixture[str]) -> None:
    def work(_number: int, _wrote: Wrote) -> None:
        turns.meet()
        if os.getpid() != US:
            raise AssertionError("a defect")

    with pytest.raises(IOFailed, match="has died"):
        shared(2, work)
    assert "AssertionError: a defect" in capfd.readouterr().err


# -- an archive that is unpacked by two -----------------------------------------------------------------------------

FILES = {"WEB-INF/web.xml": b"<web-app/>", "WEB-INF/lib/a.jar": noise(700_000), "text": b"la" * 200_000, "empty": b""}


Unpacked = tuple[Contents, dict[str, bytes]] | str


def unpacked(path: Path, folder: Path, *, alone: bool) -> Unpacked:
    """What comes of unpacking a file: what is there then, or why it is refused."""
    folder.mkdir()
    reader, root = os.open(path, os.O_RDONLY), os.open(folder, os.O_RDONLY)
    read = reader_of(reader)
    try:
        found = verification.survey(read, path.stat().st_size, WIDE, "unpackable")

        def work(number: int, wrote: Wrote) -> bytes:
            try:
                return verification.prove(
                    read, found, found.parts[number], "unpackable", Tree(root, 0o644, None, wrote)
                )
            except NotAnArchive as refusal:
                raise BadData(str(refusal)) from None

        verification.demand_no_overlap(shared(len(found.parts), work, alone=alone))
    except (NotAnArchive, BadData) as refusal:
        return str(refusal)
    finally:
        os.close(reader)
        os.close(root)
    return found.contents, tree(folder)


def both_ways(path: Path) -> tuple[Unpacked, Unpacked]:
    return (unpacked(path, path.parent / "alone", alone=True), unpacked(path, path.parent / "shared", alone=False))


NAMES = st.text("abc/", min_size=1, max_size=4)
DATA = st.binary(max_size=50) | st.just(noise(300_000))


@settings(max_examples=30)
@given(st.dictionaries(NAMES, DATA, min_size=1, max_size=6))
def test_the_same_comes_out_as_of_one(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("shared") / "a.war"
    path.write_bytes(packed(files))
    one, two = both_ways(path)
    assert isinstance(one, str) == isinstance(two, str)
    if not isinstance(one, str):
        assert one == two


def test_many_files_in_directories_that_both_have_to_make_are_all_there(tmp_path: Path) -> None:
    many = {f"{number % 7}/{number % 5}/{number}": noise(500, number) for number in range(3000)}
    (tmp_path / "a.war").write_bytes(packed(many))
    one, two = both_ways(tmp_path / "a.war")
    assert one == two
    assert not isinstance(two, str)
    assert two[1] == many


@pytest.mark.parametrize("name", [*FILES, "directory"])
def test_damage_anywhere_is_refused_in_the_same_words(tmp_path: Path, name: str) -> None:
    data = bytearray(streamed(FILES))
    at = data.rindex(name.encode()) if name in FILES else len(data) - 10
    data[at - 30] ^= 0xFF  # its checksum, sizes or place in the directory
    (tmp_path / "a.war").write_bytes(data)
    one, two = both_ways(tmp_path / "a.war")
    assert isinstance(one, str)
    assert one == two


def test_damage_within_a_large_file_is_refused_though_its_first_pieces_are_written(tmp_path: Path) -> None:
    data = bytearray(packed({"big": noise(1_000_000)}))
    data[900_000] ^= 0xFF
    (tmp_path / "a.war").write_bytes(data)
    one, two = both_ways(tmp_path / "a.war")
    assert one == two
    assert "is damaged" in str(two)


# -- the program ----------------------------------------------------------------------------------------------------

LARGE = war("large", size=1_500_000)
ALTERED = """
import os, sys
from sidecars.chassis import commandline
from sidecars.warcopier import app
from sidecars.warcopier.settings import Settings
from sidecars.warcopier.sharing import Shared

os.sched_getaffinity = lambda _: {0, 1}
run, end_as_orphan = Shared.run, Shared._end_as_orphan

def die(*_):
    os.kill(os.getpid(), 9)

def run_later(self, tick):
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    return run(self, tick)

def hang(*_):
    os.read(0, 1)

def end_when_orphaned(self):
    while os.getppid() == self._parent:
        pass
    end_as_orphan(self)

"""
RUN = "sys.exit(commandline.job(Settings, app.run))"


@pytest.fixture
def unpacking(copier: Copier) -> Copier:
    copier.offer(shop=LARGE)
    return copier


def test_a_large_archive_is_unpacked_as_a_small_one(unpacking: Copier) -> None:
    outcome = unpacking.run(**UNPACK)
    assert outcome.code == 0, outcome.stderr
    assert deployed(unpacking.target) == {"shop": tree_digest(entries(LARGE))}


def altered(copier: Copier, how: str) -> subprocess.Popen[str]:
    """The program with something else in the place of `Shared`'s methods."""
    program = [sys.executable, "-c", f"{ALTERED}{how}\n{RUN}"]
    environ = copier.environ(UNPACK)
    return subprocess.Popen(program, env=environ, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_when_the_child_is_killed_nothing_is_published_and_the_reason_is_told(unpacking: Copier) -> None:
    copier = altered(unpacking, "Shared._wrote_there, Shared.run = die, run_later")
    _, said = copier.communicate()
    assert copier.returncode == 74, said
    assert "the process that shares the work has died" in said.splitlines()[-1]
    assert deployed(unpacking.target) == {}
    assert leftovers(unpacking.target) == []


def test_when_the_copier_is_killed_its_child_ends_and_the_next_run_cleans_up(unpacking: Copier) -> None:
    copier = altered(unpacking, "Shared._end_as_orphan, Shared.run = end_when_orphaned, hang")
    listed = Path(f"/proc/{copier.pid}/task/{copier.pid}/children")
    child = int(wait_until(listed.read_text, "a child"))
    copier.kill()
    copier.communicate()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the end of the child")
    assert leftovers(unpacking.target) != []
    assert unpacking.run(**UNPACK).code == 0
    assert leftovers(unpacking.target) == []
    assert deployed(unpacking.target) == {"shop": tree_digest(entries(LARGE))}

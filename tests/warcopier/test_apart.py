"""Examining in a process of its own: the same comes out, and neither process outlives or deceives the other."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.lifecycle import IOFailed
from sidecars.warcopier import apart
from sidecars.warcopier.archive import Contents, examine
from sidecars.warcopier.copying import reader_of
from sidecars.warcopier.zipdir import NotAnArchive
from tests.support import wait_until
from tests.warcopier.archives import WIDE, packed, streamed
from tests.warcopier.support import Copier, deployed, entries, leftovers, noise, tree_digest, war

if TYPE_CHECKING:
    from sidecars.warcopier.archive import Sink

FILES = {"WEB-INF/web.xml": b"<web-app/>", "WEB-INF/lib/a.jar": noise(700_000), "text": b"la" * 200_000, "empty": b""}


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []

    def directory(self, path: bytes) -> None:
        self.found.append((path, b""))

    def file(self, path: bytes, pieces: Iterable[bytes], crc: int) -> None:
        data = b"".join(pieces)
        assert zlib.crc32(data) == crc
        self.found.append((path, data))


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY)


def both_ways(path: Path) -> tuple[object, object]:
    """What comes of examining a file: here, and in another process."""
    outcomes: list[object] = []
    reader = opened(path)

    def look(sink: Sink) -> Contents:
        return examine(reader_of(reader), path.stat().st_size, WIDE, "unpackable", sink)

    try:
        for elsewhere in (False, True):
            recorder = Recorder()
            try:
                if elsewhere:
                    with apart.examining(look, reader, "a.war") as ready:
                        contents = ready(recorder)
                else:
                    contents = look(recorder)
                outcomes.append((contents, recorder.found))
            except NotAnArchive as refusal:
                outcomes.append(str(refusal))
    finally:
        os.close(reader)
    assert children() == []
    return outcomes[0], outcomes[1]


NAMES = st.text("abc/", min_size=1, max_size=4)
DATA = st.binary(max_size=50) | st.just(noise(150_000))


@settings(max_examples=30)
@given(st.dictionaries(NAMES, DATA, min_size=1, max_size=6))
def test_the_same_comes_out_as_here(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("apart") / "a.war"
    path.write_bytes(packed(files))
    here, there = both_ways(path)
    assert here == there


def test_many_files_larger_than_all_that_may_be_on_its_way_arrive_whole(tmp_path: Path) -> None:
    (tmp_path / "a.war").write_bytes(packed({f"{number}": noise(5000, number) for number in range(1000)} | FILES))
    here, there = both_ways(tmp_path / "a.war")
    assert isinstance(here, tuple)
    assert here == there


@pytest.mark.parametrize("name", [*FILES, "directory"])
def test_damage_anywhere_is_refused_in_the_same_words(tmp_path: Path, name: str) -> None:
    data = bytearray(streamed(FILES))
    at = data.rindex(name.encode()) if name in FILES else len(data) - 10
    data[at - 30] ^= 0xFF  # its checksum, sizes or place in the directory
    (tmp_path / "a.war").write_bytes(data)
    here, there = both_ways(tmp_path / "a.war")
    assert isinstance(here, str)
    assert here == there


def test_damage_within_a_large_file_is_refused_though_its_first_pieces_were_handed_over(tmp_path: Path) -> None:
    data = bytearray(packed({"big": noise(1_000_000)}))
    data[900_000] ^= 0xFF
    (tmp_path / "a.war").write_bytes(data)
    here, there = both_ways(tmp_path / "a.war")
    assert here == there
    assert "is damaged" in str(there)


@pytest.fixture
def reader(tmp_path: Path) -> int:
    (tmp_path / "source").write_bytes(b"")
    return opened(tmp_path / "source")


def hang(_sink: Sink) -> Contents:
    while True:
        signal.pause()


def test_what_cannot_be_read_there_is_told_here(reader: int) -> None:
    def fail(_sink: Sink) -> Contents:
        raise IOFailed("a.war: cannot be read: Input/output error")

    with pytest.raises(IOFailed, match="Input/output"), apart.examining(fail, reader, "a.war") as ready:
        ready(Recorder())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_is_killed_is_a_failure_and_never_an_end(reader: int, number: int) -> None:
    with apart.examining(hang, reader, "a.war") as ready:
        os.kill(children()[0], number)
        with pytest.raises(IOFailed, match=r"^a\.war: the process that reads it has died: give the container more"):
            ready(Recorder())
    assert children() == []


def test_work_that_fails_here_ends_the_child_at_once(reader: int) -> None:
    def give_up() -> None:
        with apart.examining(hang, reader, "a.war"):
            assert len(children()) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert children() == []


def open_files() -> list[str]:
    """What the descriptors of this process lead to, but for the three that all have."""
    links = []
    for number in sorted(map(int, os.listdir("/proc/self/fd")))[3:]:  # noqa: PTH208 - of numbers
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            links.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115 - as above
    return links


def test_the_child_lets_go_of_all_that_is_its_parents(reader: int, tmp_path: Path) -> None:
    def tell(_sink: Sink) -> Contents:
        raise NotAnArchive(" ".join(open_files()))

    with (tmp_path / "lock").open("w"), apart.examining(tell, reader, "a.war") as ready:
        assert str(tmp_path / "lock") in open_files()
        with pytest.raises(NotAnArchive) as told:
            ready(Recorder())
    source, pipe = str(told.value).split()
    assert source == str(tmp_path / "source")
    assert pipe.startswith("pipe:")


def test_where_there_may_be_no_more_processes_it_is_done_here(reader: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", none_left)
    before = open_files()
    with apart.examining(lambda _sink: Contents(1, 2, has_web_inf=True), reader, "a.war") as ready:
        assert ready(Recorder()).entries == 1
        assert open_files() == before


# -- the program ----------------------------------------------------------------------------------------------------

LARGE = war("large", size=1_500_000)


@pytest.fixture
def unpacking(copier: Copier) -> Copier:
    copier.offer(shop=LARGE)
    return copier


def test_a_large_archive_is_unpacked_as_a_small_one(unpacking: Copier) -> None:
    outcome = unpacking.run(WARCOPIER_UNPACK="true")
    assert outcome.code == 0, outcome.stderr
    assert deployed(unpacking.target) == {"shop": tree_digest(entries(LARGE))}


def test_when_the_child_is_killed_nothing_is_published_and_the_reason_is_told(unpacking: Copier) -> None:
    dying = (
        "import os, sys; from chassis import commandline; from sidecars.warcopier import app, apart;"
        "from sidecars.warcopier.settings import Settings; apart._send = lambda *_: os.kill(os.getpid(), 9);"
        "os.sched_getaffinity = lambda _: {0, 1}; sys.exit(commandline.job(Settings, app.run))"
    )
    environ = unpacking.environ({"WARCOPIER_UNPACK": "true"})
    ended = subprocess.run([sys.executable, "-c", dying], env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 74, ended.stderr
    assert "shop.war: the process that reads it has died" in ended.stderr.splitlines()[-1]
    assert deployed(unpacking.target) == {}
    assert leftovers(unpacking.target) == []


def test_when_the_copier_is_killed_its_child_ends_too(unpacking: Copier) -> None:
    waiting = (
        "import os, sys; from chassis import commandline; from sidecars.warcopier import app, apart;"
        "from sidecars.warcopier.settings import Settings;"
        "apart._Receiver.examine = lambda *_: os.read(0, 1); os.sched_getaffinity = lambda _: {0, 1};"
        "sys.exit(commandline.job(Settings, app.run))"
    )
    environ = unpacking.environ({"WARCOPIER_UNPACK": "true"})
    copier = subprocess.Popen([sys.executable, "-c", waiting], env=environ, stdin=subprocess.PIPE)
    listed = Path(f"/proc/{copier.pid}/task/{copier.pid}/children")
    child = int(wait_until(listed.read_text, "a child"))
    copier.kill()
    copier.wait()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the end of the child")
    assert copier.stdin
    copier.stdin.close()

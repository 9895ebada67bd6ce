"""Very many files: the work grows with their number, not with its square, and shipping goes on during a scan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecars.logshipper.input import discovery
from sidecars.logshipper.model import steps
from sidecars.logshipper.volumes import globs
from sidecars.logshipper.volumes.log_volumes import LogVolumes
from tests.logshipper.alike_files import HEADERS, fill
from tests.logshipper.pod import Pod
from tests.logshipper.support import append


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of each read."""
    real, asked = os.pread, list[int]()

    def counting(descriptor: int, length: int, offset: int) -> bytes:
        asked.append(length)
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", counting)
    return asked


@pytest.mark.parametrize("header", HEADERS)
def test_files_that_begin_alike_are_told_apart_with_a_bounded_number_of_reads_each(
    tmp_path: Path, reads: list[int], header: str
) -> None:
    row = b"" if header == "all of it" else b"N,x,y\n" * 20
    fill(tmp_path / "logs", 600, HEADERS[header], row)
    pod = Pod(tmp_path)
    assert len(reads) < 600 * 40
    assert len(pod.follower.tails) == (600 if row else 1)
    reads.clear()
    fill(tmp_path / "logs", 610, HEADERS[header], row)
    pod.look()
    assert len(reads) < 700 * 40, "a few more cost no more than all did"
    assert len(pod.follower.tails) == (610 if row else 1)


def test_a_copy_in_the_making_is_known_among_very_many_files_that_begin_alike(tmp_path: Path) -> None:
    fill(tmp_path / "logs", 200, HEADERS["more than a kilobyte"], b"N,x,y\n" * 20)
    pod = Pod(tmp_path)
    original = pod.logs / "data-00077.log"
    copy = pod.logs / "data-00077.1.log"
    copy.write_bytes(original.read_bytes())
    pod.look()
    assert len(pod.follower.tails) == 200
    os.truncate(original, 0)
    pod.look()
    while pod.ship():
        pass
    assert pod.got["default"].count("77,x,y") == 20
    assert not pod.dropped()


def test_files_are_shipped_while_others_are_still_being_found(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    for number in range(300):
        append(pod.logs / f"{number}.log", f"{number}\n")
    steps = pod.follower.scan_steps(first=False)
    while not pod.follower.tails:
        next(steps)
    assert len(pod.follower.tails) < 300
    first = pod.ship()
    assert first
    for _ in steps:
        pass
    rest = pod.ship()
    assert sorted([*first, *rest], key=int) == [str(number) for number in range(300)]


def test_what_happens_to_files_in_the_middle_of_a_scan_loses_nothing(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    for number in range(100):
        append(pod.logs / f"{number}.log", f"{number}\n")
    for at, _ in enumerate(pod.follower.scan_steps(first=False)):
        if at == 10:
            (pod.logs / "3.log").rename(pod.logs / "3.log.1")
            (pod.logs / "99.log").rename(pod.logs / "renamed.log")
        if at == 20:
            os.truncate(pod.logs / "5.log", 0)
            append(pod.logs / "5.log", "5 again\n")
            pod.ship()
            append(pod.logs / "created.log", "created\n")
    pod.look()
    pod.ship()
    got = pod.got["default"]
    assert {*got} == {*map(str, range(100)), "5 again", "created"} - ({"5"} if "5" not in got else set())
    assert len(got) == len({*got})


def test_a_batch_does_not_read_every_file_in_vain_once_it_is_nearly_full(tmp_path: Path, reads: list[int]) -> None:
    fill(tmp_path / "logs", 500, b"", b"N,x,y\n" * 100)
    pod = Pod(tmp_path)
    reads.clear()
    chunks = pod.queues["default"].collect(2000)
    assert len(chunks) >= 1
    assert len(reads) < 100


def test_a_directory_that_cannot_be_opened_for_want_of_descriptors_is_read_with_one_of_the_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path / "app.log", "1\n")
    real, refused = os.scandir, list[int]()

    def once(folder: int) -> os._ScandirIterator[str]:
        if not refused:
            refused.append(folder)
            raise OSError(24, "Too many open files")
        return real(folder)

    monkeypatch.setattr(os, "scandir", once)
    volumes = LogVolumes([str(tmp_path)])
    found = [match.path for match in globs.find(f"{tmp_path}/*.log", volumes, lambda *_: None, set()) if match]
    assert found == [str(tmp_path / "app.log")]
    assert refused


@pytest.mark.parametrize("copied", [True, False])
def test_many_files_that_are_cut_at_once_need_one_look_into_their_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, copied: bool
) -> None:
    fill(tmp_path / "logs", 200, b"", b"N,x,y\n" * 20)
    pod = Pod(tmp_path)
    for path in sorted(pod.logs.iterdir()):
        if copied:
            path.with_suffix(".old").write_bytes(path.read_bytes())
        os.truncate(path, 0)
    real, looked = discovery.files_in, list[str]()

    def counting(volumes: LogVolumes, folder: str) -> dict[str, discovery.FoundFile]:
        looked.append(folder)
        return real(volumes, folder)

    monkeypatch.setattr(discovery, "files_in", counting)
    pod.look()
    assert len(looked) <= 2
    while pod.ship():
        pass
    assert len(pod.got["default"]) == (200 * 20 if copied else 0)
    assert pod.dropped()["lost"] == (0 if copied else sum(20 * len(f"{number},x,y\n") for number in range(200)))


def test_the_search_for_missing_rotated_files_reads_a_directory_at_a_step_and_only_where_names_have_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        folder = tmp_path / "logs" / str(number)
        folder.mkdir(parents=True)
        append(folder / "app.log", "1\n")
        if number % 3 == 0:
            append(folder / "app.log.2", "2\n")
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*/app.log*")
    listing = steps.run(pod.follower.scan_known())
    real, read = LogVolumes.scan, list[str]()

    def noted(volumes: LogVolumes, folder: str) -> Iterator[os.DirEntry[str]]:
        read.append(folder)
        return real(volumes, folder)

    monkeypatch.setattr(LogVolumes, "scan", noted)
    most = before = 0
    for _ in pod.follower.warn_about_missing(listing):
        most, before = max(most, len(read) - before), len(read)
    assert most == 1
    assert len(read) == 10
    assert len(pod.follower.missing) == 10

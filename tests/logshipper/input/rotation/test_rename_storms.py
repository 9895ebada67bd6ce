"""Files that are renamed all the time: listings lack some of them, and are out of date before their files are opened.

Whatever a scan misses, and whenever the process is killed, each line comes once, under one id.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sidecars.logshipper.input.rotation import missed_files
from sidecars.logshipper.volumes.log_volumes import LogVolumes
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append
from tests.support import examples


class Storm:
    """A directory whose listings lack some entries, and are out of date when they are used."""

    def __init__(self, folder: Path, data: st.DataObject, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pod = Pod(folder, LOGSHIPPER_PATHS=f"{folder}/logs/app.log*")
        self.written: list[str] = []
        self._draw = data.draw
        self._is_calm = False
        real = LogVolumes.scan

        def scan(volumes: LogVolumes, path: str) -> Iterator[os.DirEntry[str]]:
            for entry in real(volumes, path):
                if self._is_calm or self._draw(st.integers(0, 3)):
                    yield entry
            if not self._is_calm and self._draw(st.booleans()):
                self.rotate()

        monkeypatch.setattr(LogVolumes, "scan", scan)

    def write(self) -> None:
        self.written.append(f"{len(self.written)} {'x' * 70}")
        append(self.pod.log, f"{self.written[-1]}\n")

    def rotate(self) -> None:
        """Give each file the next number."""
        numbers = sorted((int(path.suffix[1:]) for path in self.pod.logs.glob("app.log.*")), reverse=True)
        for number in numbers:
            (self.pod.logs / f"app.log.{number}").rename(self.pod.logs / f"app.log.{number + 1}")
        if self.pod.log.exists():
            self.pod.log.rename(self.pod.logs / "app.log.1")

    async def restart(self) -> None:
        """Kill the process, rotate, and start the next one."""
        self.pod.kill()
        self.rotate()
        self.pod.begin()
        await self.pod.store.save()  # as the process does before it ships

    def calm_down(self) -> None:
        self._is_calm = True


_STEPS = st.lists(st.sampled_from(["write", "write", "rotate", "look", "look", "ship", "kill"]), max_size=12)


@examples(25)
@given(st.data())
async def test_each_line_comes_once_whatever_the_listings_miss_and_whenever_the_process_is_killed(
    data: st.DataObject,
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        storm = Storm(Path(folder), data, monkeypatch)
        pod = storm.pod
        await pod.store.save()  # as the process does before it is ready
        for step in data.draw(_STEPS):
            match step:
                case "write":
                    storm.write()
                case "rotate":
                    storm.rotate()
                case "look":
                    pod.look(1.0)
                case "ship":
                    pod.ship()
                case "kill":
                    await storm.restart()
        storm.calm_down()
        pod.look()
        pod.ship()
        pod.look_until_gone()
        pod.ship()
        pod.kill()
        assert Counter(pod.got["default"]) == Counter(storm.written)
        assert not pod.dropped()


async def test_a_file_that_is_renamed_between_the_listing_and_its_opening_keeps_its_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first listing after a restart shows the new name of another file."""
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    for number in range(3):
        append(pod.log, f"{number} {'x' * 70}\n")
        pod.look()
        pod.rotate()
    pod.look()
    shipped = pod.ship()
    await pod.restart()
    generations = list(pod.follower.tails)
    pod.kill()
    real = LogVolumes.scan
    scans = 0

    def scan(volumes: LogVolumes, path: str) -> Iterator[os.DirEntry[str]]:
        nonlocal scans
        scans += 1
        yield from real(volumes, path)
        if scans < 8:
            for rotated in sorted(pod.logs.glob("app.log.*"), reverse=True):
                rotated.rename(f"{rotated}x")

    monkeypatch.setattr(LogVolumes, "scan", scan)
    pod.begin()
    assert not pod.ship(), shipped
    pod.look()
    pod.look_until_gone()
    assert not pod.ship()
    assert list(pod.follower.tails) == generations


async def test_a_copy_of_a_missed_file_is_not_followed_before_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    append(pod.log, f"1 {'x' * 70}\n")
    pod.look()
    assert len(pod.ship()) == 1
    await pod.restart()
    pod.kill()
    aside = tmp_path / "aside"
    pod.log.rename(aside)
    pod.begin()
    append(pod.logs / "app.log.2", aside.read_text())
    with monkeypatch.context() as patch:  # only the globs see the copy
        patch.setattr("sidecars.logshipper.input.rotation.dormant_search.DormantSearch._sweep", lambda *_: iter(()))
        patch.setattr("sidecars.logshipper.input.discovery.files_in", lambda *_: {})
        pod.look()
        assert not pod.ship()
    aside.rename(pod.log)
    pod.look()
    assert not pod.ship()
    assert pod.now < ROTATE_WAIT
    assert missed_files.LEAST > 1

"""Killed at each call that changes a file, on its first start and after an earlier kill, it loses and invents no line.

CRASH_POINTS=all (`make chaos`) takes every call. Else some are taken: of the first ones of each kind at each file.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash_points import KILLED, Point, end, first_of_each, points, run
from tests.logshipper.support import FAST, Receiver, lines_of
from tests.support import ROOT

pytestmark = pytest.mark.timeout(3600)  # `make chaos` has hundreds of points

ALL = os.environ.get("CRASH_POINTS") == "all"
COMMAND = [sys.executable, "-m", "sidecars.logshipper"]
COUNT = 60  # lines of a file
UNFINISHED = "app.log the last line has no end"


def text_of(name: str) -> str:
    return "".join(f"{name} {number}{' BAD' if number % 25 == 7 else ''} {'x' * 60}\n" for number in range(COUNT))


WRITTEN = [*text_of("app.log.1").splitlines(), *text_of("app.log").splitlines(), UNFINISHED]


class Shipper:
    """A logshipper with a log, a rotated one, a receiver that refuses some lines, and a file sink."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receiver = Receiver()
        self.receiver.mode = "poison:BAD"
        for name in ("logs", "state", "out", "letters"):
            (folder / name).mkdir(parents=True)
        (folder / "logs" / "app.log.1").write_text(text_of("app.log.1"))
        (folder / "logs" / "app.log").write_text(text_of("app.log") + UNFINISHED)

    def environ(self) -> dict[str, str]:
        return {
            **FAST,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LOGSHIPPER_PATHS": f"{self.folder}/logs/app.log*",
            "LOGSHIPPER_STATE_DIR": f"{self.folder}/state",
            "LOGSHIPPER_WEB_SINK": self.receiver.url,
            "LOGSHIPPER_WEB_ON_REJECT": f"{self.folder}/letters",
            "LOGSHIPPER_DISK_SINK": f"file://{self.folder}/out",
            "LOGSHIPPER_BATCH_SIZE": "4KiB",
            "LOGSHIPPER_ADMIN_LISTEN": "off",
            "LOGSHIPPER_EXIT_WHEN_IDLE": "100ms",
            "LOGSHIPPER_ROTATE_WAIT": "50ms",
            "LOGSHIPPER_DELETE_DELIVERED": "true",
            "LOGSHIPPER_REQUEST_TIMEOUT": "20s",
        }

    def kill_at(self, point: Point | None) -> int:
        return run(COMMAND, self.environ(), self.folder / "trace", point)

    def points(self) -> list[Point]:
        return [
            Point(str(Path(place).relative_to(self.folder)), call, number)
            for place, call, number in points(self.folder / "trace", self.folder)
        ]

    def here(self, point: Point) -> Point:
        return point._replace(place=str(self.folder / point.place))

    def missing_or_wrong(self) -> list[str]:
        """Return what the sinks do not have as it was written."""
        letters = [json.loads(line) for line in _lines_below(self.folder / "letters")]
        records = [*self.receiver.records(), *letters]
        arrived = lines_of(records)
        kept = Counter(json.loads(line)["message"] for line in _lines_below(self.folder / "out"))
        wrong = [f"the receiver has not: {line:.40}" for line in WRITTEN if line not in arrived]
        wrong += [f"nobody wrote: {line:.40}" for line in arrived if line not in WRITTEN]
        wrong += [f"the file sink has {kept[line]} times: {line:.40}" for line in WRITTEN if kept[line] != 1]
        return wrong


def _lines_below(folder: Path) -> list[str]:
    return [line for path in sorted(folder.glob("*.ndjson")) for line in path.read_text().splitlines()]


def killed_and_started_again(folder: Path, earlier: Point | None, point: Point) -> tuple[bool, list[str]]:
    """Return whether the kill came, and what is wrong after the next run, which goes to its end."""
    shipper = Shipper(folder)
    try:
        if earlier is not None:
            shipper.kill_at(shipper.here(earlier))
        code = shipper.kill_at(shipper.here(point))
        wrong = [] if code in (0, KILLED) else [f"exit {code}"]
        again = end(COMMAND, shipper.environ())
        wrong += [f"exit {again} of the next run"] if again else []
        return code == KILLED, wrong + shipper.missing_or_wrong()
    finally:
        shipper.receiver.close()
        shutil.rmtree(folder)


EARLIER = Point("out/disk.ndjson", "fsync", 3)  # a batch of both sinks is on its way, others are delivered


@pytest.mark.parametrize("earlier", [None, EARLIER], ids=["first start", "after an earlier kill"])
def test_killed_at_any_call_that_changes_a_file_no_line_is_lost(tmp_path: Path, earlier: Point | None) -> None:
    whole = Shipper(tmp_path / "whole")
    try:
        if earlier is not None:
            assert whole.kill_at(whole.here(earlier)) == KILLED
        assert whole.kill_at(None) == 0
        assert whole.missing_or_wrong() == []
        every = whole.points()
    finally:
        whole.receiver.close()
    assert len(every) > 30
    chosen = every if ALL else first_of_each(every)[:: 2 if earlier is None else 4]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = pool.map(
            lambda item: killed_and_started_again(tmp_path / f"point{item[0]}", earlier, item[1]), enumerate(chosen)
        )
        outcomes = dict(zip(chosen, runs, strict=True))
    assert {str(point): wrong for point, (_, wrong) in outcomes.items() if wrong} == {}
    killed = sum(came for came, _ in outcomes.values())
    assert killed > len(chosen) // 2, "most kills came: the calls are nearly the same in each run"

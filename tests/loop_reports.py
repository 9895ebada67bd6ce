"""A sidecar in `tests.loop_turns`, and the report of its loop's turns."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import CODE, ROOT, free_port, wait_until

LIMIT = 50.0  # ms


@dataclass(frozen=True)
class Stall:
    """The longest turn of the loop: ms of CPU time. `where` is its callback that took the most of it."""

    turn: float
    held: float  # ms that threads used beyond a poll's own time
    where: str = ""


class Report:
    """The report of such a program, read in parts: one part for each input."""

    def __init__(self, path: Path, admin: int) -> None:
        """`admin` is the program's admin port."""
        self.admin = admin
        self._path = path
        self._read = 0

    def longest(self) -> Stall:
        """Return the longest turn since the last call."""
        data = self._path.read_bytes() if self._path.exists() else b""
        lines = data[self._read :].splitlines()
        self._read = len(data)
        found = [Stall(*json.loads(line)) for line in lines]
        worst = max(found, key=lambda stall: stall.turn, default=Stall(0.0, 0.0))
        return Stall(worst.turn, max((stall.held for stall in found), default=0.0), worst.where)


@contextlib.contextmanager
def running(name: str, folder: Path, **settings: str) -> Iterator[Report]:
    """Run the sidecar in this program, and yield its report when it is ready."""
    admin = free_port()
    prefix = name.upper()
    report = Report(folder / f"{admin}.turns", admin)
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{CODE}:{ROOT}",
        f"{prefix}_ADMIN_LISTEN": f"127.0.0.1:{admin}",
    }
    environ |= {f"{prefix}_{key}": value for key, value in settings.items()}
    with (folder / f"{admin}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.loop_turns", str(folder / f"{admin}.turns"), f"sidecars.{name}"],
            cwd=folder,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        wait_until(lambda: request(admin, "/readyz") == 200 or process.poll() is not None, "ready")
        assert process.poll() is None, (folder / f"{admin}.log").read_text()
        report.longest()  # the start is over
        yield report
    finally:
        process.kill()
        process.wait()


def request(port: int, path: str, **headers: str) -> int:
    """Return the status of the response; 0 without one."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code
    except OSError:
        return 0


def least(found: list[Stall]) -> Stall:
    worst = min(found, key=lambda stall: stall.turn)
    return Stall(worst.turn, min(stall.held for stall in found), worst.where)


def looks(report: Report, rounds: int) -> Stall:
    """Return the longest stall of a look at the page, and of both forms of `/status`."""
    request(report.admin, "/", Accept="text/html")  # it loads the page
    found = []
    for path, kind in (("/", "text/html"), ("/status", "application/json"), ("/status?compact", "application/json")):
        several = []
        for _ in range(rounds):
            report.longest()
            assert request(report.admin, path, Accept=kind) == 200
            several.append(report.longest())
        found.append(least(several))
    return max(found, key=lambda stall: stall.turn)

"""Crash points: a program is killed at each call that changes a file, one after the other, as strace sees the calls.

    a whole run below strace ──▶ its calls that change a file ──▶ a run for each: SIGKILL as the call begins

strace counts the calls of a thread. So a point is the number of a call among those of its kind, and, where the names of
files do not change from run to run, among those at one place: a file, or a directory in which a name changes.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support import PATIENCE, peer

CHANGES = (
    *("write", "writev", "pwrite64", "copy_file_range", "sendfile", "ftruncate", "fsync", "fdatasync", "syncfs"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "linkat"),
    *("open", "openat", "openat2", "fchmod", "fchmodat", "fchown", "utimensat", "fallocate"),
)
"""Calls that change a file or a name. Of those that open, the ones that may create a file are points."""
KILLED = 128 + 9  # what strace exits with when SIGKILL has ended the program; or it ends itself by the signal
_OPENS = ("open", "openat", "openat2")
_CALL = re.compile(r"^(\d+) +(\w+)\((?:\d+<([^>]*)>|AT_FDCWD(?:<[^>]*>)?, \"([^\"]*)\"|\"([^\"]*)\")(.*)")


class Point(NamedTuple):
    """A call at which the program is killed."""

    place: str  # the path that the call is about; "" for any
    call: str
    number: int  # among the calls of a thread at the place

    def __str__(self) -> str:
        return f"{self.call} {self.number}{' at ' if self.place else ''}{Path(self.place).name}"


def points(trace: Path, folder: Path, *, by_place: bool = True) -> list[Point]:
    """Return the points of a whole run that are below the folder, in their order, each once."""
    seen: Counter[tuple[str, str, str]] = Counter()
    found: dict[Point, None] = {}
    for line in trace.read_text(errors="replace").splitlines():
        call = _CALL.match(line)
        if call is None or call[2] not in CHANGES:
            continue
        path = call[3] or call[4] or call[5] or ""
        place = path if by_place else ""
        seen[call[1], place, call[2]] += 1
        may_change = call[2] not in _OPENS or "O_CREAT" in call[6]
        if may_change and Path(path).is_relative_to(folder):
            found[Point(place, call[2], seen[call[1], place, call[2]])] = None
    return list(found)


def first_of_each(all_points: Sequence[Point]) -> list[Point]:
    """Return the first point of each kind of call at each place."""
    return list({(point.place, point.call): point for point in reversed(all_points)}.values())


def run(command: Sequence[str], environ: Mapping[str, str], trace: Path, kill: Point | None = None) -> int:
    """Run a command below strace to its end, and kill it at a point. Return its exit code, or KILLED."""
    calls = ",".join(f"?{call}" for call in CHANGES) if kill is None else kill.call
    options = ["-f", "-y", "-qq", "-s", "0", "-e", "signal=none", "-o", str(trace), "-e", f"trace={calls}"]
    if kill is not None:
        options += ["-e", f"inject={kill.call}:signal=KILL:when={kill.number}"]
        options += ["-P", kill.place] if kill.place else []
    code = end([peer("strace"), *options, *command], environ)
    return KILLED if code == -9 else code


def end(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command to its end. Return its exit code."""
    whole = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run(
        command, env=whole, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
    ).returncode

"""A stand-in for a node: Pods that write lines, and the kubelet and the runtime that keep their files.

    NODE_LOGS       where the Pods' directories are made (/var/log/pods)
    NODE_QUIET      number of Pods with ten lines a second (1)
    NODE_NOISY      number of noisy Pods (10)
    NODE_RATE       lines a second of each noisy Pod (1000)
    NODE_LINES      lines of each noisy Pod before the end (0: write until SIGTERM)
    NODE_MAX_SIZE   bytes of a file, then it is rotated (1048576; the kubelet's containerLogMaxSize is 10Mi)
    NODE_MAX_FILES  files of a container (5, as the kubelet's containerLogMaxFiles)
    NODE_LOOK       seconds between two looks at the sizes (1; the kubelet's are 10)
    NODE_DELETED    1: print the lines of deleted files, too (0)
    NODE_STDOUT     lines a second: be the app of one Pod instead, and write to the standard output

The kubelet's scheme: 0.log is renamed to 0.log.<time>, and the runtime begins a new 0.log. At the next rotation the
earlier file is compressed into <name>.tmp, which becomes <name>.gz, and only then is it deleted. The oldest files are
deleted. A file is not rotated twice in a second, in which both would get the same name.

At the end the number of lines of each Pod is printed, and with NODE_DELETED=1 also the lines of its deleted files, as
[first line, the one behind the last, seconds since the file was begun].
"""

import gzip
import json
import os
import shutil
import signal
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

SECOND = 10**9  # nanoseconds
TICK = 0.05  # seconds
QUIET_RATE = 10  # lines a second
PIECES = 7  # each seventh line of a quiet Pod comes in two pieces, as a runtime cuts a line that is longer than 16 KiB
PADDING = "an order was taken, and the app says so with as many words as apps do"


def message(number: int, now: int) -> str:
    """Return a line of the app. `written`: nanoseconds since 1970, from which the collector computes the delay."""
    return json.dumps({"level": "info", "number": number, "written": now, "message": PADDING}, separators=(",", ":"))


class PodLog:
    """The log of one container. The runtime writes it, in the CRI format."""

    def __init__(self, root: Path, namespace: str, pod: str, rate: int) -> None:
        uid = uuid.uuid5(uuid.NAMESPACE_DNS, f"{pod}.{namespace}")
        self.folder = root / f"{namespace}_{pod}_{uid}" / "app"
        self.path = self.folder / "0.log"
        self.written = 0
        self.deleted: list[tuple[int, int, float]] = []  # lines of deleted files, and the age of each file
        self._begun: dict[str, tuple[int, int, float]] = {}  # by name of a rotated file: its lines, and when it began
        self._first, self._since = 0, time.monotonic()
        self._rate = rate
        self._cuts = rate == QUIET_RATE
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(self.path, flags, 0o640)  # nobody else may read it, as on a node

    def write(self, seconds: float, most: int) -> None:
        """Write the lines that are due after so many seconds, `most` of them in all (0: any number)."""
        due = int(seconds * self._rate) + 1
        due = min(due, most) if most else due
        now = time.time_ns()
        stamp = datetime.fromtimestamp(now // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{now % SECOND:09d}Z"
        lines = []
        for number in range(self.written, due):
            text = message(number, now)
            if self._cuts and number % PIECES == 0:
                lines.append(f"{stamp} stdout P {text[:40]}\n{stamp} stdout F {text[40:]}\n")
            else:
                lines.append(f"{stamp} stdout F {text}\n")
        os.write(self._descriptor, "".join(lines).encode())
        self.written = max(due, self.written)

    def rotate(self, most_size: int, most_files: int) -> None:
        """Look at the size as the kubelet does, and rotate the file if it is too large."""
        to = self.folder / f"0.log.{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}"
        if self.path.stat().st_size < most_size or to.name in self._begun:
            return
        rotated = sorted(path for path in self.folder.iterdir() if path.name.startswith("0.log."))
        for path in rotated[: max(0, len(rotated) - (most_files - 2))]:
            path.unlink()
            first, after, since = self._begun.get(path.name.removesuffix(".gz"), (0, 0, 0.0))
            self.deleted.append((first, after, round(time.monotonic() - since, 1)))
        for path in rotated[-(most_files - 2) :]:
            if path.suffix != ".gz":
                compress(path)
        self.path.rename(to)
        self._begun[to.name] = (self._first, self.written, self._since)
        self._first, self._since = self.written, time.monotonic()
        os.close(self._descriptor)
        self._open()


def compress(path: Path) -> None:
    partial = path.with_name(f"{path.name}.tmp")
    with path.open("rb") as source, gzip.open(partial, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target)
    partial.rename(path.with_name(f"{path.name}.gz"))
    path.unlink()


def number_of(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


def be_an_app(rate: int) -> None:
    """Write lines to the standard output, as the app of a real Pod does."""
    began, number = time.monotonic(), 0
    while True:
        for _ in range(int((time.monotonic() - began) * rate) - number + 1):
            sys.stdout.write(message(number, time.time_ns()) + "\n")
            number += 1
        sys.stdout.flush()
        time.sleep(TICK)


def be_a_node(root: Path) -> None:
    noisy, most = number_of("NODE_NOISY", 10), number_of("NODE_LINES", 0)
    rate, look = number_of("NODE_RATE", 1000), float(os.environ.get("NODE_LOOK", "1"))
    loud = [PodLog(root, "batch", f"noisy-{number}", rate) for number in range(noisy)]
    quiet = [PodLog(root, "shop", f"quiet-{number}", QUIET_RATE) for number in range(number_of("NODE_QUIET", 1))]
    most_size, most_files = number_of("NODE_MAX_SIZE", 1024 * 1024), number_of("NODE_MAX_FILES", 5)
    began = looked = time.monotonic()
    ends = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ends.set())
    while not ends.is_set() and (not most or any(pod.written < most for pod in loud)):
        now = time.monotonic()
        for pod in loud:
            pod.write(now - began, most)
        for pod in quiet:
            pod.write(now - began, 0)
        if now - looked >= look:
            looked = now
            for pod in (*loud, *quiet):
                pod.rotate(most_size, most_files)
        time.sleep(TICK)
    pods = {"/".join(pod.folder.parent.name.split("_")[:2]): pod for pod in (*loud, *quiet)}
    sys.stdout.write(json.dumps({name: pod.written for name, pod in pods.items()}) + "\n")
    if number_of("NODE_DELETED", 0):
        sys.stdout.write(json.dumps({name: pod.deleted for name, pod in pods.items()}) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # process 1 gets no signal without a handler
    if rate := number_of("NODE_STDOUT", 0):
        be_an_app(rate)
    else:
        be_a_node(Path(os.environ.get("NODE_LOGS", "/var/log/pods")))

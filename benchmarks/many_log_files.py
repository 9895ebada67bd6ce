"""The logshipper with 20,000 log files and 1,024 descriptors: `python -m benchmarks.many_log_files [files]`.

The files are in 200 directories, and have a line each. The figures, of one process and in CPU time where that is
possible:

- from the start until the first line is at the sink;
- the longest answer of `/livez` from the start until all lines are at the sink, and while the files are idle;
- CPU time and memory while nothing is written: the share of a core in IDLE seconds, and the resident memory, also after
  a restart with the state of all files;
- from the writing of a line to a file that is closed until the line is at the sink, the slowest of some;
- lines that are missing, or came under two ids, also after ROUNDS in which closed files are written and renamed, or
  replaced by files with their inodes. A repeat under the same id is allowed: a request may have timed out.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx

from benchmarks.figures import Figure, conclude, refuse
from tests.logshipper.file_turnover import turn_over
from tests.logshipper.support import Receiver, environ
from tests.support import Program, free_port

FILES, FOLDERS, DESCRIPTORS = 20_000, 200, 1_024
IDLE, LINES, PATIENCE = 30.0, 20, 300.0  # seconds, lines, seconds
ROUNDS, TURNED_OVER = 4, 600  # rounds, files of each
REST = 15.0  # seconds until a process that was started again has closed its files
LAST = "this line was written after the restart"
_TICK = os.sysconf("SC_CLK_TCK")


class Arrivals:
    """The lines at the receiver, by id."""

    def __init__(self, receiver: Receiver) -> None:
        self.ids: dict[str, str] = {}  # id -> line
        self.repeated = 0  # lines that came again under the same id
        self.records = 0
        self._stored = receiver.stored
        self._read = 0  # bodies

    def __len__(self) -> int:
        for _, body in self._stored[self._read :]:
            self._read += 1
            for line in body.splitlines():
                record = json.loads(line)
                self.records += 1
                self.ids[record["id"]] = record["message"]
        self.repeated = self.records - len(self.ids)
        return len(self.ids)

    def missing(self, written: set[str]) -> list[str]:
        return sorted(written - set(self.ids.values()))

    def under_two_ids(self) -> list[str]:
        return sorted(line for line, ids in Counter(self.ids.values()).items() if ids > 1)


class Probes:
    """Asks `/livez` every 20 ms, in a thread. `worst` is the longest time of an answer, in milliseconds."""

    def __init__(self, port: int) -> None:
        self.worst = 0.0
        self._url = f"http://127.0.0.1:{port}/livez"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        with httpx.Client(trust_env=False, timeout=10) as client:
            while not self._over.wait(0.02):
                began = time.monotonic()
                with contextlib.suppress(httpx.TransportError):
                    client.get(self._url)
                    self.worst = max(self.worst, (time.monotonic() - began) * 1e3)

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@contextlib.contextmanager
def probed(port: int) -> Iterator[Probes]:
    probes = Probes(port)
    try:
        yield probes
    finally:
        probes.close()


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident(pid: int, kind: str = "VmRSS") -> float:
    """Return the resident memory, in MiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(f"{kind}:"))


def wait_until(done: Callable[[], bool]) -> float:
    """Return the seconds until it is done. Raises TimeoutError."""
    began = time.monotonic()
    while not done():
        if time.monotonic() > began + PATIENCE:
            raise TimeoutError
        time.sleep(0.005)
    return time.monotonic() - began


def memory_after_restart(program: Program, log: Path, arrivals: Arrivals, arrived: int) -> float:
    """Return the resident memory of a process that has found all files of its state again, and rests."""
    with log.open("a") as file:
        file.write(f"{LAST}\n")
    wait_until(lambda: len(arrivals) > arrived)
    time.sleep(REST)
    return resident(program.process.pid)


def measure(folder: Path, files: int) -> list[Figure]:
    receiver, port = Receiver(), free_port()
    variables = environ(folder, port, LOGSHIPPER_SINK=receiver.url)
    variables |= {"LOGSHIPPER_PATHS": f"{folder}/logs/**/*.log", "LOGSHIPPER_SCAN_INTERVAL": "1s"}
    variables["LOGSHIPPER_REQUEST_TIMEOUT"] = "60s"
    variables |= {"LOGSHIPPER_LOG_LEVEL": "warning", "LOGSHIPPER_CLOSE_INACTIVE": "2s"}
    logs = [folder / "logs" / f"pod-{number % FOLDERS}" / f"{number}.log" for number in range(files)]
    for number, log in enumerate(logs):
        log.parent.mkdir(exist_ok=True)
        log.write_text(f"{number} is the first line of its file\n")
    code = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS})); "
        "runpy.run_module('sidecars.logshipper', run_name='__main__', alter_sys=True)"
    )
    program = Program(["-c", code], variables, folder)
    pid = program.process.pid

    arrivals = Arrivals(receiver)
    try:
        with probed(port) as probes:
            first = wait_until(lambda: bool(receiver.stored))
            worked = cpu(pid)
            everything = wait_until(lambda: len(arrivals) >= files)
        at_start, spent = probes.worst, cpu(pid)
        time.sleep(10)
        with probed(port) as probes:
            time.sleep(IDLE / 2)
        before, began = cpu(pid), time.monotonic()
        time.sleep(IDLE)
        share = (cpu(pid) - before) / (time.monotonic() - began) * 100
        memory, slowest = resident(pid), 0.0
        for sent, log in enumerate(random.Random(1).sample(logs, LINES), 1):
            with log.open("a") as file:
                file.write(f"{sent} is a line in a closed file\n")
            slowest = max(slowest, wait_until(partial(lambda wanted: len(arrivals) >= wanted, files + sent)))
            time.sleep(0.2)
        turned_over: set[str] = set()
        for number in range(ROUNDS):
            turned_over.update(turn_over(random.Random(number).sample(logs, TURNED_OVER), number))
            wait_until(lambda: len(arrivals) >= files + LINES + len(turned_over))
            time.sleep(4)  # the files are closed
        peak = resident(pid, "VmHWM")
        exit_code = program.stop(60)
        program = Program(["-c", code], variables, folder)
        again = memory_after_restart(program, logs[0], arrivals, files + LINES + len(turned_over))
        program.stop(60)
    finally:
        print(program.stderr[-2000:])
        program.kill()
        receiver.close()
    written = {f"{number} is the first line of its file" for number in range(files)}
    written |= {f"{number} is a line in a closed file" for number in range(1, LINES + 1)}
    written |= turned_over | {LAST}
    len(arrivals)
    print(f"missing: {arrivals.missing(written)[:5]}, under two ids: {arrivals.under_two_ids()[:5]}")
    print(f"all lines after {first + everything:.1f} s, {spent:.1f} s of CPU; peak {peak:.0f} MiB; exit {exit_code}")
    return [
        Figure("first line at the sink", first, 2, "s", note=f"{worked:.2f} s of CPU"),
        Figure("/livez, while files are found and shipped", at_start, 100, "ms"),
        Figure("/livez, while nothing is written", probes.worst, 100, "ms"),
        Figure("idle: share of a core", share, 3, "%", note=f"{IDLE:.0f} s, {DESCRIPTORS} descriptors"),
        Figure("idle: resident memory", memory, 60, "MiB"),
        Figure("idle: resident memory, after a restart", again, 60, "MiB"),
        Figure("a line in a closed file, until it is at the sink", slowest, 2, "s", note=f"slowest of {LINES}"),
        Figure("lines missing", len(arrivals.missing(written)), 0, "lines"),
        Figure(
            "lines under two ids",
            len(arrivals.under_two_ids()),
            0,
            "lines",
            note=f"{arrivals.repeated} repeated under their id",
        ),
    ]


def main() -> int:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    with tempfile.TemporaryDirectory() as raw:
        try:
            return conclude("many_log_files", measure(Path(raw), files))
        except TimeoutError:
            return refuse(f"not all lines were there after {PATIENCE:.0f} s")


if __name__ == "__main__":
    sys.exit(main())

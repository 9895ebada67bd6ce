"""The live tail and the shipping beside it: `python -m benchmarks.live_tail [megabytes]`.

CPU time of a logshipper that ships one file of Java log lines to a file, by turns: without the live tail, with it and
nobody looking, with four clients of which one never reads, and with four clients that look for a regex, of which one
never reads. The least of ROUNDS counts. A ratio is to the run without the live tail.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.figures import Figure, conclude
from benchmarks.javalogs import write_log

MEGABYTES, ROUNDS = 100, 5
LIMIT = 1.05  # a ratio: encoding and searching may take 2 % of what the process takes; the rest is noise
CASES = ("off", "nobody", "four", "four that search")
_QUERIES = {"four": {}, "four that search": {"match": "no line has this"}}
_TICK = os.sysconf("SC_CLK_TCK")


def read(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while client.recv(65536):
            pass


@contextlib.contextmanager
def looking(path: Path, case: str) -> Iterator[None]:
    """Let four clients look, of which the last never reads."""
    clients = [socket.socket(socket.AF_UNIX) for _ in range(4 if case in _QUERIES else 0)]
    readers = [threading.Thread(target=read, args=(client,), daemon=True) for client in clients[:-1]]
    for client in clients:
        client.connect(str(path))
        client.sendall(f"GET /tail?{urlencode(_QUERIES[case])} HTTP/1.0\r\n\r\n".encode())
        if not client.recv(16).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("a client was refused")
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        for client in clients:
            client.close()
        for reader in readers:
            reader.join()


def cpu_seconds(case: str, log: Path, folder: Path) -> float:
    """Return the CPU time from the moment at which the file is there to the end of the process."""
    (folder / "logs").mkdir()
    path, admin = folder / "tail.sock", folder / "admin.sock"
    environ = {
        "LOGSHIPPER_PATHS": f"{folder}/logs/*.log",
        "LOGSHIPPER_STATE_DIR": f"{folder}/state",
        "LOGSHIPPER_SINK": f"file://{folder}/out",
        "LOGSHIPPER_ADMIN_LISTEN": f"unix:{admin}",
        "LOGSHIPPER_EXIT_WHEN_IDLE": "1s",
        "LOGSHIPPER_LOG_LEVEL": "warning",
        **({} if case == "off" else {"LOGSHIPPER_TAIL_LISTEN": f"unix:{path}"}),
    }
    program = subprocess.Popen([sys.executable, "-m", "sidecars.logshipper"], env={**os.environ, **environ})
    while not (admin if case == "off" else path).exists():
        time.sleep(0.02)
    time.sleep(1.0)  # the rest of the start
    with looking(path, case):
        before = _cpu(program.pid)
        os.link(log, folder / "logs" / "app.log")
        _, status, usage = os.wait4(program.pid, 0)
    if status:
        raise RuntimeError(f"the logshipper has ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime - before


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def main() -> int:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES
    least = dict.fromkeys(CASES, float("inf"))
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "app.log"
        write_log(log, size * 1_000_000)
        for turn in range(ROUNDS):
            for case in CASES:
                (folder := Path(name) / f"{turn}-{case.replace(' ', '-')}").mkdir()
                least[case] = min(least[case], cpu_seconds(case, log, folder))
    print({case: round(seconds, 2) for case, seconds in least.items()}, "CPU seconds")
    ratios = {case: least[case] / least["off"] for case in CASES[1:]}
    return conclude("live_tail", [Figure(f"{case}: CPU of shipping", ratio, LIMIT) for case, ratio in ratios.items()])


if __name__ == "__main__":
    sys.exit(main())

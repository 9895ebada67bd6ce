"""Two checkouts beside each other, by turns: `python -m benchmarks.before_and_after OTHER_TREE [ROUNDS [WORD …]]`.

The cheap figures of the benchmarks, as CPU time of the processes: starts, `--check`, a copier's runs, the shipping of
a large file and of many small ones, requests on one connection and on new ones. Each is measured in the other checkout
and in this one, by turns, so that a busy machine disturbs both alike. Each turn has a ratio; its median is told, with
the quartiles, and the least of each checkout beside it. A ratio above 1 means that this checkout is slower. The
compiled form is left out where it is not built. Words choose figures.

There is no limit, and the exit status is 0 once everything was measured. A checkout against itself shows the noise of
the machine: on virtual ones the least differs by a quarter, and the median of 25 turns by a few hundredths.
"""

from __future__ import annotations

import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.javalogs import write_log
from benchmarks.starts import (
    ROOT,
    STARTS,
    Run,
    compile_code,
    cpu_of,
    ended,
    environ_of,
    free_port,
    kill,
    target,
    upstream,
    wait_until_ready,
)

ROUNDS = 7
REQUESTS, CONNECTIONS = 20_000, 3000  # fewer are lost in the noise of a virtual machine
ENTRIES, FILES, LOG_SIZE = 3000, 6000, 20_000_000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"


@dataclass(frozen=True)
class Case:
    """A figure of one checkout: CPU in ms. `compiled` needs the compiled ambassador."""

    name: str
    measure: Callable[[Path], float]
    compiled: bool = False


class Origin(socketserver.BaseRequestHandler):
    """An app or an upstream that has the same answer for each request."""

    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(ANSWER * data.count(b"\r\n\r\n"))


class Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


def job(name: str, tree: Path, settings: Mapping[str, str], *arguments: str) -> float:
    """Return the CPU ms of a program that ends."""
    return ended([sys.executable, "-m", f"sidecars.{name}", *arguments], environ_of(tree, settings)).cpu


def requests(port: int, count: int, connections: int) -> None:
    """Send so many requests on each of these connections, one connection after the other."""
    for _ in range(connections):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for _ in range(count):
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                received = b""
                while not received.endswith(b"ok\n"):
                    part = connection.recv(65536)
                    if not part:
                        raise SystemExit(f"not answered: {received[:200]!r}")
                    received += part


def served(
    name: str, tree: Path, settings: Mapping[str, str], count: int, connections: int, *, compiled: bool
) -> float:
    """Return the CPU µs of a request to a service, with all of its processes. The first requests are not counted."""
    admin = free_port()
    own = environ_of(tree, settings, compiled=compiled) | {f"{name.upper()}_ADMIN_LISTEN": f"127.0.0.1:{admin}"}
    port = int(settings[f"{name.upper()}_LISTEN"].rpartition(":")[2])
    command = [sys.executable, "-m", f"sidecars.{name}"]
    process = subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(process, admin)
        requests(port, 50, 2)
        before = cpu_of(process.pid)
        requests(port, count, connections)
        return (cpu_of(process.pid) - before) / (count * connections) * 1e6
    finally:
        kill(process)


class Cases:
    """The figures, with their files in one folder."""

    def __init__(self, folder: Path, origin: int) -> None:
        self._folder, self._url = folder, f"http://127.0.0.1:{origin}"
        self._war = folder / "many.war"
        with zipfile.ZipFile(self._war, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(ENTRIES):
                archive.writestr(f"WEB-INF/classes/{number % 50}/{number}.class", os.urandom(5000))
        for kind in ("java", "json"):
            write_log(folder / f"{kind}.log", LOG_SIZE, kind)
        (folder / "many").mkdir()
        for number in range(FILES):
            (folder / "many" / f"{number}.log").write_text("a line\n")
        self._unpacked: dict[Path, Path] = {}

    def all(self) -> list[Case]:
        starts = [
            Case(f"start: {name}, ms", lambda tree, name=name: self._start(name, tree), start.compiled)  # type: ignore[misc] # mypy knows no defaults of lambdas
            for name, start in STARTS.items()
        ]
        checks = [
            Case(f"{name} --check, ms", lambda tree, name=name: self._check(name, tree))  # type: ignore[misc] # mypy knows no defaults of lambdas
            for name in ("adapter", "ambassador", "logshipper", "warcopier")
        ]
        return [
            *starts,
            *checks,
            Case(f"warcopier, {ENTRIES} entries unpacked, ms", self._unpack),
            Case("the same again, unchanged, ms", self._unpack_again),
            Case(f"logshipper, raw, {LOG_SIZE // 10**6} MB, ms", lambda tree: self._ship(tree, "java.log", "raw")),
            Case(f"logshipper, json, {LOG_SIZE // 10**6} MB, ms", lambda tree: self._ship(tree, "json.log", "json")),
            Case(f"logshipper, {FILES} files, ms", lambda tree: self._ship(tree, "many/*.log", "raw")),
            Case("adapter, forward, µs a request", self._adapter),
            Case("ambassador, keep-alive, µs a request", lambda tree: self._ambassador(tree, REQUESTS, 1)),
            Case("ambassador, a new connection each, µs", lambda tree: self._ambassador(tree, 1, CONNECTIONS)),
            Case(
                "ambassador compiled, keep-alive, µs a request",
                lambda tree: self._ambassador(tree, REQUESTS, 1, compiled=True),
                compiled=True,
            ),
            Case(
                "ambassador compiled, a new connection each, µs",
                lambda tree: self._ambassador(tree, 1, CONNECTIONS, compiled=True),
                compiled=True,
            ),
            Case(
                "the same with WORKERS=2, µs",
                lambda tree: self._ambassador(tree, 1, CONNECTIONS, compiled=True, AMBASSADOR_WORKERS="2"),
                compiled=True,
            ),
        ]

    def _start(self, name: str, tree: Path) -> float:
        run = Run(name, STARTS[name], tree, self._folder)
        run.once()
        return run.cost.cpu

    def _check(self, name: str, tree: Path) -> float:
        start = next(start for title, start in STARTS.items() if title.startswith(name))
        return job(name, tree, start.settings(self._folder), "--check")

    def _unpack(self, tree: Path) -> float:
        self._unpacked[tree] = Path(tempfile.mkdtemp(dir=self._folder))
        return self._unpack_again(tree)

    def _unpack_again(self, tree: Path) -> float:
        own = {"SOURCE": self._war, "TARGET": self._unpacked[tree], "UNPACK": "true", "LOG_LEVEL": "warning"}
        return job("warcopier", tree, {f"WARCOPIER_{name}": str(value) for name, value in own.items()})

    def _ship(self, tree: Path, paths: str, form: str) -> float:
        state = tempfile.mkdtemp(dir=self._folder)
        own = {"PATHS": f"{self._folder}/{paths}", "SINK": "stdout:", "STATE_DIR": state, "FORMAT": form}
        own |= {"EXIT_WHEN_IDLE": "300ms", "ADMIN_LISTEN": "off", "LOG_LEVEL": "warning"}
        return job("logshipper", tree, {f"LOGSHIPPER_{name}": value for name, value in own.items()})

    def _adapter(self, tree: Path) -> float:
        own = {**target(self._folder), "ADAPTER_TARGET": self._url}
        return served("adapter", tree, own, REQUESTS, 1, compiled=False)

    def _ambassador(
        self, tree: Path, count: int, connections: int, *, compiled: bool = False, **settings: str
    ) -> float:
        own = {**upstream(self._folder), "AMBASSADOR_UPSTREAM": self._url, **settings}
        return served("ambassador", tree, own, count, connections, compiled=compiled)


def row(case: Case, trees: list[Path], rounds: int) -> str:
    """Measure a figure in both trees, by turns that begin with either, and return its row of the table."""
    before: list[float] = []
    now: list[float] = []
    for turn in range(rounds):
        both = [(before, trees[0]), (now, trees[1])]
        for measured, tree in both if turn % 2 else reversed(both):
            measured.append(case.measure(tree))
    ratios = sorted(after / earlier for earlier, after in zip(before, now, strict=True))
    low, ratio, high = (ratios[round(share * (len(ratios) - 1))] for share in (0.25, 0.5, 0.75))
    return f"| {case.name} | {min(before):.1f} | {min(now):.1f} | {ratio:.2f} | {low:.2f} to {high:.2f} |"


def main(other: str, rounds: str = str(ROUNDS), *chosen: str) -> int:
    trees = [Path(other).resolve(), ROOT]
    for tree in trees:
        compile_code(tree)
    compiled = all(any((tree / "build" / "compiled").glob("sidecars/ambassador/**/*.so")) for tree in trees)
    with tempfile.TemporaryDirectory() as name, Threads(("127.0.0.1", 0), Origin) as origin:
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        known = Cases(Path(name), origin.server_address[1]).all()
        cases = [case for case in known if compiled or not case.compiled]
        cases = [case for case in cases if not chosen or any(word in case.name for word in chosen)]
        print(f"| figure | before: {trees[0]} | now | ratio | quartiles |\n|---|---|---|---|---|")
        for case in cases:
            print(row(case, trees, int(rounds)), flush=True)
        origin.shutdown()
    if not compiled:
        print("left out: the ambassador is not compiled in both (make compiled)")
    return 0


if __name__ == "__main__":
    if not (len(sys.argv) > 1 and Path(sys.argv[1], "sidecars").is_dir()):
        sys.exit("usage: python -m benchmarks.before_and_after OTHER_TREE [ROUNDS [WORD …]]")
    sys.exit(main(*sys.argv[1:]))

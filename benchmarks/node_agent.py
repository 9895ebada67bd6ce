"""The logshipper as a node agent, beside the node of examples/node-agent: `python -m benchmarks.node_agent [seconds]`.

PODS Pods, of which NOISY are noisy. Each of these has a backlog at the start, and then writes RATE lines a second; the
kubelet's rotation and compression go on. A quiet Pod writes ten lines a second. The figures, of one process:

- from the writing of a line of a quiet Pod until it is at the sink: the 99th percentile of the slowest quiet Pod, while
  the backlog of the noisy ones is shipped, and after that;
- lines that are missing at the end. Apart from them: missing lines of files that the kubelet had deleted by then, which
  a real one does, too, where an agent gets too little of a busy machine to see a file in its life;
- CPU time of CRI to JSON: all bytes that were read, of a CPU second, without latencies to keep (a drain);
- CPU time and memory while nothing is written: the share of a core in IDLE seconds, and the resident memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson

from benchmarks.collectors import wait_for
from benchmarks.figures import Figure, conclude
from benchmarks.logshipper import cpu_so_far, logshipper, usage
from benchmarks.many_log_files import resident

PODS, NOISY, RATE = 200, 10, 500  # Pods, Pods, lines a second of a noisy Pod
BACKLOG = 16 * 1024 * 1024  # bytes of each noisy Pod at the start
IDLE = 20.0  # seconds
NODE = Path(__file__).resolve().parent.parent / "examples" / "node-agent" / "node.py"
_LINE = '2026-11-30T04:12:00.123456789Z stdout F {{"level":"info","number":{},"written":0,"message":"{}"}}\n'
_P99 = 0.99


class Arrivals:
    """What has arrived of each Pod: how often each number, and the delays of lines that have a time."""

    def __init__(self) -> None:
        self.numbers: dict[str, bytearray] = {}
        self.delays: dict[str, list[float]] = {}
        self.lines = 0
        self.keeps_all = True

    def take(self, body: bytes, now: int) -> None:
        self.lines += body.count(b"\n")
        if not self.keeps_all:
            return
        for line in body.splitlines():
            record = orjson.loads(line)
            name, number = record["pod"], record["number"]
            seen = self.numbers.setdefault(name, bytearray())
            seen.extend(bytes(max(0, number + 1 - len(seen))))
            seen[number] = min(255, seen[number] + 1)
            if record["written"]:
                self.delays.setdefault(name, []).append((now - record["written"]) / 1e9)

    def slowest(self) -> float:
        """Return the 99th percentile of the delays of the slowest quiet Pod, and forget the delays."""
        found = [sorted(delays)[int(len(delays) * _P99)] for name, delays in self.delays.items() if "quiet" in name]
        self.delays = {}
        return max(found)


@contextmanager
def receiving(arrivals: Arrivals) -> Iterator[int]:
    """Take batches at a port of loopback, which is yielded."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrivals.take(body, time.time_ns())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing: a connection that is reset at the end of the agent is none."""

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def settings(pods: Path) -> dict[str, str]:
    template = f"{pods}/{{namespace}}_{{pod}}_{{pod_uid}}/{{container}}/{{restart}}.log*"
    return {
        "FORMAT": "cri,json",
        "PATH_FIELDS": template,
        "COMPRESSED": "auto",
        "EXCLUDE": "*.tmp",
        "BATCH_TIMEOUT": "500ms",
        "LOG_LEVEL": "warning",
    }


def fill(pods: Path) -> int:
    """Write the backlog of the noisy Pods: rotated files, as if the agent had been away. Return the lines."""
    text = "an order was taken, and the app says so with as many words as apps do"
    lines = "".join(_LINE.format(0, text) for _ in range(BACKLOG // len(_LINE.format(0, text))))
    for number in range(NOISY):
        folder = pods / f"batch_backlog-{number}_uid" / "app"
        folder.mkdir(parents=True)
        (folder / "0.log").write_text(f"{_LINE.format(0, number)}{lines}")
    return NOISY * (lines.count("\n") + 1)


def beside_noise(folder: Path, seconds: float) -> list[Figure]:
    arrivals, pods = Arrivals(), folder / "pods"
    pods.mkdir()
    backlog = fill(pods)
    variables = {
        "NODE_LOGS": pods,
        "NODE_QUIET": PODS - NOISY,
        "NODE_NOISY": NOISY,
        "NODE_RATE": RATE,
        "NODE_DELETED": 1,
    }
    node_environ = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    with receiving(arrivals) as port, tempfile.TemporaryDirectory() as state:
        node = subprocess.Popen([sys.executable, str(NODE)], env=node_environ, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        sink = f"http://127.0.0.1:{port}/"
        with logshipper(f"{pods}/*/*/*.log*", sink, state, **settings(pods)) as agent:
            wait_for(lambda: sum("quiet" in name for name in arrivals.numbers) == PODS - NOISY)
            time.sleep(1)
            arrivals.delays = {}  # those of lines that were written before the agent ran
            early = arrivals.lines
            while arrivals.lines < backlog:
                time.sleep(0.1)
            print(f"{early} of {backlog} lines before the delays are measured, {arrivals.lines} after that", flush=True)
            catching_up = arrivals.slowest()
            time.sleep(seconds)
            node.terminate()
            output, _ = node.communicate()
            written: dict[str, int]
            deleted: dict[str, list[tuple[int, int, float]]]
            written, deleted = map(orjson.loads, output.splitlines())
            while any(len(arrivals.numbers.get(name.split("/")[1], b"")) < most for name, most in written.items()):
                time.sleep(0.1)
            steady, busy = arrivals.slowest(), resident(agent.pid)
            missing = sum(arrivals.numbers[name.split("/")[1]].count(0) for name in written)
            unseen = [
                (count, age)
                for name, files in deleted.items()
                for first, after, age in files
                if (count := arrivals.numbers[name.split("/")[1]].count(0, first, after))
            ]
            time.sleep(3)
            before = cpu_so_far(agent.pid)
            time.sleep(IDLE)
            idle = (cpu_so_far(agent.pid) - before) / IDLE * 100
            agent.send_signal(signal.SIGTERM)
            usage(agent)
    return [
        Figure("quiet Pods, 99 of 100 lines, beside a backlog", catching_up, 1.0, "s"),
        Figure("quiet Pods, 99 of 100 lines, beside noise", steady, 1.0, "s"),
        Figure("missing lines", missing - sum(count for count, _ in unseen), 0, "lines"),
        Figure("missing lines of deleted files", sum(count for count, _ in unseen), 0, "lines", note=_ages(unseen)),
        Figure("CPU, nothing is written", idle, 1.0, "%", note="of a core"),
        Figure("memory", busy, 80, "MiB"),
    ]


def _ages(unseen: list[tuple[int, float]]) -> str:
    """Return how long the deleted files were there of which lines are missing: (lines, seconds) of each."""
    return f"of {len(unseen)} files, deleted after {min(age for _, age in unseen)} s or later" if unseen else ""


def throughput(folder: Path) -> Figure:
    """Return the bytes of a CPU second, for the files of NOISY Pods."""
    arrivals, pods = Arrivals(), folder / "more"
    arrivals.keeps_all = False
    pods.mkdir()
    fill(pods)
    size = sum(path.stat().st_size for path in pods.glob("*/*/*"))
    chosen: dict[str, Any] = {**settings(pods), "DRAIN_TIMEOUT": "10m"}
    with (
        receiving(arrivals) as port,
        tempfile.TemporaryDirectory() as state,
        logshipper(f"{pods}/*/*/*.log*", f"http://127.0.0.1:{port}/", state, **chosen) as agent,
    ):
        wait_for((Path(state) / "admin").exists)
        agent.send_signal(signal.SIGTERM)
        cpu, _ = usage(agent)
    return Figure("CRI and JSON to JSON, of a CPU second", size / 1e6 / cpu, 25, "MB", at_least=True)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    with tempfile.TemporaryDirectory() as folder:
        figures = [*beside_noise(Path(folder), seconds), throughput(Path(folder))]
    return conclude("node_agent", figures)


if __name__ == "__main__":
    sys.exit(main())

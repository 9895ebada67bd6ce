"""What traces, request ids and fields of the access log cost: `python -m benchmarks.traces [ROUNDS [compiled|plain]]`.

CPU µs a request of one ambassador, on one connection, by turns: without any of it, and with each. The least of the
rounds counts. `compiled` needs build/compiled (`python compile.py build/compiled`). The memory is that of the process
at the end, after TRACES has filled its queue while no collector was there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.before_and_after import Origin, Threads, requests
from benchmarks.starts import ROOT, cpu_of, environ_of, free_port, kill, upstream, wait_until_ready

ROUNDS, REQUESTS = 5, 4000
AWAY_REQUESTS = 20_000


class _Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def modes(collector: str) -> dict[str, dict[str, str]]:
    """Return the settings of each mode, by its name."""
    on = {"TRACES": "on", "TRACES_ENDPOINT": collector}
    fields = {"ACCESS_LOG": "errors", "ACCESS_LOG_FIELDS": "default,user_agent"}
    return {
        "nothing": {},
        "request ids": {"REQUEST_ID_HEADER": "x-request-id"},
        "fields of the access log, errors alone": fields,
        "TRACES=context": {"TRACES": "context"},
        "TRACES=on, 1 %": on,
        "TRACES=on, 100 %": {**on, "TRACES_RATIO": "100%"},
    }


@contextmanager
def ambassador(folder: Path, origin: str, own: Mapping[str, str], *, compiled: bool) -> Iterator[tuple[int, int]]:
    """Run an ambassador; yield its port and its process id."""
    admin = free_port()
    settings = {**upstream(folder), "AMBASSADOR_UPSTREAM": origin, "AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{admin}"}
    settings |= {f"AMBASSADOR_{name}": value for name, value in own.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecars.ambassador"],
        env=environ_of(ROOT, settings, compiled=compiled),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(process, admin)
        yield int(settings["AMBASSADOR_LISTEN"].rpartition(":")[2]), process.pid
    finally:
        kill(process)


def cost(folder: Path, origin: str, own: Mapping[str, str], *, compiled: bool) -> float:
    """Return the CPU µs of a request. The first ones are not counted."""
    with ambassador(folder, origin, own, compiled=compiled) as (port, pid):
        requests(port, 200, 2)
        before = cpu_of(pid)
        requests(port, REQUESTS, 1)
        return (cpu_of(pid) - before) / REQUESTS * 1e6


def memory(folder: Path, origin: str, own: Mapping[str, str], *, compiled: bool) -> float:
    """Return the MB that the process holds after many requests."""
    with ambassador(folder, origin, own, compiled=compiled) as (port, pid):
        requests(port, AWAY_REQUESTS, 1)
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1000


def main(rounds: str = str(ROUNDS), form: str = "compiled") -> int:
    compiled = form == "compiled"
    collector = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name, Threads(("127.0.0.1", 0), Origin) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        origin, folder = f"http://127.0.0.1:{server.server_address[1]}", Path(name)
        wanted = modes(f"http://127.0.0.1:{collector.server_port}")
        least = dict.fromkeys(wanted, float("inf"))
        for _ in range(int(rounds)):
            for mode, own in wanted.items():
                least[mode] = min(least[mode], cost(folder, origin, own, compiled=compiled))
        for mode, found in least.items():
            print(f"{found:7.1f} µs a request, {found - least['nothing']:+5.1f}   {mode}", flush=True)
        away = {"TRACES": "on", "TRACES_RATIO": "100%", "TRACES_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
        print(f"{memory(folder, origin, {}, compiled=compiled):7.1f} MB   nothing, {AWAY_REQUESTS:,} requests")
        print(f"{memory(folder, origin, away, compiled=compiled):7.1f} MB   TRACES=on, 100 %, without a collector")
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The adapter beside the handler that one would write by hand: `python benchmarks/adapter.py`.

The peer is an aiohttp server whose handler asks the app with httpx, on uvloop, and does only that. Both are asked by
the same client over one kept connection, in turns; the figure is CPU seconds of the process per request, so that a busy
machine spoils it less than it would wall time. Also: memory when idle, and the time from the start to listening.

Exit status 1 when a figure is missed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 7
REQUESTS = 1500  # a round and a program
STARTS = 5
LINES = 80  # of the app's page

MOST_CPU = 0.5  # of the peer's
MOST_MEMORY = 40.0  # MB
MOST_START = 0.3  # seconds

PEER = """
import sys
import httpx, uvloop
from aiohttp import web

client = httpx.AsyncClient(timeout=0.8)

async def health(request):
    try:
        answer = await client.get(sys.argv[2])
    except httpx.HTTPError as error:
        return web.Response(status=503, text=str(error))
    kind = {"Content-Type": answer.headers["Content-Type"]}
    return web.Response(status=answer.status_code, body=answer.content, headers=kind)

app = web.Application()
app.router.add_get("/health", health)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=uvloop.new_event_loop())
"""


class App(asyncio.Protocol):
    """The app: always the same page."""

    body = b"# HELP requests_total Requests.\n" + b"".join(b'requests_total{n="%d"} 1\n' % n for n in range(LINES))
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.page * data.count(b"\r\n\r\n"))


def serve_app(port: int) -> None:
    async def serve() -> None:
        await asyncio.get_running_loop().create_server(App, "127.0.0.1", port)
        await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


class Program:
    """One of the two, as a process."""

    def __init__(self, arguments: list[str], port: int, **environ: str) -> None:
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environ},
            stderr=subprocess.DEVNULL,
        )
        while True:
            try:
                self.connection = socket.create_connection(("127.0.0.1", port))
                break
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{arguments} ended with {self.process.returncode}") from None
                time.sleep(0.001)
        self.start = time.monotonic() - began

    def cpu(self) -> float:
        """CPU seconds of all its threads so far."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def memory(self) -> float:
        """MB resident."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def ask(self, count: int) -> float:
        """CPU seconds per request."""
        before = self.cpu()
        for _ in range(count):
            self.connection.sendall(b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n")
            received = b""
            while not received.endswith(App.body):
                received += self.connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200")
        return (self.cpu() - before) / count

    def stop(self) -> None:
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def main() -> int:
    app_port = free_port()
    serve_app(app_port)
    target = f"http://127.0.0.1:{app_port}"

    def adapter() -> Program:
        port = free_port()
        listen = {"ADAPTER_LISTEN": f"127.0.0.1:{port}", "ADAPTER_ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
        return Program(["-m", "sidecars.adapter"], port, ADAPTER_TARGET=target, **listen)

    def peer() -> Program:
        port = free_port()
        return Program(["-c", PEER, str(port), f"{target}/metrics"], port)

    starts, memory = idle(adapter)
    ratio, ours, theirs = compare(adapter(), peer())
    rows = [
        ("CPU per request, of the peer's", f"{ratio:.2f}", f"≤ {MOST_CPU}", ratio <= MOST_CPU),
        ("CPU per request", f"{ours * 1e6:.0f} µs", f"peer {theirs * 1e6:.0f} µs", True),
        ("memory when idle", f"{memory:.1f} MB", f"≤ {MOST_MEMORY:.0f} MB", memory <= MOST_MEMORY),
        ("start to listening", f"{starts * 1000:.0f} ms", f"≤ {MOST_START * 1000:.0f} ms", starts <= MOST_START),
    ]
    print("| adapter | measured | wanted | |\n|---|---|---|---|")
    for name, measured, wanted, good in rows:
        print(f"| {name} | {measured} | {wanted} | {'' if good else 'missed'} |")
    return 0 if all(good for *_, good in rows) else 1


def idle(adapter: Callable[[], Program]) -> tuple[float, float]:
    """The median start, in seconds, and the memory once it listens, in MB."""
    starts, memory = [], 0.0
    for _ in range(STARTS):
        program = adapter()
        starts.append(program.start)
        memory = max(memory, program.memory())
        program.stop()
    return statistics.median(starts), memory


def compare(ours: Program, theirs: Program) -> tuple[float, float, float]:
    """Median ratio, ours and theirs, in CPU seconds per request; the first round warms both up."""
    rounds = [(ours.ask(REQUESTS), theirs.ask(REQUESTS)) for _ in range(ROUNDS + 1)][1:]
    ours.stop()
    theirs.stop()
    ratio = statistics.median(mine / other for mine, other in rounds)
    return ratio, statistics.median(mine for mine, _ in rounds), statistics.median(other for _, other in rounds)


if __name__ == "__main__":
    sys.exit(main())

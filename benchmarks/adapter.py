"""Compare the adapter with a handler that one would write by hand: `python -m benchmarks.adapter`.

The peer is an aiohttp server on uvloop; its handler requests the app's page with httpx, and does nothing else. The same
client asks both by turns, each over one persistent connection. The figure is CPU seconds of the process per request,
since a busy machine distorts wall time more. Verdicts per second and core are requests per CPU second.

Parsing and judging is measured in this process, by turns with prometheus-client's parser. Memory is the peak resident
size (VmHWM). The start is measured in CPU time until the first connection, which is the wall time on an idle machine;
the measured wall time is printed beside it. The code is byte-compiled before: a confined process writes no bytecode.

The exit status is 1 if a figure misses its limit.
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

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.figures import Comparison, Figure, conclude
from benchmarks.starts import compile_code
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.rules.rule import parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 7
REQUESTS = 1500  # a round and a program
STARTS = 9
HANGING_REQUESTS = 5
LINES = 80  # of the app's small page

MOST_CPU = 0.5  # of the peer's
LEAST_VERDICTS = 5000.0  # a second and core
MOST_JUDGING = 60.0  # ms for 10,000 series
MOST_PARSING = 0.6  # of prometheus-client's parser alone
MOST_IDLE, MOST_LOADED = 40.0, 80.0  # MB
MOST_START = 300.0  # ms
MOST_UNTIL_503 = 800.0  # ms until the 503 of an app that hangs

RULES = """
memory: jvm_memory_used_bytes{area="heap"} / jvm_memory_max_bytes{area="heap"} < 0.9 warn
errors: rate(http_requests_total{status=~"5.."}[1m]) < 5 fail
slow: max(request_seconds) < 1000 warn
"""

PEER = """
import sys
import httpx, uvloop
from aiohttp import web

client = httpx.AsyncClient(timeout=0.8)

async def health(request):
    try:
        response = await client.get(sys.argv[2])
    except httpx.HTTPError as error:
        return web.Response(status=503, text=str(error))
    kind = {"Content-Type": response.headers["Content-Type"]}
    return web.Response(status=response.status_code, body=response.content, headers=kind)

app = web.Application()
app.router.add_get("/health", health)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=uvloop.new_event_loop())
"""


class App(asyncio.Protocol):
    """An app that always sends the same page."""

    body = b"# HELP requests_total Requests.\n" + b"".join(b'requests_total{n="%d"} 1\n' % n for n in range(LINES))
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.page * data.count(b"\r\n\r\n"))


class LargeApp(App):
    """An app with a hundred thousand series."""

    page = b""


def large_page(series: int) -> bytes:
    """Return a page of so many series, of several types and with realistic labels."""
    lines = [
        "# TYPE jvm_memory_used_bytes gauge",
        'jvm_memory_used_bytes{area="heap"} 400',
        "# TYPE jvm_memory_max_bytes gauge",
        'jvm_memory_max_bytes{area="heap"} 512',
        "# HELP http_requests_total Requests by path and status.",
        "# TYPE http_requests_total counter",
    ]
    lines += [f'http_requests_total{{path="/p/{n}",status="{200 + n % 4 * 100}"}} {n}' for n in range(series // 2)]
    lines += ["# HELP request_seconds Time of the last request.", "# TYPE request_seconds gauge"]
    lines += [
        f'request_seconds{{path="/p/{n}",method="GET"}} {n % 900 + 0.25}' for n in range(series - series // 2 - 2)
    ]
    return "\n".join([*lines, ""]).encode()


def http(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def serve_app(port: int, app: type[App] = App) -> None:
    async def serve() -> None:
        await asyncio.get_running_loop().create_server(app, "127.0.0.1", port)
        await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


class Program:
    """The adapter or its peer, as a process."""

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
        self.start_cpu = self.cpu()

    def cpu(self) -> float:
        """Return the CPU seconds of all threads so far."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def memory(self) -> float:
        """Return the peak resident size in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def send_requests(self, count: int, end: bytes = App.body, accept: str = "*/*") -> float:
        """Send so many requests, and return the CPU seconds per request. `end` is the end of a complete response."""
        before = self.cpu()
        for _ in range(count):
            self.connection.sendall(f"GET /health HTTP/1.1\r\nHost: bench\r\nAccept: {accept}\r\n\r\n".encode())
            received = b""
            while not received.endswith(end):
                received += self.connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200"), received[:500]
        return (self.cpu() - before) / count

    def stop(self) -> None:
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def adapter(target: str, **environ: str) -> Program:
    port = free_port()
    listen = {"ADAPTER_LISTEN": f"127.0.0.1:{port}", "ADAPTER_ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
    return Program(["-m", "sidecars.adapter"], port, ADAPTER_TARGET=target, **listen, **environ)


def main() -> int:
    compile_code(ROOT)
    small, large = free_port(), free_port()
    serve_app(small)
    LargeApp.page = http(large_page(100_000))
    serve_app(large, LargeApp)
    target = f"http://127.0.0.1:{small}"

    start, wall, idle = start_cost(lambda: adapter(target))
    ratio, ours, theirs = forward_cpu(target)
    verdicts = cached_verdicts(target)
    loaded = memory_judging(f"http://127.0.0.1:{large}")
    written = memory_rewriting(f"http://127.0.0.1:{large}")
    judging, parsing, reference = parse_and_judge(large_page(10_000))
    until_503 = time_to_503()
    return conclude(
        "adapter",
        [
            Figure("forward, CPU a request", ratio, MOST_CPU, note="of aiohttp's server and an httpx handler"),
            Figure("cached verdicts a second and core", verdicts, LEAST_VERDICTS, "/s", at_least=True),
            Figure(
                "10,000 series parsed and judged, CPU",
                judging,
                MOST_JUDGING,
                "ms",
                note=f"{len(RULES.split(chr(10))) - 2} rules",
            ),
            Figure("10,000 series parsed and judged", parsing, MOST_PARSING, note="of prometheus-client's parser"),
            Figure("memory when idle", idle, MOST_IDLE, "MB"),
            Figure("memory with 100,000 series, judged", loaded, MOST_LOADED, "MB", note="the peak"),
            Figure(
                "memory with 100,000 series, rewritten", written, MOST_LOADED, "MB", note="as OpenMetrics; the peak"
            ),
            Figure(
                "503 while the app hangs",
                until_503,
                MOST_UNTIL_503,
                "ms",
                note=f"wall time, the fastest of {HANGING_REQUESTS}",
            ),
            Figure(
                "start to listening, CPU",
                start,
                MOST_START,
                "ms",
                note=f"{wall:.0f} ms of wall time, the fastest of {STARTS}",
            ),
        ],
        [
            Comparison("forward: CPU a request", "µs", {"adapter": ours * 1e6, "aiohttp and httpx": theirs * 1e6}),
            Comparison(
                "10,000 series: CPU",
                "ms",
                {"adapter": judging, "prometheus-client, which only parses": reference},
            ),
        ],
    )


def start_cost(begin: Callable[[], Program]) -> tuple[float, float, float]:
    """Return the CPU and wall time of a start in ms, and the memory in MB once the program listens."""
    cpu, wall, memory = [], [], 0.0
    for _ in range(STARTS):
        program = begin()
        cpu.append(program.start_cpu * 1000)
        wall.append(program.start * 1000)
        memory = max(memory, program.memory())
        program.stop()
    return statistics.median(cpu), min(wall), memory


def forward_cpu(target: str) -> tuple[float, float, float]:
    """Return the median ratio, ours and the peer's CPU seconds per request. The first round warms both up."""
    port = free_port()
    ours, theirs = adapter(target), Program(["-c", PEER, str(port), f"{target}/metrics"], port)
    rounds = [(ours.send_requests(REQUESTS), theirs.send_requests(REQUESTS)) for _ in range(ROUNDS + 1)][1:]
    ours.stop()
    theirs.stop()
    ratio = statistics.median(mine / other for mine, other in rounds)
    return ratio, statistics.median(mine for mine, _ in rounds), statistics.median(other for _, other in rounds)


def cached_verdicts(target: str) -> float:
    """Return the verdicts per CPU second with a cached response of the app."""
    program = adapter(target, ADAPTER_MODE="verdict", ADAPTER_RULES="up: requests_total >= 0", ADAPTER_CACHE_TTL="1s")
    rounds = [program.send_requests(REQUESTS, b"(1, wanted >= 0)\n") for _ in range(ROUNDS + 1)][1:]
    program.stop()
    return 1 / statistics.median(rounds)


def memory_judging(target: str) -> float:
    """Return the peak memory in MB while an app with a hundred thousand series is judged."""
    program = adapter(
        target,
        ADAPTER_MODE="verdict",
        ADAPTER_RULES="memory: jvm_memory_used_bytes / jvm_memory_max_bytes < 0.9; slow: max(request_seconds) < 1000",
        ADAPTER_MAX_BODY="32MiB",
        ADAPTER_MAX_SERIES="200000",
        ADAPTER_TIMEOUT="30s",
    )
    return peak_memory(program, b"\n")


def memory_rewriting(target: str) -> float:
    """Return the peak memory in MB while a hundred thousand series are written as OpenMetrics, with a label added."""
    program = adapter(
        "",
        ADAPTER_MODE="metrics",
        ADAPTER_ONE_TARGET=target,
        ADAPTER_TWO_TARGET=f"http://127.0.0.1:{free_port()}",
        ADAPTER_MAX_BODY="32MiB",
        ADAPTER_MAX_SERIES="200000",
        ADAPTER_TIMEOUT="30s",
    )
    return peak_memory(program, b"\n# EOF\n", accept="application/openmetrics-text")


def peak_memory(program: Program, end: bytes, accept: str = "*/*") -> float:
    for _ in range(5):
        program.send_requests(1, end, accept)
    memory = program.memory()
    program.stop()
    return memory


def time_to_503() -> float:
    """Return the ms until a prober gets 503 while the app hangs, with default settings."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program = adapter(f"http://127.0.0.1:{silent.getsockname()[1]}")
        waited = []
        for _ in range(HANGING_REQUESTS):
            begun = time.monotonic()
            program.connection.sendall(b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n")
            assert program.connection.recv(65536).startswith(b"HTTP/1.1 503")
            waited.append((time.monotonic() - begun) * 1000)
        program.stop()
    return min(waited)


def parse_and_judge(page: bytes) -> tuple[float, float, float]:
    """Return the CPU ms for parsing and judging the page, the ratio to the reference, and the reference's CPU ms."""
    evaluator, text = RuleEvaluator(parse_rules(RULES)), page.decode()
    rounds = []
    for number in range(ROUNDS + 1):
        begun = time.process_time()
        results = evaluator.evaluate(parse_page(page, "text/plain; version=0.0.4", 100_000), 1_000_000 + number * 10)
        middle = time.process_time()
        families = list(text_string_to_metric_families(text))
        rounds.append((middle - begun, time.process_time() - middle))
        assert len(results) == 3
        assert sum(len(family.samples) for family in families) == 10_000
    ratio = statistics.median(mine / other for mine, other in rounds[1:])
    ours, theirs = (statistics.median(values) * 1000 for values in zip(*rounds[1:], strict=True))
    return ours, ratio, theirs


if __name__ == "__main__":
    sys.exit(main())

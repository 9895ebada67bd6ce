"""The ambassador beside its peers: CPU a request and a gigabyte, latency, memory. `python -m benchmarks.ambassador`.

Every proxy forwards to the same nginx and is pinned to one core; wrk and nginx have the other core. Each round takes
one measurement after the other, of every proxy in turn, so that a busy machine affects all alike. A ratio is the median
of the rounds' ratios. CPU is read from /proc (user and system time of the proxy's processes), so waiting costs nothing.
The origin counts the requests, and only once all connections are open: the promise is the cost of a request on an open
connection.

The ambassador is measured compiled (compile.py), as the images have it; plain Python is one of its peers here.

Two workers would need two cores besides that of the load, and there are two cores in all. So both workers run on one
core, and the throughput of two cores is computed from the cost of a request with two workers and from their shares.
"""

from __future__ import annotations

import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from math import ceil
from pathlib import Path

import httpx

from benchmarks.ambassador_peers import (
    HTTP,
    TCP,
    TLS,
    Form,
    Origin,
    Proxy,
    ambassador,
    compiled,
    cpu_of,
    free_port,
    memory_of,
    peers,
    plain,
    running,
)
from benchmarks.beside_peers import lacking, options, show
from benchmarks.figures import Comparison, Figure, conclude, refuse

OURS, PLAIN = "ambassador", "plain Python"
FORMS = {OURS: "compiled", PLAIN: "plain"}
HUGE = 10_000_000_000  # bytes
OPENING = 2.0  # seconds, until all connections are open
RATE = 1000  # requests a second, for latency
GET = b"GET /1k.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

# Requests of which no two are alike, as tracing makes them: the cache of heads helps least here.
UNIQUE = """
local n = 0
request = function()
  n = n + 1
  return "GET /1k.bin?order=" .. n .. " HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nUser-Agent: app/1.0\\r\\n" ..
    "Accept: application/json\\r\\nAccept-Encoding: gzip, deflate\\r\\ntraceparent: 00-" ..
    string.format("%032x-%016x", n * 7919, n) .. "-01\\r\\n\\r\\n"
end
"""

# Measured values of each round: by measurement, then by proxy.
Measurements = dict[str, dict[str, list[float]]]


def wrk(port: int, path: str, connections: int, seconds: float, script: Path | None = None) -> subprocess.Popen[str]:
    """Start the load."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{ceil(seconds)}s"]
    command += ["-s", str(script)] if script else []
    return subprocess.Popen([*command, f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, text=True)


def bytes_of(load: subprocess.Popen[str]) -> float:
    """Wait for the end of the load and return the bytes that it has received. Print its errors."""
    out, _ = load.communicate()
    total = re.search(r"requests in [\d.]+\w+, ([\d.]+)([KMG]?)B read", out)
    assert total, out
    if wrong := re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*(connect|read|write) [1-9].*", out):
        print(wrong[0], file=sys.stderr)
    return float(total[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[total[2]]


def request_cpu(
    proxy: Proxy, kind: str, connections: int, seconds: float, origin: Origin, script: Path | None
) -> float:
    """Return the CPU seconds of a request, on open connections."""
    load = wrk(proxy.ports[kind], "/1k.bin", connections, seconds + OPENING + 1, script)
    time.sleep(OPENING)
    before, served = proxy.cpu(), origin.served()
    time.sleep(seconds)
    spent, count = proxy.cpu() - before, origin.served() - served
    bytes_of(load)
    return spent / count


def latencies(port: int, seconds: float) -> list[float]:
    """Return, sorted, the seconds from the due time of each request, at a steady rate, to the end of its response."""
    selector = selectors.DefaultSelector()
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(16)]
    due: dict[socket.socket, float] = {}
    got: dict[socket.socket, bytes] = defaultdict(bytes)
    for own in idle:
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own.setblocking(False)
        selector.register(own, selectors.EVENT_READ)
    taken: list[float] = []
    begin = time.perf_counter()
    number, count = 0, int(seconds * RATE)
    while len(taken) < count:
        now = time.perf_counter()
        while number < count and idle and begin + number / RATE <= now:
            own = idle.pop()
            due[own] = begin + number / RATE
            own.send(GET)
            number += 1
        for key, _ in selector.select(max(0.0, begin + number / RATE - time.perf_counter()) if number < count else 1):
            own = key.fileobj  # type: ignore[assignment] # it is the socket that was registered
            got[own] += own.recv(65536)
            _, mark, body = got[own].partition(b"\r\n\r\n")
            if mark and len(body) >= 1024:
                taken.append(time.perf_counter() - due[own])
                got[own] = b""
                idle.append(own)
    for own in idle:
        own.close()
    return sorted(taken)


def run_round(proxies: list[Proxy], found: Measurements, seconds: float, origin: Origin, script: Path) -> None:
    """Take every measurement of every proxy once."""

    def cpu(name: str, proxy: Proxy, kind: str, connections: int, script: Path | None) -> None:
        if kind in proxy.ports:
            found[name][proxy.name].append(request_cpu(proxy, kind, connections, seconds, origin, script) * 1e6)

    def gigabyte(name: str, proxy: Proxy, kind: str) -> None:
        if kind in proxy.ports:
            before = proxy.cpu()
            size = bytes_of(wrk(proxy.ports[kind], "/large.bin", 2, seconds))
            found[name][proxy.name].append((proxy.cpu() - before) / size * 1e9)

    for name, kind, connections, requests in (
        ("64", HTTP, 64, None),
        ("1024", HTTP, 1024, None),
        ("unique", HTTP, 64, script),
        ("tls", TLS, 64, None),
    ):
        for proxy in proxies:
            cpu(name, proxy, kind, connections, requests)
    for name, kind in (("GB", HTTP), ("tcp GB", TCP)):
        for proxy in proxies:
            gigabyte(name, proxy, kind)
    for proxy in proxies:
        taken = latencies(proxy.ports[HTTP], seconds)
        found["p50"][proxy.name].append(taken[len(taken) // 2] * 1e6)
        found["p99"][proxy.name].append(taken[int(len(taken) * 0.99)] * 1e6)


def two_workers(origin: Origin, form: Form, rounds: int, seconds: float) -> tuple[float, str]:
    """Return the throughput of two workers beside one, computed for a core each, and the figures that it is made of."""
    costs: dict[int, list[float]] = {1: [], 2: []}
    shares: list[float] = []
    with ExitStack() as stack:
        both = {count: ambassador(f"{count} workers", origin, form, WORKERS=str(count)) for count in (1, 2)}
        for proxy in both.values():
            serve(stack, proxy)
            bytes_of(wrk(proxy.ports[HTTP], "/1k.bin", 64, 1))
        for _ in range(rounds):
            for count, proxy in both.items():
                load = wrk(proxy.ports[HTTP], "/1k.bin", 64, seconds + OPENING + 1)
                time.sleep(OPENING)
                before, served = [cpu_of(pid) for pid in proxy.pids()], origin.served()
                time.sleep(seconds)
                spent = [cpu_of(pid) - earlier for pid, earlier in zip(proxy.pids(), before, strict=True)]
                costs[count].append(sum(spent) / (origin.served() - served))
                bytes_of(load)
                if count > 1:
                    shares.append(max(spent[1:]) / sum(spent[1:]))
    dearer = statistics.median(costs[2]) / statistics.median(costs[1])
    share = statistics.median(
        shares
    )  # the kernel spreads 64 connections by chance, and the busier worker is full first
    return 1 / (share * dearer), f"a request costs {dearer:.2f} x, and the busier worker had {share:.0%} of the work"


def memory(origin: Origin, form: Form) -> tuple[float, float]:
    """Return the MB of a fresh ambassador, and of one with 1,000 connections that have each had a response."""
    with ExitStack() as stack:
        proxy = ambassador(OURS, origin, form)
        serve(stack, proxy)
        assert proxy.process
        idle = memory_of(proxy.process.pid)
        for _ in range(1000):
            own = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.ports[HTTP])))
            own.sendall(GET)
            got = b""
            while len(got) < 1024 + len(GET):
                got += own.recv(65536)
        return idle, memory_of(proxy.process.pid)


def a_huge_body(form: Form) -> float:
    """Return the MB by which an ambassador grows at most while one body of 10 GB passes."""
    piece = memoryview(bytes(1_000_000))

    def send() -> None:
        own, _ = listener.accept()
        with own:
            own.recv(65536)
            own.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HUGE)
            for _ in range(HUGE // len(piece)):
                own.sendall(piece)

    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = free_port()
        own = {"LISTEN": f"127.0.0.1:{port}", "UPSTREAM": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        environ = {f"AMBASSADOR_{key}": value for key, value in own.items()} | {"AMBASSADOR_ADMIN_LISTEN": "off"}
        process = stack.enter_context(running(form.command, 0, environ | form.environ, [port]))
        threading.Thread(target=send, daemon=True).start()
        before = most = memory_of(process.pid)
        app = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        app.sendall(GET)
        left, room = HUGE, bytearray(1_000_000)
        while left > 0 and (got := app.recv_into(room)):
            left -= got
            most = max(most, memory_of(process.pid)) if left % 64 == 0 else most
        if left > 0:
            raise SystemExit("the body of 10 GB did not arrive whole")
        return max(most, memory_of(process.pid)) - before


def form_of(proxy: Proxy) -> str:
    """Return the form that an ambassador reports in `/status`."""
    return str(httpx.get(f"http://{proxy.environ['AMBASSADOR_ADMIN_LISTEN']}/status", trust_env=False).json()["form"])


def serve(stack: ExitStack, proxy: Proxy) -> None:
    proxy.process = stack.enter_context(running(proxy.command, 0, proxy.environ, list(proxy.ports.values())))


def figures(found: Measurements, names: set[str]) -> list[Figure]:
    """Return the figures that compare us with a peer that is installed."""
    promises = (
        ("CPU a request, 64 connections", "64", "envoy", 0.6),
        ("CPU a request, 64 connections", "64", "haproxy", 1.4),
        ("CPU a request, 64 connections", "64", "aiohttp", 0.25),
        ("CPU a request, 1,024 connections", "1024", "haproxy", 1.0),
        ("CPU a request, 1,024 connections", "1024", "envoy", 1.0),
        ("CPU a request, TLS upstream", "tls", "envoy", 1.0),
        ("CPU a GB, HTTP", "GB", "haproxy", 1.0),
        ("CPU a GB, HTTP", "GB", "envoy", 1.5),
        ("CPU a GB, TCP", "tcp GB", "haproxy", 0.8),
        ("latency at 1,000 requests/s, p50", "p50", "envoy", 1.0),
        ("latency at 1,000 requests/s, p99", "p99", "envoy", 1.0),
    )
    return [
        Figure(f"{name} / {peer}", ratio(found[measured][OURS], found[measured][peer]), limit)
        for name, measured, peer, limit in promises
        if peer in names
    ]


def middle(values: list[float]) -> float:
    return statistics.median(values)


def ratio(ours: list[float], theirs: list[float]) -> float:
    return middle([own / other for own, other in zip(ours, theirs, strict=True)])


_SHOWN = {
    "64": ("CPU a request, 64 connections", "µs"),
    "1024": ("CPU a request, 1,024 connections", "µs"),
    "unique": ("CPU a request, 64 connections, no two heads alike", "µs"),
    "tls": ("CPU a request, 64 connections, TLS upstream", "µs"),
    "GB": ("CPU a GB, HTTP", "s"),
    "tcp GB": ("CPU a GB, TCP", "s"),
    "p50": ("latency at 1,000 requests/s, p50", "µs"),
    "p99": ("latency at 1,000 requests/s, p99", "µs"),
}


def main() -> int:
    arguments = options(__doc__, seconds=2.0, of="each measurement")
    missing_here = lacking("nginx", "wrk", "taskset")
    if missing_here:
        return refuse(f"{missing_here} is missing")
    form = compiled(arguments.python)
    found: Measurements = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        origin = Origin(Path(name))
        stack.enter_context(running(origin.prepare(), 1, {}, [origin.port, origin.tls_port]))
        script = origin.folder / "unique.lua"
        script.write_text(UNIQUE)
        others, missing = peers(origin)
        others.append(ambassador(PLAIN, origin, plain(arguments.python)))
        proxies = [ambassador(OURS, origin, form), *others]
        for proxy in proxies:
            serve(stack, proxy)
            if proxy.name in FORMS and form_of(proxy) != FORMS[proxy.name]:
                return refuse(f"{proxy.name} runs as {form_of(proxy)}")
            bytes_of(wrk(proxy.ports[HTTP], "/1k.bin", 64, 1))  # to warm up
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
            run_round(proxies, found, arguments.seconds, origin, script)
        idle, busy = memory(origin, form)
        grown = a_huge_body(form)
        gain, note = two_workers(origin, form, arguments.rounds, arguments.seconds)
    comparisons = [
        Comparison(title, unit, {name: middle(values) for name, values in found[measured].items()})
        for measured, (title, unit) in _SHOWN.items()
    ]
    show(comparisons, missing)
    rest = [
        Figure("two workers / one", gain, 1.8, at_least=True, note=note),
        Figure("memory, idle", idle, 35, "MB"),
        Figure("memory, 1,000 connections", busy, 60, "MB"),
        Figure("memory grown by one body of 10 GB", grown, 5, "MB"),
    ]
    kept = conclude(OURS, [*figures(found, {proxy.name for proxy in proxies}), *rest], comparisons)
    return 1 if missing else kept


if __name__ == "__main__":
    sys.exit(main())

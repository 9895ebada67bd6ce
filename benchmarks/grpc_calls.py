"""gRPC through the ambassador beside its peers: CPU a call, latency, memory. `python -m benchmarks.grpc_calls`.

Unary calls with a message of 100 bytes, HTTP/2 with prior knowledge on both sides. Every proxy forwards to the same
nghttpd and is pinned to one core; h2load and nghttpd have the other one. Each round measures one proxy after the other,
so a busy machine affects all alike. CPU is read from /proc, so waiting costs nothing. The calls are those of two loads:
4 connections with 8 streams each, where a read brings several calls, and one call at a time, where each costs a whole
turn of everything. A relay that only copies bytes shows what of that turn is the machine's.

Latency has two loads, too, of 1,000 calls a second. h2load looks at the time of a connection every 10 ms. Four
connections make bursts of ten calls, in which most calls wait for others, in a process that has slept for 10 ms. Ten
connections that begin 101 ms after each other make one call a millisecond.
"""

from __future__ import annotations

import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks.ambassador_peers import Form, Proxy, compiled, cpu_of, memory_of, plain, running
from benchmarks.beside_peers import lacking, options, show
from benchmarks.figures import Comparison, Figure, conclude, refuse
from benchmarks.grpc_peers import GRPC, MESSAGE, RELAY, Origin, ambassador, peers

OURS, PLAIN = "ambassador", "plain Python"
LOADS = {"4 x 8": (4, 8), "1 x 1": (1, 1)}  # connections, streams of each
CALLS = {"4 x 8": 20_000, "1 x 1": 4_000}
MOST_OF_RELAY = 2.5  # times the CPU of a relay, for calls one at a time
RATE = 1000  # calls a second, for latency
PACES = {  # connections, and how they begin
    "bursts": (4, ()),
    "evenly": (10, ("-r", "1", "--rate-period=101ms")),
}
BEGINNING = 1.2  # seconds until all connections are there
STREAMS, CONNECTIONS = 100, 100  # quiet ones: on each connection of the app, and connections
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)

Measurements = dict[str, dict[str, list[float]]]


def h2load(port: int, body: Path, calls: int, connections: int, streams: int, *more: str) -> str:
    """Run so many calls; return what h2load prints. Exit if a call failed."""
    command = ["taskset", "-c", "1", "h2load", "-n", str(calls), "-c", str(connections), "-m", str(streams), "-t", "1"]
    command += ["-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers", *more]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/shop.v1.Orders/Get"], capture_output=True, text=True, check=True
    )
    if f"{calls} succeeded" not in done.stdout:
        print(next(line for line in done.stdout.splitlines() if "succeeded" in line), file=sys.stderr)
        raise SystemExit(f"not all of {calls} calls succeeded")
    return done.stdout


def call_cpu(proxy: Proxy, body: Path, load: str) -> float:
    """Return the microseconds of CPU that the proxy spends on a call."""
    before = proxy.cpu()
    h2load(proxy.ports[GRPC], body, CALLS[load], *LOADS[load])
    return (proxy.cpu() - before) / CALLS[load] * 1e6


def latencies(port: int, body: Path, seconds: float, pace: str) -> list[float]:
    """Return, sorted, the milliseconds of calls at a steady rate, once all connections are there."""
    log = body.with_name(f"latencies-{port}")
    log.unlink(missing_ok=True)
    connections, more = PACES[pace]
    h2load(port, body, int(RATE * seconds), connections, 16, f"--rps={RATE // connections}", f"--log-file={log}", *more)
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    first = min(int(line[0]) for line in lines) + (BEGINNING * 1e6 if more else 0)
    return sorted(int(line[2]) / 1000 for line in lines if int(line[0]) >= first)


def percentile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]


# -- quiet streams ----------------------------------------------------------------------------------------------------


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    return b"\0%c%b%c%b" % (len(name), name, len(value), value)


def quiet_origin(stack: ExitStack) -> int:
    """Run a server that answers each call with a head, and then is quiet; return its port."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
    head = b"\x88" + literal(b"content-type", b"application/grpc")

    def serve(own: socket.socket) -> None:
        data = own.recv(24, socket.MSG_WAITALL)
        own.sendall(frame(4, 0, 0))
        while more := own.recv(65536):
            data = (data[24:] if data.startswith(b"PRI") else data) + more
            out = b""
            while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
                end = 9 + int.from_bytes(data[:3], "big")
                if data[3] == 4 and not data[4]:
                    out += frame(4, 1, 0)
                if data[3] == 6 and not data[4]:
                    out += frame(6, 1, 0, data[9:end])
                if data[3] == 1:
                    out += frame(1, 4, int.from_bytes(data[5:9], "big"), head)
                data = data[end:]
            own.sendall(out)

    def accept() -> None:
        while True:
            try:
                own, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(own,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def quiet_streams(form: Form) -> tuple[float, float, float]:
    """Return the MB of an idle ambassador, the KB of each of 10,000 quiet streams, and their CPU seconds a second."""
    block = b"\x83\x86" + literal(b":path", b"/shop.v1.Orders/Watch") + literal(b":authority", b"orders")
    block += literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers")
    with ExitStack() as stack:
        proxy = ambassador(OURS, f"h2c://127.0.0.1:{quiet_origin(stack)}", form)
        proxy.process = process = stack.enter_context(
            running(proxy.command, 0, proxy.environ, list(proxy.ports.values()))
        )
        idle = memory_of(process.pid)
        for _ in range(CONNECTIONS):
            own = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.ports[GRPC])))
            own.settimeout(60)
            calls = [frame(1, 4, number, block) + frame(0, 1, number, MESSAGE) for number in range(1, 2 * STREAMS, 2)]
            own.sendall(PREFACE + b"".join(calls))
            heads, data = 0, b""
            while heads < STREAMS:
                more = own.recv(65536)
                if not more:
                    raise SystemExit("a connection with quiet streams was closed")
                data += more
                while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
                    heads += data[3] == 1
                    data = data[9 + int.from_bytes(data[:3], "big") :]
        each = (memory_of(process.pid) - idle) * 1000 / (CONNECTIONS * STREAMS)
        before = cpu_of(process.pid)
        time.sleep(5)
        return idle, each, (cpu_of(process.pid) - before) / 5


def main() -> int:
    arguments = options(__doc__, seconds=4.0, of="each measurement of latency")
    missing_here = lacking("nghttpd", "h2load", "taskset")
    if missing_here:
        return refuse(f"{missing_here} is missing")
    form = compiled(arguments.python)
    found: Measurements = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        origin = Origin(Path(name))
        body = origin.folder / "message"
        body.write_bytes(MESSAGE)
        stack.enter_context(running(origin.command(), 1, {}, [origin.port]))
        others, missing = peers(origin)
        upstream = f"h2c://127.0.0.1:{origin.port}"
        proxies = [ambassador(OURS, upstream, form), ambassador(PLAIN, upstream, plain(arguments.python)), *others]
        for proxy in proxies:
            proxy.process = stack.enter_context(running(proxy.command, 0, proxy.environ, list(proxy.ports.values())))
            h2load(proxy.ports[GRPC], body, 1000, 4, 8)  # to warm up
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
            for load in LOADS:
                for proxy in proxies:
                    found[load][proxy.name].append(call_cpu(proxy, body, load))
            for pace in PACES:
                direct = latencies(origin.port, body, arguments.seconds, pace)
                for proxy in proxies:
                    taken = latencies(proxy.ports[GRPC], body, arguments.seconds, pace)
                    for measured, share in (("p50", 0.5), ("p99", 0.99)):
                        added = percentile(taken, share) - percentile(direct, share)
                        found[f"{measured}, {pace}"][proxy.name].append(added)
        for proxy in proxies:
            found["memory"][proxy.name].append(proxy.memory())
    idle, each, cpu = quiet_streams(form)
    return report(found, missing, idle, each, cpu)


_SHOWN = {
    "4 x 8": ("CPU a call, 4 connections x 8 streams", "µs"),
    "1 x 1": ("CPU a call, one at a time", "µs"),
    "p50, evenly": ("latency added at one call a ms, p50", "ms"),
    "p99, evenly": ("latency added at one call a ms, p99", "ms"),
    "p50, bursts": ("latency added at ten calls every 10 ms, p50", "ms"),
    "p99, bursts": ("latency added at ten calls every 10 ms, p99", "ms"),
    "memory": ("memory, after these calls", "MB"),
}


def report(found: Measurements, missing: list[str], idle: float, each: float, cpu: float) -> int:
    def ours(measured: str) -> float:
        return statistics.median(found[measured][OURS])

    comparisons = [
        Comparison(title, unit, {name: statistics.median(values) for name, values in found[measured].items()})
        for measured, (title, unit) in _SHOWN.items()
    ]
    show(comparisons, missing)
    figures = [
        Figure(f"{_SHOWN[load][0]} / {peer}", median_ratio(found[load][OURS], found[load][peer]), limit)
        for load in LOADS
        for peer, limit in {"envoy": 0.5, "haproxy": 1.2, RELAY: MOST_OF_RELAY}.items()
        if peer in found[load] and (peer != RELAY or load == "1 x 1")
    ]
    figures += [
        Figure("CPU a call, 4 x 8", ours("4 x 8"), 60, "µs"),
        Figure("CPU a call, 1 x 1", ours("1 x 1"), 115, "µs"),
        Figure("latency added, evenly, p50", ours("p50, evenly"), 0.25, "ms"),
        Figure("latency added, evenly, p99", ours("p99, evenly"), 1.0, "ms"),
        Figure("latency added, bursts, p50", ours("p50, bursts"), 0.25, "ms"),
        Figure("latency added, bursts, p99", ours("p99, bursts"), 1.0, "ms"),
        Figure("memory, idle", idle, 38, "MB"),
        Figure("memory of a quiet stream, of 10,000", each, 4, "KB"),
        Figure("CPU of 10,000 quiet streams", cpu * 100, 5, "%"),
    ]
    return conclude("grpc_calls", figures, comparisons)


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median([own / other for own, other in zip(ours, theirs, strict=True)])


if __name__ == "__main__":
    sys.exit(main())

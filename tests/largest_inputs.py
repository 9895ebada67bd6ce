"""The largest inputs that the sidecars accept, and how long each of them stops the event loop.

Each function runs its sidecar in `tests.loop_turns`, gives it the inputs, and yields the name of each with its longest
stall: of each round the longest turn, and of all rounds the least, so that an interrupted one does not count. The start
of a program is not measured: nothing is served then.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ambassador.nameserver import name_server
from tests.loop_reports import Stall, least, looks, request, running
from tests.support import free_port, wait_until

ROUNDS = 3
SERIES = 49_000  # the default of ADAPTER_MAX_SERIES is 50,000
BODY, LINE = 4_000_000, 1_000_000  # bytes; the defaults of ADAPTER_MAX_BODY and MAX_LINE_SIZE are 4 MiB and 1 MiB
FILES, _LONGEST = 20_000, 10.0  # files; seconds of one input


class Peer:
    """An HTTP server in threads: the app, or a receiver of log lines. `answer` makes status, type and body."""

    def __init__(self, answer: Callable[[str, bytes], tuple[int, str, bytes]]) -> None:
        self.received = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(handler) -> None:  # noqa: N805 - `self` is the peer
                body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
                status, kind, response = answer(handler.path, body)
                handler.send_response(status)
                handler.send_header("Content-Type", kind)
                handler.send_header("Content-Length", str(len(response)))
                handler.end_headers()
                with contextlib.suppress(ConnectionError):
                    handler.wfile.write(response)
                self.received += len(body)

            do_POST = do_GET  # noqa: N815 - the name of its class

            def log_message(handler, *_: Any) -> None:  # noqa: N805 - silent
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


# -- the adapter -------------------------------------------------------------------------------------------------------


def page(form: str, count: int = SERIES) -> bytes:
    return "".join(form.replace("{n}", str(number)) + "\n" for number in range(count)).encode()[:BODY]


def components(count: int) -> bytes:
    return json.dumps({"status": "UP", "components": {f"c{k}": {"status": "UP"} for k in range(count)}}).encode()


RULES = """sum: sum(a) > 0
by: max by (x) (a) > 0
rate: rate(a[1m]) >= 0
join: a / on (x) a > 0
matching: a{x=~"1.*"} > 0
"""
TEXT, JSON = "text/plain; version=0.0.4", "application/json"
SERIES_PAGE = page('a{x="{n}",y="some more text to fill the page of this app up"} {n}')


@dataclass(frozen=True)
class AppCase:
    """A page of the app, and the mode in which the adapter answers with it."""

    name: str
    mode: str
    kind: str
    body: Callable[[], bytes]
    settings: dict[str, str] = field(default_factory=dict)
    status: int = 200


ADAPTER = [
    AppCase("49,000 series, metrics", "metrics", TEXT, lambda: SERIES_PAGE),
    AppCase("49,000 series, verdict", "verdict", TEXT, lambda: SERIES_PAGE),
    AppCase("49,000 series, five rules", "verdict", TEXT, lambda: SERIES_PAGE, {"RULES": RULES}, status=503),
    AppCase("five rules, 8,000 series", "verdict", TEXT, lambda: page('a{x="{n}"} 1', 8000), {"RULES": RULES}),
    AppCase("11,000 families", "metrics", TEXT, lambda: page("a_{n} 1", 11_000)),
    AppCase("faults in each line", "verdict", TEXT, lambda: page("a_{n}{ 1", 200_000), status=503),
    AppCase("4 MB forwarded", "forward", TEXT, lambda: SERIES_PAGE),
    AppCase("health JSON, 16,000 components, verdict", "verdict", JSON, lambda: components(16_000), status=503),
    AppCase("health JSON, 49,000 components, verdict", "verdict", JSON, lambda: components(49_000), status=503),
    AppCase("health JSON, 16,000 components, metrics", "metrics", JSON, lambda: components(16_000), status=503),
    AppCase("health JSON, 4,000 components", "verdict", JSON, lambda: components(4000)),
    AppCase("4 MB of lists in JSON", "verdict", JSON, lambda: b"[" + b"[]," * (BODY // 3 - 2) + b"[]]", status=503),
    AppCase(
        "40,000 numbers selected",
        "verdict",
        JSON,
        lambda: json.dumps({"a": [{"b": k} for k in range(40_000)]}).encode(),
        {"SELECT": "n=$.a[*].b"},
    ),
    AppCase("Kubernetes lines", "verdict", "text/plain", lambda: b"[+]ping ok\n" * 5900 + b"healthz check passed"),
]


def always(kind: str, response: bytes) -> Callable[[str, bytes], tuple[int, str, bytes]]:
    return lambda _path, _body: (200, kind, response)


def adapter(folder: Path, cases: Sequence[AppCase] = ADAPTER, rounds: int = ROUNDS) -> Iterator[tuple[str, Stall]]:
    for case in cases:
        body = case.body()
        app = Peer(always(case.kind, body))
        port = free_port()
        with running(
            "adapter",
            folder,
            LISTEN=f"127.0.0.1:{port}",
            TARGET=f"http://127.0.0.1:{app.port}",
            ROUTES="/x=/x",
            MODE=case.mode,
            TIMEOUT="60s",
            **case.settings,
        ) as report:
            request(port, "/x")
            report.longest()
            found = []
            for _ in range(rounds):
                status = request(port, "/x")
                found.append(report.longest())
            assert status == case.status, (case.name, status)
            yield case.name, least(found)
        app.close()


# -- the logshipper ----------------------------------------------------------------------------------------------------


def java(count: int) -> bytes:
    event = (
        b"2024-01-01 10:00:00,123 INFO [main] shop.Order - mail a@b.example password=secret card 4111 1111 1111 1111\n"
    )
    return (event + b"java.lang.IllegalStateException: no\n\tat shop.Order.run(Order.java:17)\n") * count


def json_lines(count: int) -> bytes:
    line = {"time": "2024-01-01T10:00:00Z", "level": "INFO", "message": "Bearer abcdef a@b.example", "n": {"x": [1, 2]}}
    return (json.dumps(line).encode() + b"\n") * count


def bulk(_path: str, body: bytes) -> tuple[int, str, bytes]:
    """Refuse each second document with a reason."""
    good, bad = {"create": {"status": 201}}, {"create": {"status": 400, "error": {"type": "t", "reason": "r"}}}
    items = [(good, bad)[number % 2] for number in range(body.count(b"\n") // 2)]
    return 200, JSON, json.dumps({"errors": True, "items": items}).encode()


def accepted(_path: str, _body: bytes) -> tuple[int, str, bytes]:
    return 200, JSON, b"{}"


def large_refusal(_path: str, _body: bytes) -> tuple[int, str, bytes]:
    return 400, JSON, b'{"error":' * 900_000


REDACTED = {"REDACT": "secrets,personal"}
EVERYTHING = {**REDACTED, "MULTILINE": "java"}
Answer = Callable[[str, bytes], tuple[int, str, bytes]]
LogCase = tuple[str, bytes, str, Answer, dict[str, str]]
LOGSHIPPER: list[LogCase] = [
    ("lines of 1 MB", (b"x" * LINE + b"\n") * 3, "http", accepted, {}),
    (
        "lines of 1 MB, redaction",
        (b"a@b.example key=x 1.1.1.1 " * (LINE // 26) + b"\n") * 8,
        "http",
        accepted,
        REDACTED,
    ),
    (
        "JSON lines of 1 MB, redaction",
        (json.dumps({"a": ["x"] * (LINE // 6)}).encode() + b"\n") * 8,
        "http",
        accepted,
        {"FORMAT": "json", **REDACTED},
    ),
    ("batch of 512 KiB, lines of 1 B", b"a\n" * 100_000, "http", accepted, {}),
    ("batch of 512 KiB, multiline, redaction", java(8000), "http", accepted, EVERYTHING),
    ("batch of 512 KiB, JSON, redaction", json_lines(10_000), "http", accepted, {"FORMAT": "json", **REDACTED}),
    ("batch of 512 KiB, OTLP", json_lines(10_000), "otlp+http", accepted, {"FORMAT": "json"}),
    ("batch of 512 KiB, gzip", java(8000), "http", accepted, {"COMPRESSION": "gzip"}),
    ("batch of 16 MiB, raw", java(150_000), "http", accepted, {"BATCH_SIZE": "16MiB"}),
    ("batch of 512 KiB, half refused", b"ab\n" * 60_000, "elasticsearch+http", bulk, {}),
    ("a refusal of 8 MB", b"ab\n" * 60_000, "http", large_refusal, {}),
]


def logshipper(
    folder: Path, cases: Sequence[LogCase] = LOGSHIPPER, rounds: int = ROUNDS, files: int = FILES
) -> Iterator[tuple[str, Stall]]:
    for number, (name, data, scheme, answer, settings) in enumerate(cases):
        logs = folder / f"logs{number}"
        logs.mkdir()
        receiver = Peer(answer)
        path = "index" if scheme.startswith("elastic") else ""
        with running(
            "logshipper",
            folder,
            PATHS=f"{logs}/*.log",
            SINK=f"{scheme}://127.0.0.1:{receiver.port}/{path}",
            STATE_DIR=str(folder / f"state{number}"),
            SCAN_INTERVAL="1s",
            BATCH_TIMEOUT="50ms",
            **settings,
        ) as report:
            found = []
            for turn in range(rounds + 1):
                before = receiver.received
                (logs / "part").write_bytes(b'{"file":%d}\n' % turn + data)  # equal files are taken for copies
                (logs / "part").rename(logs / f"{turn}.log")
                quiet(lambda: receiver.received, before)  # noqa: B023 - called at once
                found.append(report.longest())
            yield name, least(found[1:])
        receiver.close()
    if files:
        yield from many_files(folder, files, rounds)


def many_files(folder: Path, files: int, rounds: int) -> Iterator[tuple[str, Stall]]:
    logs = folder / "many"
    logs.mkdir()
    receiver = Peer(accepted)
    with running(
        "logshipper",
        folder,
        PATHS=f"{logs}/*.log",
        SINK=f"http://127.0.0.1:{receiver.port}/",
        STATE_DIR=str(folder / "state-many"),
        SCAN_INTERVAL="1s",
    ) as report:
        for number in range(files):
            (logs / f"{number}.log").write_bytes(b"a line of file %d\n" % number)
        quiet(lambda: receiver.received, 0, 6.0)
        yield f"{files:,} files: found and shipped", report.longest()
        found = []
        for turn in range(rounds):
            before = receiver.received
            for number in range(turn, files, max(1, files // 20)):  # 15,000 of them are followed
                with (logs / f"{number}.log").open("ab") as file:
                    file.write(b"one more line\n")
            quiet(lambda: receiver.received, before, 3.0)
            found.append(report.longest())
        yield f"{files:,} files: one more line", least(found)
        yield f"{files:,} files: the page and /status", looks(report, rounds)
    receiver.close()


def quiet(read: Callable[[], int], before: int, seconds: float = 0.7) -> None:
    """Wait until the number has grown, and then not for so many seconds."""
    wait_until(lambda: read() > before, "something arrives")
    last, since = read(), time.monotonic()
    until = since + _LONGEST
    while time.monotonic() < min(since + seconds, until):
        time.sleep(0.05)
        if (now := read()) != last:
            last, since = now, time.monotonic()


# -- the ambassador ----------------------------------------------------------------------------------------------------


def exchange(port: int, data: bytes, piece: int = 1 << 30) -> None:
    """Send the bytes in pieces, and read until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), 60) as own:
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            for at in range(0, len(data), piece):
                own.sendall(data[at : at + piece])
            while own.recv(1 << 16):
                pass


HEAD = b"POST / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n"
FIELDS = b"".join(b"f%d: %s\r\n" % (number, b"v" * 50) for number in range(95))
NAMES = b"Connection: " + b", ".join(b"f%d" % number for number in range(6000)) + b"\r\n"
AMBASSADOR: list[tuple[str, bytes, int]] = [
    ("head of 95 fields", HEAD + FIELDS + b"\r\n", 1 << 30),
    ("head of 1,000 fields", HEAD + b"".join(b"f%d: v\r\n" % number for number in range(1000)) + b"\r\n", 1 << 30),
    ("head of 60 KB in one field", HEAD + b"a: " + b"v" * 60_000 + b"\r\n\r\n", 1 << 30),
    ("head of 60 KB in options of Connection", HEAD + NAMES + b"\r\n", 1 << 30),
    ("head of 8 KB, byte by byte", HEAD + b"a: " + b"v" * 8000 + b"\r\n\r\n", 1),
    (
        "body in chunks of one byte",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 500_000 + b"0\r\n\r\n",
        1 << 30,
    ),
]


def ambassador(
    folder: Path, cases: Sequence[tuple[str, bytes, int]] = AMBASSADOR, rounds: int = ROUNDS, addresses: int = 1000
) -> Iterator[tuple[str, Stall]]:
    upstream, port = Peer(accepted), free_port()
    target = f"http://127.0.0.1:{upstream.port}"
    with running("ambassador", folder, LISTEN=f"127.0.0.1:{port}", UPSTREAM=target, MAX_HEADERS="1000") as report:
        for name, data, piece in cases:
            exchange(port, data, piece)
            report.longest()
            found = []
            for _ in range(rounds):
                exchange(port, data, piece)
                found.append(report.longest())
            yield name, least(found)
    with name_server() as zone:
        zone.set_records("orders.example", *(f"127.1.{k >> 8}.{k & 255}" for k in range(addresses)), ttl=1)
        with running(
            "ambassador",
            folder,
            LISTEN=f"127.0.0.1:{port}",
            UPSTREAM=f"http://orders.example:{upstream.port}",
            RESOLV_CONF=str(zone.resolv_conf(folder)),
        ) as report:
            report.longest()
            found = []
            for turn in range(rounds):
                asked = zone.asked.total()
                zone.set_records(
                    "orders.example", *(f"127.{turn + 2}.{k >> 8}.{k & 255}" for k in range(addresses)), ttl=1
                )
                wait_until(lambda: zone.asked.total() > asked + 6, "asked again, twice")  # noqa: B023 - called at once
                found.append(report.longest())
            yield f"{addresses:,} new addresses from DNS", least(found)
            yield f"{addresses:,} addresses: the page and /status", looks(report, rounds)
    upstream.close()

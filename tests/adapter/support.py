"""Helpers for tests of the adapter: an app with scripted behaviours, in a thread of its own, and a prober."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecars.chassis.config.urls import Url, path_only
from tests.support import PATIENCE, Program, free_port, get

Behaviour = Callable[["Exchange"], Awaitable[None]]

METRICS = b'# TYPE up gauge\nup{job="app"} 1\n'
JSON = b"Content-Type: application/json\r\n"
PROMPT = 60.0  # seconds; far longer than any deadline of the adapter, and shorter than a hanging app


def app_url(raw: str) -> Url:
    """Return a URL that the adapter requests from an app."""
    return Url(urlsplit(raw), path_only)


@dataclass(frozen=True)
class Adapter:
    """The program under test, and its two ports."""

    program: Program
    port: int
    admin: int

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Send a request as a prober, and return the response. Redirects are not followed."""
        url = f"http://127.0.0.1:{self.port}{path}"
        sent = {"Connection": "close", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx.request(method, url, headers=sent, timeout=PROMPT, trust_env=False)

    def send_raw(self, request: bytes) -> bytes:
        """Send these bytes, and return everything that comes until the adapter closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PROMPT) as connection:
            connection.sendall(request)
            received = b""
            while part := connection.recv(65536):
                received += part
            return received

    def status(self) -> dict[str, Any]:
        page: dict[str, Any] = get(f"http://127.0.0.1:{self.admin}/status").json()
        return page

    def metric(self, name: str, **labels: str) -> float:
        """Return the sample's value; 0 without a sample."""
        text = get(f"http://127.0.0.1:{self.admin}/metrics").text
        for family in parse_text(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        return 0.0


class Exchange:
    """One request that reached the app, and its connection."""

    def __init__(self, app: App, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.app = app
        self.head = head
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    def close(self) -> None:
        self.writer.close()


class App:
    """An app that listens on loopback. `behaviours` are the behaviours by path."""

    def __init__(
        self,
        behaviours: dict[str, Behaviour],
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.behaviours = behaviours
        self.host = host
        self.tls = tls
        self.port = port or free_port()
        self.heads: list[bytes] = []
        self.seen: Counter[str] = Counter()
        self.connections = 0
        self._begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def do(self, work: Callable[[], None]) -> None:
        """Schedule work in the app's own thread."""
        self._loop.call_soon_threadsafe(work)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            task = asyncio.create_task(self._converse(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        server = await asyncio.start_server(accept, self.host, self.port, family=family, backlog=2048, ssl=self.tls)
        self._begun.set()
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                self.heads.append(head)
                self.seen[path] += 1
                await self.behaviours[path](Exchange(self, head, reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has closed the connection
        finally:
            writer.close()
            if self.tls:
                writer.transport.abort()  # a graceful close would wait for the client


# -- behaviours ---------------------------------------------------------------------------------------------------


def respond(
    body: bytes, status: str = "200 OK", headers: bytes = b"Content-Type: text/plain; version=0.0.4\r\n"
) -> Behaviour:
    """Send a complete response, and keep the connection open."""

    async def behave(exchange: Exchange) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
        await exchange.send(head + headers + b"\r\n" + body)

    return behave


def send_raw(*parts: bytes) -> Behaviour:
    """Send these bytes, and close the connection."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(*parts)
        exchange.close()

    return behave


def repeat_endlessly(part: bytes, *, begin: bytes = b"", pause: float = 0.0) -> Behaviour:
    """Send `begin`, then `part` without an end."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(begin)
        while True:
            await exchange.send(part)
            await asyncio.sleep(pause)

    return behave


def hang(*parts: bytes) -> Behaviour:
    """Send these bytes, and nothing more."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(*parts)
        await asyncio.Event().wait()

    return behave


def hold_until(release: threading.Event, then: Behaviour) -> Behaviour:
    """Wait for the test's event, then behave as `then`."""

    async def behave(exchange: Exchange) -> None:
        await asyncio.to_thread(release.wait, 300)
        await then(exchange)

    return behave


def close_on_second_request(body: bytes) -> Behaviour:
    """Respond to the first request on each connection, and close it on the second."""
    used: set[asyncio.StreamWriter] = set()

    async def behave(exchange: Exchange) -> None:
        if exchange.writer in used:
            exchange.close()
            return
        used.add(exchange.writer)
        await respond(body)(exchange)

    return behave


# -- an app of two gauges, and rules for them ---------------------------------------------------------------------

RULES = "db: up == 1 fail; queue: depth < 10 warn"


def page(up: int = 1, depth: int = 3) -> Behaviour:
    return respond(f"# TYPE up gauge\nup {up}\n# TYPE depth gauge\ndepth {depth}\n".encode())


# -- responses ---------------------------------------------------------------------------------------------------


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the values of all samples of a text page, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


async def probe_together(port: int, paths: list[str], all_are_waiting: Callable[[], None]) -> list[int]:
    """Send each request on its own connection; once all are read, call `all_are_waiting`. Return the statuses."""
    streams = []
    for path in paths:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        streams.append((reader, writer))
    # A response to this later request means that the server has read all earlier requests.
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()
    all_are_waiting()

    async def status(reader: asyncio.StreamReader) -> int:
        return int((await reader.read()).split(b" ", 2)[1])

    statuses = await asyncio.gather(*(status(reader) for reader, _ in streams))
    for _, writer in streams:
        writer.close()
    return statuses

"""A small HTTP server in this process, and clients that send it raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11

from sidecars.chassis.accept.listen import bind
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http import server
from sidecars.chassis.http.server import ClientLimits, Request, Response
from tests.support import PATIENCE

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass
class Served:
    """A server in this process, with the requests that its handler has seen."""

    port: int
    seen: list[Request] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def response(self, request: Request) -> Response:
        self.seen.append(request)
        async with self.came:
            self.came.notify_all()
        match request.path:
            case "/held":
                await self.release.wait()
            case "/large":
                return Response(body=b"x" * 20_000_000)
            case "/defect":
                raise KeyError("hunter2")
            case "/empty":
                return Response(204)
            case "/unsendable":
                return Response(headers={"X": "one\r\ntwo"})
            case "/umlaut":
                return Response(headers={"X-Odd": "ä"})
        return server.text(200, request.path)

    async def connect(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.clients[-1]

    async def has_seen(self, count: int) -> None:
        """Wait until `count` requests have come."""
        async with asyncio.timeout(PATIENCE), self.came:
            await self.came.wait_for(lambda: len(self.seen) >= count)

    async def is_free_again(self) -> None:
        """Wait until a new connection is served."""
        async with asyncio.timeout(PATIENCE):
            while True:
                client = await self.connect()
                await client.send(LAST)
                if (await client.rest()).endswith(b"/last"):
                    return


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def rest(self) -> bytes:
        """Return all bytes until the server closes the connection; a reset raises."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(end)


@asynccontextmanager
async def serving(limits: ClientLimits | None = None, grace: float = 0.5) -> AsyncIterator[Served]:
    sockets = bind(Address("127.0.0.1", 0), "TEST")
    served = Served(sockets[0].getsockname()[1])
    try:
        async with server.serve(served.response, sockets, limits=limits, grace=grace):
            yield served
    finally:
        for client in served.clients:
            await client.close()


def responses(received: bytes, methods: Sequence[str]) -> list[tuple[int, bytes]]:
    """Return status and body of each response in these bytes, parsed by h11's client."""
    client, found = h11.Connection(h11.CLIENT), []
    client.receive_data(received)
    client.receive_data(b"")
    for method in methods:
        client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        head, body = client.next_event(), b""
        assert isinstance(head, h11.Response)
        while isinstance(event := client.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        found.append((head.status_code, bytes(body)))
        if client.our_state is h11.DONE and client.their_state is h11.DONE:
            client.start_next_cycle()
    return found

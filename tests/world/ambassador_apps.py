"""The app of the ambassador's world: connections with requests, patient or rude, and what it has received."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from tests.world.http_peers import Incomplete, Message, Peer, body_of, chunked
from tests.world.universe import Universe, check
from tests.world.world import World

PORT = 8500
PATIENCE = 400.0  # seconds; every time-out of the ambassador together is far less
_METHODS = ("GET", "GET", "HEAD", "PUT", "POST", "POST", "DELETE")


@dataclass
class Received:
    """What all connections of the app have received."""

    statuses: Counter[int] = field(default_factory=Counter)
    asked: int = 0  # requests of which at least the head was sent
    broken: int = 0  # connections that broke off, or that the app left
    opened: int = 0


@dataclass
class _Request:
    name: str
    method: str
    size: int
    data: bytes


class App:
    """One connection of the app."""

    def __init__(self, world: World, number: int, received: Received, *, is_polite: bool) -> None:
        self._universe: Universe = world.universe
        self._number = number
        self._received = received
        self._rudeness = 0.0 if is_polite else self._universe.choose(0.0, 0.1, 0.4)

    async def run(self) -> None:
        """Live through the connection. Every one must end."""
        universe = self._universe
        try:
            async with asyncio.timeout(PATIENCE):
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
                except OSError:
                    return  # nobody listens any more
                self._received.opened += 1
                peer = Peer(reader, writer)
                try:
                    await self._talk(peer)
                except Incomplete:
                    self._received.broken += 1
                peer.close()
        except TimeoutError:
            check("every request ends, and every connection of the app", False, f"app {self._number}")
        universe.record(f"app {self._number} is done")

    async def _talk(self, peer: Peer) -> None:
        universe = self._universe
        for turn in range(universe.dice.randint(1, 4)):
            together = universe.choose(1, 1, 1, 2, 3)
            requests = [self._make(f"{self._number}.{turn}.{each}") for each in range(together)]
            for request in requests:
                self._received.asked += 1
                if not await self._send(peer, request):
                    self._received.broken += 1
                    await self._see_end(peer)
                    return
            for request in requests:
                if universe.chance(self._rudeness):
                    self._received.broken += 1
                    await self._leave(peer)
                    return
                response = await self._receive(peer, request)
                if response.field("Connection") == "close" or b" HTTP/1.0\r\n" in request.data:
                    await self._see_end(peer)
                    return
            await asyncio.sleep(universe.choose(0.0, 0.0, 0.3, 1.2))

    def _make(self, name: str) -> _Request:
        universe = self._universe
        method = universe.choose(*_METHODS)
        size = 0 if method in ("GET", "HEAD", "DELETE") else universe.choose(0, 3, 500, 20_000, 200_000)
        body = body_of(name, size)
        version = b"1.0" if method == "GET" and universe.chance(0.3) else b"1.1"
        head = b"%b /r/%b HTTP/%b\r\nHost: shop\r\nX-Length: %d\r\n" % (method.encode(), name.encode(), version, size)
        if method == "POST" and universe.chance(0.2):
            head += b"Idempotency-Key: %b\r\nX-Key: %b\r\n" % (name.encode(), name.encode())
        if method in ("PUT", "POST"):
            if universe.chance(0.1):
                head += b"Expect: 100-continue\r\n"
            if universe.chance(0.3):
                return _Request(
                    name, method, size, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, [1, 700])
                )
            head += b"Content-Length: %d\r\n" % size
        return _Request(name, method, size, head + b"\r\n" + body)

    async def _send(self, peer: Peer, request: _Request) -> bool:
        """Send the request; return False if only a part of it was sent, which will be all."""
        universe = self._universe
        data = request.data
        cut = universe.dice.randint(1, len(data)) if universe.chance(0.3) else len(data)
        peer.send(data[:cut])
        if cut < len(data):
            await asyncio.sleep(universe.choose(0.001, 0.2, 1.5))
            if universe.chance(self._rudeness / 2):
                return False
            peer.send(data[cut:])
        return True

    async def _leave(self, peer: Peer) -> None:
        universe = self._universe
        match universe.choose("close", "reset", "half", "stay"):
            case "reset":
                peer.reset()
            case "half":
                peer.writer.write_eof()
                await self._see_end(peer)
            case "stay":  # it reads nothing for a while
                await asyncio.sleep(universe.choose(1.0, 10.0))

    async def _see_end(self, peer: Peer) -> None:
        """Read to the end of the connection, which must come."""
        try:
            while await peer.reader.read(4096):
                pass
        except ConnectionError:
            pass

    async def _receive(self, peer: Peer, request: _Request) -> Message:
        response = Message(b"")
        try:
            await peer.read_response(response, to_head=request.method == "HEAD")
        except Incomplete as end:
            if response.head:
                self._received.statuses[response.status] += 1
                self._check(response, request, end)
            raise
        self._received.statuses[response.status] += 1
        self._check(response, request, None)
        self._universe.record(
            f"app {self._number} gets {response.status} for {request.name}, {len(response.body)} bytes"
        )
        return response

    def _check(self, response: Message, request: _Request, end: Incomplete | None) -> None:
        """Check that the response belongs to the request, and that a part of it does not look like the whole."""
        if response.field("Proxy-Status"):
            return  # the ambassador's own
        name = response.field("X-Name")
        check("an app gets the response to its own request", name == request.name, f"{request.name} got {name}")
        size = int(response.field("X-Size"))
        whole = b"" if request.method == "HEAD" else body_of(name, size)
        check("what arrives of a body is its beginning", whole.startswith(response.body[:size]), f"{name}, {end}")
        if end is None:
            check(
                "a part of a body does not look like the whole",
                response.body == whole,
                f"{name}: {len(response.body)} of {size}",
            )

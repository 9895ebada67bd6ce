"""The origins of the ambassador's world: they answer, fail and leave as the dice say, and remember what they saw."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from tests.world.http_peers import Incomplete, Message, Peer, body_of, chunked
from tests.world.universe import Universe, check
from tests.world.world import World

_GOOD = ("length", "length", "length", "chunked", "until close", "none", "early")
_BAD = (
    "500",
    "503",
    "silence",
    "close unread",
    "close",
    "reset",
    "half a head",
    "half a body",
    "half chunked",
    "half until close",
    "garbage",
    "interim",
)


@dataclass
class Seen:
    """What all origins of one world have seen."""

    methods: dict[str, str] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)  # heads of each request
    last_at: float = 0.0
    connections: int = 0


class Origin:
    """One address that serves. Each has its own share of failures."""

    def __init__(self, world: World, host: str, seen: Seen) -> None:
        self._world = world
        self._universe: Universe = world.universe
        self.host = host
        self._seen = seen
        self._badness = self._universe.choose(0.0, 0.0, 0.1, 0.3, 0.9)
        self._closes_idle = self._universe.chance(0.3)
        self.slowest = self._universe.choose(0.01, 0.1, 2.0)

    async def listen(self) -> asyncio.AbstractServer:
        return await asyncio.start_server(self._serve, self.host, 80)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._seen.connections += 1
        peer = Peer(reader, writer)
        try:
            while await self._serve_one(peer):
                if self._closes_idle and self._universe.chance(0.3):
                    await asyncio.sleep(self._universe.choose(0.0, 0.05, 0.9, 2.0))
                    break
        except (Incomplete, ConnectionError):
            pass
        peer.close()

    async def _serve_one(self, peer: Peer) -> bool:
        """Serve one request; return True if another one may follow."""
        request = await peer.read_request()
        method, target, _ = request.first_line.split(" ")
        if target == "/health":
            peer.send(
                b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n"
                % (503 if self._universe.chance(self._badness / 3) else 200)
            )
            return False
        name = target.rpartition("/")[2]
        self._note(name, method, request)
        how = self._universe.choose(*_BAD) if self._universe.chance(self._badness) else self._universe.choose(*_GOOD)
        if how == "close unread":
            return False
        if how == "interim":
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </%b>\r\n\r\n" % name.encode())
            how = "length"
        if how == "early":  # the response comes before the request is whole
            await self._respond(peer, "length", name, to_head=method == "HEAD")
            await asyncio.sleep(self._universe.between(0, 0.05))
        await peer.read_body(request)
        expected = request.field("X-Length")
        check(
            "a body that arrives whole at an origin is the one that the app sent",
            request.body == body_of(name, int(expected or 0)),
            f"{name}: {len(request.body)} of {expected} bytes",
        )
        if how == "early":
            return True
        await asyncio.sleep(self._universe.between(0, self.slowest))
        return await self._respond(peer, how, name, to_head=method == "HEAD")

    def _note(self, name: str, method: str, request: Message) -> None:
        seen = self._seen
        seen.times[name] += 1
        seen.methods[name] = method
        seen.last_at = self._universe.now
        self._universe.record(f"origin {self.host} sees {method} {name}, time {seen.times[name]}")
        check(
            "the origin is asked by its own name",
            request.field("Host") in ("shop.test", f"{self.host}", "10.9.9.9"),
            request.head,
        )
        if method == "POST" and "x-key" not in request.head.decode("latin-1").lower():
            check("no POST comes twice where an origin has seen the first", seen.times[name] == 1, name)

    async def _respond(self, peer: Peer, how: str, name: str, *, to_head: bool) -> bool:
        universe = self._universe
        size = universe.choose(0, 1, 20, 300, 5_000, 100_000)
        body = b"" if how == "none" else body_of(name, size)
        status = int(how) if how in ("500", "503") else 204 if how == "none" else 200
        head = b"HTTP/1.1 %d -\r\nX-Name: %b\r\nX-Size: %d\r\n" % (status, name.encode(), len(body))
        if universe.chance(0.05):
            head += b"Retry-After: 1\r\n"
        whole, keeps = _form(how, head, body, universe)
        if whole is None:
            return await self._break_off(peer, how, head, body, to_head=to_head)
        peer.send(whole if not to_head else whole[: whole.index(b"\r\n\r\n") + 4])
        await peer.flush()
        return keeps

    async def _break_off(self, peer: Peer, how: str, head: bytes, body: bytes, *, to_head: bool) -> bool:
        """Fail in the way that the dice have chosen; the connection ends."""
        universe = self._universe
        match how:
            case "silence":
                await asyncio.sleep(universe.choose(3.0, 30.0))
            case "reset":
                peer.reset()
            case "half a head":
                peer.send(head)
            case "garbage":
                lies = b"HTTP/9.9 what\r\n\r\n", b"\0\1\2\r\n\r\n", head + b"Content-Length: x\r\n\r\n"
                peer.send(universe.choose(*lies))
            case "half a body":
                peer.send(head + b"Content-Length: %d\r\n\r\n" % (len(body) + 10) + (b"" if to_head else body))
                await peer.flush()
                if universe.chance(0.5):
                    peer.reset()
            case "half chunked" | "half until close":
                is_chunked = how == "half chunked"
                peer.send(head + (b"Transfer-Encoding: chunked\r\n\r\n" if is_chunked else b"\r\n"))
                last = len(b"-\r\n0\r\n\r\n")
                if not to_head:
                    peer.send(chunked(body + b"-", [])[:-last] if is_chunked else body[: len(body) // 2])
                await peer.flush()
                await asyncio.sleep(universe.choose(0.0, 0.02))
                peer.reset()
        return False


def _form(how: str, head: bytes, body: bytes, universe: Universe) -> tuple[bytes | None, bool]:
    """Return a whole response and if the connection may go on; None if the response is to break off."""
    match how:
        case "chunked":
            pieces = chunked(body, [1, 10, universe.dice.randint(1, 1000)])
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + pieces, True
        case "until close":
            return head + b"Connection: close\r\n\r\n" + body, False
        case "none":
            return head + b"\r\n", True
        case "length" | "500" | "503":
            return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, True
    return None, False

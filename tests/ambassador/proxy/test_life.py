"""Any sequence of events on the connections of an exchange leaves nothing over when all have ended."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.proxy.client_connection import ClientConnection
from tests.ambassador.exchanges import Pair, Wire, tunnels

CLIENT = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nabc",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"nonsense\r\n\r\n",
)
SERVER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nabc",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw",
    b"nonsense\r\n\r\n",
)
FOREVER = 10_000.0  # seconds: longer than each time-out


class Live(Wire):
    """A fake transport that reports its close to the protocol like a real one: soon, and once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any) -> None:
        super().__init__()
        self.loop = loop
        self.protocol: Any = protocol
        self.told = False

    def write(self, data: bytes) -> None:
        if not self.closing:  # real transports ignore later writes
            super().write(data)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def close(self) -> None:
        super().close()
        self._tell()

    def abort(self) -> None:
        super().abort()
        self._tell()

    def _tell(self) -> None:
        if not self.told:
            self.told = True
            self.loop.call_soon(self._lost)

    def _lost(self) -> None:
        self.protocol.connection_lost(None)

    def take(self, data: bytes) -> None:
        """Deliver bytes to the protocol."""
        if self.closing or self.paused:
            return
        if hasattr(self.protocol, "data_received"):
            self.protocol.data_received(data)
        else:
            self.protocol.take(data)

    def stop(self) -> None:
        """Let the peer read no more."""
        if not self.closing and not self.unsent:
            self.unsent = 100_000
            self.protocol.pause_writing()

    def go_on(self) -> None:
        """Let the peer have read all."""
        if not self.closing and self.unsent:
            self.unsent = 0
            self.protocol.resume_writing()

    def end(self) -> None:
        """Let the peer end its sending direction."""
        if not (self.closing or self.paused or self.protocol.eof_received()):
            self.close()


class World:
    """A connection of the app and those to the endpoint; each opens or fails when the test decides."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.loop = pair.loop
        self.opening: deque[asyncio.Future[None]] = deque()
        self.there: list[Live] = []
        pair.idle.clear()
        pair.endpoint.connections = 0
        pair.loop.create_connection = self._connect  # type: ignore[method-assign,assignment] # no network
        self.client = ClientConnection(pair.upstream)
        self.app = Live(self.loop, self.client)
        self.client.connection_made(self.app)  # type: ignore[arg-type] # a fake transport
        self.now = self.client.since

    async def _connect(self, protocol: Callable[[], Any], *_: Any, **__: Any) -> tuple[Live, Any]:
        self.opening.append(self.loop.create_future())
        await self.opening[-1]
        made = protocol()
        wire = Live(self.loop, made)
        made.connection_made(wire)
        self.there.append(wire)
        return wire, made

    def settle(self) -> None:
        for _ in range(4):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def open(self, *, fails: bool) -> None:
        while self.opening:
            future = self.opening.popleft()
            if future.done():
                continue
            if fails:
                future.set_exception(OSError(errno.ECONNREFUSED, "refused"))
            else:
                future.set_result(None)
            return

    def act(self, action: str, which: int, size: int) -> None:
        if action == "serve":
            for each in ("request", "open", "response"):
                self.act(each, which, size)
            return
        request, response = CLIENT[which % len(CLIENT)], SERVER[which % len(SERVER)]
        last = self.there[-1] if self.there and not self.there[-1].closing else None
        here: dict[str, Callable[[], object]] = {
            "request": lambda: self.app.take(request),
            "a part of a request": lambda: self.app.take(request[:size]),
            "the rest of a request": lambda: self.app.take(request[size:]),
            "open": lambda: self.open(fails=False),
            "refuse": lambda: self.open(fails=True),
            "pass": lambda: self.wait(which),
            "the app ends": self.app.end,
            "the app leaves": self.app.close,
            "the app stops reading": self.app.stop,
            "the app reads on": self.app.go_on,
        }
        there: dict[str, Callable[[Live], object]] = {
            "response": lambda wire: wire.take(response),
            "a part of a response": lambda wire: wire.take(response[:size]),
            "the server ends": Live.end,
            "the server breaks": Live.abort,
            "the server stops reading": Live.stop,
            "the server reads on": Live.go_on,
        }
        if action in here:
            here[action]()
        elif last is not None:
            there[action](last)
        self.settle()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.pair.upstream.tick(self.now)


ACTIONS = (
    *("request", "open", "response", "serve") * 3,
    *("a part of a request", "the rest of a request", "a part of a response", "pass", "refuse"),
    *("the app ends", "the app leaves", "the app stops reading", "the app reads on"),
    *("the server ends", "the server breaks", "the server stops reading", "the server reads on"),
)
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 100), st.integers(1, 120)), max_size=30)


@given(STEPS)
def test_nothing_is_left_when_all_have_ended(steps: list[tuple[str, int, int]]) -> None:
    with Pair() as pair:
        world = World(pair)
        for action, which, size in steps:
            world.act(action, which, size)
        # No peer acts any more, until the time-out of each waiting request is over.
        for _ in range(1000):
            world.wait(FOREVER)
            world.open(fails=True)
            world.settle()
            if world.app.closing and not world.opening:
                break
        for _ in range(3):
            world.wait(FOREVER)
            world.settle()
        if not tunnels(pair.upstream):  # a tunnel with both ends open may be silent
            assert world.app.closing
            assert pair.endpoint.pending == 0
            assert [wire for wire in world.there if not wire.closing] == []
        pair.upstream.close()
        world.settle()
        assert pair.endpoint.pending == 0
        assert pair.endpoint.connections == 0
        assert pair.idle == []
        assert pair.upstream.admission.under_way == 0
        assert not tunnels(pair.upstream)
        assert world.client not in pair.upstream.clients.open

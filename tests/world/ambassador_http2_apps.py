"""An app of the ambassador's world that speaks HTTP/2: one connection, many streams, patient or rude."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.world.ambassador_apps import PATIENCE, PORT, Received
from tests.world.http_peers import body_of
from tests.world.universe import Universe, check
from tests.world.world import World

_METHODS = ("GET", "GET", "HEAD", "PUT", "POST", "POST", "DELETE")
_CANCEL = 8

# `h2` ends all streams at a GOAWAY; by RFC 9113 section 6.8 those that it does not leave out go on.
_Machine = h2.connection.H2ConnectionStateMachine
_Machine._transitions[h2.connection.ConnectionState.CLIENT_OPEN, h2.connection.ConnectionInputs.RECV_GOAWAY] = (
    None,
    h2.connection.ConnectionState.CLIENT_OPEN,
)


@dataclass
class _Stream:
    """One request, and what came for it."""

    name: str
    method: str
    head: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    is_whole: bool = False
    is_over: bool = False  # True if nothing more comes
    was_left: bool = False  # True if the app has reset it
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Http2App:
    """One connection of the app."""

    def __init__(self, world: World, number: int, received: Received, *, is_polite: bool) -> None:
        self._universe: Universe = world.universe
        self._number = number
        self._received = received
        self._rudeness = 0.0 if is_polite else self._universe.choose(0.0, 0.1, 0.4)
        config = h2.config.H2Configuration(client_side=True, validate_outbound_headers=False)
        self._h2 = h2.connection.H2Connection(config)
        self._streams: dict[int, _Stream] = {}
        self._is_closed = False  # True if no further stream may be opened
        self._windows = asyncio.Event()
        self._is_lost = False

    async def run(self) -> None:
        """Live through the connection. Every one must end."""
        universe = self._universe
        try:
            async with asyncio.timeout(PATIENCE):
                try:
                    reader, self._writer = await asyncio.open_connection("127.0.0.1", PORT)
                except OSError:
                    return  # nobody listens any more
                self._received.opened += 1
                self._h2.initiate_connection()
                self._flush()
                reading = asyncio.ensure_future(self._read(reader))
                await self._talk()
                self._writer.close()
                await reading
        except TimeoutError:
            check("every request ends, and every connection of the app", False, f"app {self._number}")
        universe.record(f"app {self._number} is done")

    async def _talk(self) -> None:
        universe = self._universe
        for turn in range(universe.dice.randint(1, 3)):
            together = universe.choose(1, 2, 5, 20)
            await asyncio.gather(*(self._ask(f"{self._number}.{turn}.{each}") for each in range(together)))
            if universe.chance(self._rudeness / 2):
                self._received.broken += 1
                self._writer.transport.abort()
            if self._is_closed:
                return
            await asyncio.sleep(universe.choose(0.0, 0.0, 0.3, 1.2))

    # -- one stream -----------------------------------------------------------------------------------------------

    async def _ask(self, name: str) -> None:
        universe = self._universe
        if self._is_closed:
            return
        method = universe.choose(*_METHODS)
        size = 0 if method in ("GET", "HEAD", "DELETE") else universe.choose(0, 3, 500, 20_000, 200_000)
        fields = [(":method", method), (":scheme", "http"), (":authority", "shop"), (":path", f"/r/{name}")]
        fields.append(("x-length", str(size)))
        if method == "POST" and universe.chance(0.2):
            fields += [("idempotency-key", name), ("x-key", name)]
        if size and universe.chance(0.5):
            fields.append(("content-length", str(size)))
        number = self._h2.get_next_available_stream_id()
        stream = self._streams[number] = _Stream(name, method)
        self._received.asked += 1
        self._h2.send_headers(number, fields, end_stream=not size)
        if universe.chance(self._rudeness):
            asyncio.get_running_loop().call_later(universe.choose(0.0, 0.001, 0.2), self._leave, number)
        self._flush()
        if size:
            await self._send(number, stream, body_of(name, size))
        while not stream.is_over:
            stream.news.clear()
            await stream.news.wait()
        self._count(stream)

    async def _send(self, number: int, stream: _Stream, body: bytes) -> None:
        """Send the body as the windows allow, until the stream is over."""
        universe = self._universe
        while not stream.is_over and not self._is_lost:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._windows.clear()
                await self._windows.wait()
                continue
            piece, body = body[:room], body[room:]
            self._h2.send_data(number, piece, end_stream=not body)
            self._flush()
            if not body:
                return
            await asyncio.sleep(universe.choose(0.0, 0.001, 0.05))

    def _leave(self, number: int) -> None:
        stream = self._streams[number]
        if not stream.is_over and not self._is_lost:
            stream.was_left = True
            self._h2.reset_stream(number, _CANCEL)
            self._flush()
            self._end(stream)

    def _count(self, stream: _Stream) -> None:
        """Count the response, and check that it belongs to the request and that a part does not look like the whole."""
        if not stream.is_whole or stream.was_left:
            self._received.broken += 1
        if not stream.head:
            return
        status = int(stream.head[b":status"])
        self._received.statuses[status] += 1
        self._universe.record(f"app {self._number} gets {status} for {stream.name}, {len(stream.body)} bytes")
        if b"proxy-status" in stream.head:
            return  # the ambassador's own
        name = stream.head.get(b"x-name", b"").decode()
        check("an app gets the response to its own request", name == stream.name, f"{stream.name} got {name}")
        size = int(stream.head[b"x-size"])
        whole = b"" if stream.method == "HEAD" else body_of(name, size)
        check("what arrives of a body is its beginning", whole.startswith(stream.body[:size]), name)
        if stream.is_whole:
            check("a part of a body does not look like the whole", stream.body == whole, f"{name}: {len(stream.body)}")

    # -- the connection -------------------------------------------------------------------------------------------

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(self._universe.choose(65_536, 65_536, 1_000)):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._flush()
        except (ConnectionError, h2.exceptions.StreamClosedError):
            pass
        self._is_lost = self._is_closed = True
        for stream in self._streams.values():
            self._end(stream)
        self._windows.set()
        self._writer.close()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self._leave_out(event)
        number = getattr(event, "stream_id", 0)
        stream = self._streams.get(number or 0)
        if isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self._windows.set()
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.head = {bytes(name): bytes(value) for name, value in event.headers or ()}
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data or b""
            if event.flow_controlled_length and not self._is_closed:
                self._h2.acknowledge_received_data(event.flow_controlled_length, number)
        elif isinstance(event, h2.events.StreamEnded):
            stream.is_whole = True
            self._end(stream)
        elif isinstance(event, h2.events.StreamReset):
            self._end(stream)

    def _leave_out(self, goaway: h2.events.ConnectionTerminated) -> None:
        """Open no further stream, and give up those that the ambassador has not seen."""
        check("the framing is that of HTTP/2", int(goaway.error_code or 0) == 0, goaway.additional_data)
        self._is_closed = True
        for number, stream in self._streams.items():
            if number > (goaway.last_stream_id or 0):
                self._end(stream)

    def _end(self, stream: _Stream) -> None:
        stream.is_over = True
        stream.news.set()
        self._windows.set()

    def _flush(self) -> None:
        if not self._writer.transport.is_closing():
            self._writer.write(self._h2.data_to_send())

"""An app's connection of HTTP/2 without a network: a client made with `h2`, and idle connections to an endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings

from sidecars.ambassador.proxy.http2_connection import Http2Connection
from sidecars.ambassador.transport.small_reads import SmallReads
from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from tests.ambassador.exchanges import Pair, Wire

Fields = list[tuple[str, str]]


@dataclass
class Got:
    """What came on one stream."""

    head: dict[str, str] = field(default_factory=dict)
    interims: list[str] = field(default_factory=list)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: int | None = None


def _texts(headers: Iterable[tuple[bytes, bytes]] | None) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers or ()}


class Http2Pair(Pair):
    """A client of HTTP/2 on the app's connection, which takes all that comes at once."""

    def __init__(self, window: int | None = None, **environ: str) -> None:
        super().__init__(**environ)
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.got: dict[int, Got] = {}
        self.goaways: list[int] = []
        self.gives_credit = window is None
        self.h2.initiate_connection()
        if window is not None:
            self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self._read = 0
        self.flush()

    def __enter__(self) -> Http2Pair:  # noqa: PYI034 - a helper of one class
        return self

    @property
    def server(self) -> Http2Connection:
        """The connection, which took the place of the one of HTTP/1.1."""
        found = self.app.protocol
        if isinstance(found, SmallReads):  # memory is short
            found = found._reader
        assert isinstance(found, Http2Connection)
        return found

    def flush(self, *more: bytes) -> None:
        """Send what the client has to send, in one read of the ambassador, and take what comes."""
        data = self.h2.data_to_send() + b"".join(more)
        if data:
            (self.server if self.app.protocol else self.client).data_received(data)
        self.turn()

    def turn(self) -> None:
        """Let what is due run, and take what has come."""
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        data, self._read = self.app.written[self._read :], len(self.app.written)
        for event in self.h2.receive_data(data) if data else []:
            self._take(event)
        data = self.h2.data_to_send()
        if data and not self.app.closing:
            self.server.data_received(data)
            self.turn()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append(int(event.error_code or 0))
        stream = getattr(event, "stream_id", None)
        if stream is None:
            return
        got = self.got.setdefault(stream, Got())
        if isinstance(event, h2.events.InformationalResponseReceived):
            got.interims.append(_texts(event.headers)[":status"])
        elif isinstance(event, h2.events.ResponseReceived):
            got.head = _texts(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            got.trailers = _texts(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            got.body += event.data or b""
            if self.gives_credit and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.StreamEnded):
            got.ended = True
        elif isinstance(event, h2.events.StreamReset):
            got.reset = int(event.error_code)

    def ask(self, path: str = "/a", method: str = "GET", body: bytes | None = None, more: Fields | None = None) -> int:
        """Send a request, and return its stream. `body` None: none; the stream is ended behind it."""
        stream = self.begin(path, method, more, end=body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    def begin(self, path: str = "/a", method: str = "POST", more: Fields | None = None, *, end: bool = False) -> int:
        """Queue a request's head, and return its stream."""
        stream = self.h2.get_next_available_stream_id()
        own = [(":method", method), (":scheme", "http"), (":authority", "app"), (":path", path)]
        self.h2.send_headers(stream, own + (more or []), end_stream=end)
        return stream

    def add_connections(self, count: int) -> list[UpstreamConnection]:
        """Give the endpoint so many more idle connections. Return all of them, in the order in which they are taken."""
        made = []
        for _ in range(count):
            connection = self.upstream.pool.new_connection(self.endpoint)
            connection.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
            connection.keep_idle(self.client.since)
            made.append(connection)
        return [*made[::-1], self.connection]

    @property
    def is_released(self) -> bool:
        """True if nothing of any exchange is left."""
        upstream = self.upstream
        counts = (self.endpoint.pending, upstream.admission.under_way, upstream.clients.streams, upstream.memory.held)
        return not any(counts) and not self.server.sides

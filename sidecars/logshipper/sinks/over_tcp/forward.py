"""The sinks `forward://` and `forward+tls://`: the Forward protocol of Fluentd and Fluent Bit, with acknowledgements.

Each batch is one PackedForward message with a chunk id.

Accepted: the receiver returns the chunk id, which it does when the chunk is in its own buffer. Without it in time, the
batch is sent again on a new connection.

Repeats: at least once. The chunk id is the same (it is made of the batch's key), and so is the `id` of each record.

Rejected: never. The protocol has no message for it; a receiver drops the events that it cannot use, or closes the
connection.

With `SINK_TOKEN`, the shared key, both sides prove to have it before anything is sent. With `SINK_USERNAME` and
`SINK_PASSWORD` we are a user of the receiver's. The tag is the path of the URL, `logshipper` if it has none.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgpack

from sidecars.chassis.config.settings import variable
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome, RetryLater
from sidecars.logshipper.sinks.encodings.compression import compressor
from sidecars.logshipper.sinks.encodings.forward_entries import encode_entries
from sidecars.logshipper.sinks.over_tcp.stream_connection import IdleConnections, StreamConnection, open_stream
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed
from sidecars.logshipper.sinks.protocols.credentials import read_secret, tls_context
from sidecars.logshipper.sinks.protocols.forward_handshake import Handshake, ProtocolFailed

_PORT = 24224
_TAG = "logshipper"
_SALT = 16  # bytes
_MAX_RESPONSE = 4 * 1024  # bytes of one message: a HELO, a PONG with its reason, or an acknowledgement


def create(settings: Settings, sink: SinkSettings) -> ForwardSink:
    return ForwardSink(settings, sink)


class ForwardSink:
    """A Fluentd or Fluent Bit. Each batch in flight has a connection of its own. See `base.Sink`."""

    max_in_flight = 64

    def __init__(self, settings: Settings, sink: SinkSettings) -> None:
        self._settings = sink
        self._host = sink.url.hostname
        self._port = sink.url.port or _PORT
        self._tag = str(sink.url.target).strip("/") or _TAG
        self._hostname = settings.pod_name or socket.gethostname()
        self._compress = compressor(sink.compression)
        self._tls: ReloadingContext | None = None
        self._idle: IdleConnections[_Connection] = IdleConnections()

    async def open(self, _receipt: Any) -> None:
        if self._settings.url.scheme == "forward+tls":
            self._tls = tls_context(self._settings)

    async def deliver(self, batch: Batch) -> Outcome:
        message = await batch.encoded(self._encode)
        chunk_id = _chunk_id(batch)
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                await self._deliver(message, chunk_id)
        except TimeoutError:
            raise RetryLater(f"no acknowledgement within {self._settings.request_timeout:g} s") from None
        except (ConnectionFailed, ProtocolFailed) as error:
            raise RetryLater(error.reason) from None
        return Outcome()

    async def _deliver(self, message: Sequence[bytes], chunk_id: str) -> None:
        context = self._tls.context() if self._tls else None
        while idle := self._idle.take(context):
            try:
                return await self._exchange(idle, message, chunk_id)
            except ConnectionFailed:
                pass  # the receiver closed the idle connection: no failure yet, the next connection may work
        return await self._exchange(await self._connect(context), message, chunk_id)

    async def _exchange(self, connection: _Connection, message: Sequence[bytes], chunk_id: str) -> None:
        try:
            await connection.send(message)
            response = await connection.receive()
        except BaseException:
            connection.abort()
            raise
        if not isinstance(response, dict) or response.get(b"ack") != chunk_id.encode():
            connection.abort()
            raise ProtocolFailed(self._no_acknowledgement(response))
        if connection.can_be_reused:
            self._idle.keep(connection)
        else:
            connection.abort()

    async def _connect(self, context: ssl.SSLContext | None) -> _Connection:
        connection = _Connection(context, *await open_stream(self._host, self._port, context))
        if self._settings.sink_token is not None:
            try:
                await self._handshake(connection)
            except BaseException:
                connection.abort()
                raise
        return connection

    async def _handshake(self, connection: _Connection) -> None:
        settings = self._settings
        key = read_secret(settings.sink_token, settings, "sink_token") if settings.sink_token else ""
        password = read_secret(settings.sink_password, settings, "sink_password") if settings.sink_password else ""
        handshake = Handshake(self._hostname, key, settings.sink_username or "", password, os.urandom(_SALT).hex())
        helo = handshake.helo(await connection.receive())
        await connection.send([handshake.ping(helo)])
        try:
            pong = await connection.receive()
        except ConnectionFailed:  # Fluent Bit's response to a PING with another key
            name = variable(Settings, "sink_token", settings.name)
            raise ProtocolFailed(f"the receiver closed the connection at our PING: is {name} its shared key?") from None
        handshake.check(pong, helo)
        if not helo.keepalive:
            connection.end_after_next_message()

    def _encode(self, batch: Batch) -> list[bytes]:
        packed = self._compress(encode_entries(batch, batch.at))
        option = {"size": batch.events, "chunk": _chunk_id(batch)}
        if self._settings.compression != "none":
            option["compressed"] = self._settings.compression
        head: bytes = b"\x93" + msgpack.packb(self._tag) + struct.pack(">BI", 0xC6, sum(map(len, packed)))
        return [head, *packed, msgpack.packb(option)]

    def _no_acknowledgement(self, response: Any) -> str:
        if isinstance(response, list) and response[:1] == [b"HELO"]:
            return f"the receiver asks for a shared key: set {variable(Settings, 'sink_token', self._settings.name)}"
        return "the receiver's response is not an acknowledgement of the chunk"

    async def close(self) -> None:
        while connection := self._idle.take_any():
            connection.abort()


def _chunk_id(batch: Batch) -> str:
    """Return the chunk id: base64 of 128 bits, the same whenever the same events are sent."""
    return b64encode(bytes.fromhex(batch.key)).decode("ascii")


class _Connection(StreamConnection):
    """One connection, for one message at a time. Owned by the `ForwardSink` that opened it."""

    def __init__(
        self, context: ssl.SSLContext | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(context, reader, writer)
        self.can_be_reused = True  # the receiver takes more than one message on a connection
        self._messages = msgpack.Unpacker(raw=True, max_buffer_size=_MAX_RESPONSE)

    def end_after_next_message(self) -> None:
        """Note that the receiver takes one message on this connection."""
        self.can_be_reused = False

    async def receive(self) -> Any:
        """Return the receiver's next message, strings as bytes. Raises ConnectionFailed or ProtocolFailed."""
        while True:
            try:
                return self._messages.unpack()
            except msgpack.OutOfData:
                pass
            except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException):
                raise ProtocolFailed("the receiver does not speak the Forward protocol") from None
            try:
                self._messages.feed(await self.read(_MAX_RESPONSE))
            except msgpack.BufferFull:
                raise ProtocolFailed("the receiver does not speak the Forward protocol") from None

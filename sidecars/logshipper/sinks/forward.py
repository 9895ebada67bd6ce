"""The sinks `forward://` and `forward+tls://`: the Forward protocol of Fluentd and Fluent Bit, with acknowledgements.

Each batch is one PackedForward message with a chunk id, which the receiver gives back once it has the chunk in its own
buffer: that is the yes. Without it in time the batch is sent again, on a new connection, with the same chunk id (it is
made of the batch's key); and each record carries its `id`, by which repeats can be recognised further on.

The protocol knows no refusal: what a receiver cannot use it drops, or it closes the connection.

With `SINK_TOKEN` as the shared key both sides prove to have it before anything is sent, and with `SINK_USERNAME` and
`SINK_PASSWORD` we are a user of the receiver's. The tag is the path of the URL, `logshipper` unless it has one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgpack

from sidecars.chassis.config.settings import variable
from sidecars.chassis.http.error_reasons import reason_of
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome, RetryLater
from sidecars.logshipper.sinks.encodings.compression import compressor
from sidecars.logshipper.sinks.encodings.forward_entries import encode_entries
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed, connect
from sidecars.logshipper.sinks.protocols.credentials import read_secret, tls_context
from sidecars.logshipper.sinks.protocols.forward_handshake import Handshake, Refused

_PORT = 24224
_TAG = "logshipper"
_SALT = 16  # bytes
_ANSWER = 4 * 1024  # bytes of one answer, at most: a HELO, a PONG with its reason, or an acknowledgement


def create(settings: Settings, sink: SinkSettings) -> ForwardSink:
    return ForwardSink(settings, sink)


class ForwardSink:
    max_in_flight = 64

    def __init__(self, settings: Settings, sink: SinkSettings) -> None:
        self._sink = sink
        self._host = sink.url.hostname or ""
        self._port = sink.url.port or _PORT
        self._tag = sink.url.path.strip("/") or _TAG
        self._hostname = settings.pod_name or socket.gethostname()
        self._pack = compressor(sink.compression)
        self._tls: ReloadingContext | None = None
        self._idle: list[_Connection] = []

    async def open(self, _receipt: Any) -> None:
        if self._sink.url.scheme == "forward+tls":
            self._tls = tls_context(self._sink)

    async def deliver(self, batch: Batch) -> Outcome:
        message = batch.encoded(self._encode)
        chunk = _chunk(batch)
        try:
            async with asyncio.timeout(self._sink.request_timeout):
                await self._deliver(message, chunk)
        except TimeoutError:
            raise RetryLater(f"no acknowledgement within {self._sink.request_timeout:g} s") from None
        except (ConnectionFailed, Refused) as error:
            raise RetryLater(error.reason) from None
        return Outcome()

    async def _deliver(self, message: Sequence[bytes], chunk: str) -> None:
        context = self._tls.context() if self._tls else None
        while kept := self._kept(context):
            try:
                return await self._exchange(kept, message, chunk)
            except ConnectionFailed:
                pass  # the receiver closed it as we began: that is no failure yet
        return await self._exchange(await self._connect(context), message, chunk)

    async def _exchange(self, connection: _Connection, message: Sequence[bytes], chunk: str) -> None:
        try:
            await connection.send(message)
            answer = await connection.receive()
        except BaseException:
            connection.abort()
            raise
        if not isinstance(answer, dict) or answer.get(b"ack") != chunk.encode():
            connection.abort()
            raise Refused(self._no_acknowledgement(answer))
        if connection.keeps:
            self._idle.append(connection)
        else:
            connection.abort()

    def _kept(self, context: ssl.SSLContext | None) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.context is context and connection.is_open():
                return connection
            connection.abort()
        return None

    async def _connect(self, context: ssl.SSLContext | None) -> _Connection:
        connection = await _Connection.to(self._host, self._port, context)
        if self._sink.sink_token is not None:
            try:
                await self._shake_hands(connection)
            except BaseException:
                connection.abort()
                raise
        return connection

    async def _shake_hands(self, connection: _Connection) -> None:
        sink = self._sink
        key = read_secret(sink.sink_token, sink, "sink_token") if sink.sink_token else ""
        password = read_secret(sink.sink_password, sink, "sink_password") if sink.sink_password else ""
        handshake = Handshake(self._hostname, key, sink.sink_username or "", password, os.urandom(_SALT).hex())
        helo = handshake.helo(await connection.receive())
        await connection.send([handshake.ping(helo)])
        try:
            pong = await connection.receive()
        except ConnectionFailed:  # how Fluent Bit answers a PING with another key
            name = variable(Settings, "sink_token", sink.name)
            raise Refused(f"the receiver closed the connection at our PING: is {name} its shared key?") from None
        handshake.check(pong, helo)
        connection.keeps = helo.keepalive

    def _encode(self, batch: Batch) -> list[bytes]:
        packed = self._pack(encode_entries(batch, time.time_ns()))
        option = {"size": batch.events, "chunk": _chunk(batch)}
        if self._sink.compression != "none":
            option["compressed"] = self._sink.compression
        head: bytes = b"\x93" + msgpack.packb(self._tag) + struct.pack(">BI", 0xC6, sum(map(len, packed)))
        return [head, *packed, msgpack.packb(option)]

    def _no_acknowledgement(self, answer: Any) -> str:
        if isinstance(answer, list) and answer[:1] == [b"HELO"]:
            return f"the receiver asks for a shared key: set {variable(Settings, 'sink_token', self._sink.name)}"
        return "the receiver's answer is not an acknowledgement of what was sent"

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().abort()


def _chunk(batch: Batch) -> str:
    """Base64 of 128 bits, the same whenever the same events are sent."""
    return b64encode(bytes.fromhex(batch.key)).decode("ascii")


class _Connection:
    """One connection, on which one message at a time is on its way."""

    def __init__(
        self, context: ssl.SSLContext | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.context = context
        self.keeps = True  # the receiver takes more than one message on it
        self._reader = reader
        self._writer = writer
        self._messages = msgpack.Unpacker(raw=True, max_buffer_size=_ANSWER)

    @classmethod
    async def to(cls, host: str, port: int, context: ssl.SSLContext | None) -> _Connection:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        transport, protocol = await connect(lambda: asyncio.StreamReaderProtocol(reader), host, port, context)
        return cls(context, reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    def is_open(self) -> bool:
        return not (self._writer.is_closing() or self._reader.at_eof())

    async def send(self, blocks: Sequence[bytes]) -> None:
        try:
            for block in blocks:
                self._writer.write(block)
                await self._writer.drain()
        except OSError as error:
            raise ConnectionFailed(f"the connection broke: {reason_of(error)}") from None

    async def receive(self) -> Any:
        """The next thing that the receiver says, strings as bytes."""
        while True:
            try:
                return self._messages.unpack()
            except msgpack.OutOfData:
                pass
            except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException):
                raise Refused("the receiver does not speak the Forward protocol") from None
            try:
                data = await self._reader.read(_ANSWER)
                self._messages.feed(data)
            except OSError as error:
                raise ConnectionFailed(f"the connection broke: {reason_of(error)}") from None
            except msgpack.BufferFull:
                raise Refused("the receiver does not speak the Forward protocol") from None
            if not data:
                raise ConnectionFailed("the receiver closed the connection without an acknowledgement")

    def abort(self) -> None:
        self._writer.transport.abort()

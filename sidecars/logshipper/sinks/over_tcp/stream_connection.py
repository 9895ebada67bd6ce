"""The receiver of a protocol with acknowledgements: a connection, those that wait, and an attempt in its time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sidecars.chassis.http.error_reasons import reason_of
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed, SessionFailed, connect
from sidecars.logshipper.sinks.protocols.credentials import tls_context

_READ = 64 * 1024  # bytes


class StreamConnection:
    """One connection, for one batch at a time. Owned by the sink that opened it.

    `context`: the TLS context that it was made with; None without TLS.
    """

    def __init__(
        self, context: ssl.SSLContext | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.context = context
        self._reader = reader
        self._writer = writer

    def is_open(self) -> bool:
        return not (self._writer.is_closing() or self._reader.at_eof())

    async def send(self, blocks: Sequence[bytes]) -> None:
        """Send the blocks. Raises ConnectionFailed."""
        try:
            for block in blocks:
                self._writer.write(block)
                await self._writer.drain()
        except OSError as error:
            raise ConnectionFailed(f"the connection broke: {reason_of(error)}") from None

    async def read(self, most: int = _READ) -> bytes:
        """Return bytes that the receiver has sent, at most so many. Raises ConnectionFailed if it closed."""
        try:
            data = await self._reader.read(most)
        except OSError as error:
            raise ConnectionFailed(f"the connection broke: {reason_of(error)}") from None
        if not data:
            raise ConnectionFailed("the receiver closed the connection without an acknowledgement")
        return data

    def close(self, farewell: bytes = b"") -> None:
        """Close the connection after a last message, without waiting for either."""
        if farewell and self.is_open():
            self._writer.write(farewell)
            self._writer.close()
        else:
            self.abort()

    def abort(self) -> None:
        self._writer.transport.abort()


async def open_stream(
    host: str, port: int, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the receiver, with TLS if there is a context. Raises ConnectionFailed."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    transport, protocol = await connect(lambda: asyncio.StreamReaderProtocol(reader), host, port, context)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


C = TypeVar("C", bound=StreamConnection)


class IdleConnections(Generic[C]):
    """The open connections of a sink that have no batch. Owned by the sink."""

    def __init__(self) -> None:
        self._idle: list[C] = []

    def take(self, context: ssl.SSLContext | None) -> C | None:
        """Return an open connection that was made with this context; None without one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.context is context and connection.is_open():
                return connection
            connection.abort()
        return None

    def keep(self, connection: C) -> None:
        self._idle.append(connection)

    def take_any(self) -> C | None:
        """Return a connection to close; None if there is none left."""
        return self._idle.pop() if self._idle else None


class StreamReceiver(Generic[C]):
    """The receiver of a sink whose batches in flight have a connection each. Owned by the sink.

    host, port   where it listens
    idle         the connections that wait for their next batch
    """

    def __init__(self, settings: SinkSettings, default_port: int) -> None:
        self.host = settings.url.hostname
        self.port = settings.url.port or default_port
        self.idle: IdleConnections[C] = IdleConnections()
        self._settings = settings
        self._tls: ReloadingContext | None = None

    def open(self) -> None:
        """Read the files of TLS, if the URL has it. Raises a chassis Failure."""
        if self._settings.url.scheme.endswith("+tls"):
            self._tls = tls_context(self._settings)

    async def attempt(self, deliver: Callable[[ssl.SSLContext | None], Awaitable[None]]) -> str:
        """Call `deliver` with the TLS context of today, for REQUEST_TIMEOUT at most.

        Return why it ended too early, when some messages may have been accepted; "" if it did not. Raises RetryLater if
        nothing of the session counts.
        """
        context = self._tls.context() if self._tls else None
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                await deliver(context)
        except TimeoutError:
            return f"not every message was acknowledged within {self._settings.request_timeout:g} s"
        except ConnectionFailed as error:
            return error.reason
        except SessionFailed as error:
            raise RetryLater(error.reason) from None
        return ""

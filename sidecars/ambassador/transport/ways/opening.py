"""A connection during its first steps: what comes is held, and given to the protocol of the connection behind them.

Little of a peer's bytes is held: a read is small, and reading pauses until it was looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sidecars.ambassador.http.local_replies import CONNECTION_CLOSED
from sidecars.ambassador.transport.connect_errors import ConnectFailed

if TYPE_CHECKING:
    from ssl import SSLContext

P = TypeVar("P", bound=asyncio.BaseProtocol)

_BUFFER = memoryview(bytearray(4096))  # for all of them: no read outlives its call


class Opening(asyncio.BufferedProtocol):
    """The protocol of a connection during these steps. The coroutine that opens the connection owns it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._coming: asyncio.Future[None] | None = None
        self.unread = b""
        self._is_lost = False

    # -- for the event loop ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        if self.unread:
            self._transport.pause_reading()

    def get_buffer(self, _hint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, count: int) -> None:
        self.unread += bytes(_BUFFER[:count])
        if self._transport is not None:  # after `begin_tls` bytes may come before it is there
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_lost = True
        self._wake()

    def _wake(self) -> None:
        coming, self._coming = self._coming, None
        if coming is not None and not coming.done():
            coming.set_result(None)

    # -- the steps ------------------------------------------------------------------------------------------------

    @property
    def transport(self) -> asyncio.Transport:
        """The open transport. Raises ConnectFailed if it is closed."""
        transport = self._transport
        if transport is None or self._is_lost or transport.is_closing():
            raise ConnectFailed(CONNECTION_CLOSED)
        return transport

    async def read(self) -> bytes:
        """Return bytes of the peer, b"" at their end. The rest goes back to `unread`."""
        if not self.unread and not self._is_lost:
            coming = self._coming = self._loop.create_future()
            self.transport.resume_reading()
            await coming
        data, self.unread = self.unread, b""
        return data

    async def begin_tls(self, context: SSLContext, name: str) -> Opening:
        """Return the connection within TLS, once the handshake is done. Raises OSError or ValueError."""
        inner = Opening(self._loop)
        made = await self._loop.start_tls(self.transport, inner, context, server_hostname=name)
        if made is None:
            raise ConnectFailed(CONNECTION_CLOSED)
        inner.connection_made(made)
        return inner

    def selected_protocol(self) -> str | None:
        """Return the protocol that the server has selected in TLS (ALPN), None if it has selected none."""
        session = self.transport.get_extra_info("ssl_object")
        return cast("str | None", session.selected_alpn_protocol())

    def give(self, protocol: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Give the connection, and its bytes so far, to its own protocol. Raises ConnectFailed if it is closed."""
        transport = self.transport
        transport.pause_reading()  # how it is read changes with the protocol
        made = protocol()
        transport.set_protocol(made)
        made.connection_made(transport)
        transport.resume_reading()
        if self.unread:
            _feed(transport.get_protocol(), self.unread)
        return transport, made

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _feed(protocol: Any, data: bytes) -> None:
    """Let a protocol of either kind read these bytes."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        protocol.data_received(data)
        return
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]

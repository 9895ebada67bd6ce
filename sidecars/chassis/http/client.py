"""A small HTTP/1.1 client: it sends a request and returns a whole response. h11 has the protocol; this is the I/O.

It is for sidecars that ask one place again and again. A general client would take half of their memory, would join the
blocks of a body before it sends them, and would not read a response that comes before the whole body is sent.

- One request at a time uses a connection. A connection that the peer keeps open is used again, within `keep_alive`
  seconds.
- A kept connection may close just as it is used again. That is no failure: another connection gets the request.
- A response ends the sending. `ClientResponse.early` is True if it came before the whole request was sent.
- A response has limits of bytes and of work (see `response_parser`). The event loop serves others between its pieces.
- A client may be *pinned*: it has one connection in its life, for what a peer remembers of a connection.
- The client follows no redirect, decompresses nothing, and reads no environment variable. It uses a proxy only if it is
  given a connector (`proxy.tunnel`).

The deadline is the caller's: one for all, from the connection to the last byte. A request that is cancelled closes its
connection, because its response may still come.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import h11

from sidecars.chassis.http import response_parser
from sidecars.chassis.http.connecting import connect
from sidecars.chassis.http.response_parser import (
    BodyTooLarge,
    ClientResponse,
    ConnectionClosed,
    ConnectorFailed,
    MalformedResponse,
    RequestFailed,
    ResponseParser,
    ResponseProgress,
)

if TYPE_CHECKING:
    from ssl import SSLContext

    from sidecars.chassis.http.proxy.proxies import Connector

__all__ = [
    "BodyTooLarge",
    "ClientResponse",
    "ConnectionClosed",
    "ConnectorFailed",
    "HttpClient",
    "MalformedResponse",
    "RequestFailed",
    "ResponseProgress",
]

P = TypeVar("P", bound=asyncio.Protocol)


_WRITE_AHEAD = 256 * 1024  # bytes in the transport's buffer before writing pauses
_STEPS = 64  # of a response before the event loop serves others: about a millisecond


class HttpClient:
    """A client of one host and port. Simultaneous requests have a connection each."""

    def __init__(
        self,
        host: str,
        port: int,
        context: Callable[[], SSLContext | None],
        *,
        keep_alive: float,
        pinned: bool = False,
        connector: Connector | None = None,
    ) -> None:
        """`context` is called before each request. A connection made with an earlier context is not used again.

        `keep_alive` is the time in seconds for which an idle connection is kept. `pinned`: every request after the
        first raises ConnectionClosed if it cannot have the connection of the first one. `connector` makes the
        connections through a proxy (`proxy.tunnel`).
        """
        self._host = host
        self._port = port
        self._context = context
        self._keep_alive = keep_alive
        self._pinned = pinned
        self._has_connected = False
        self._connector = connector
        self._idle: list[_Connection] = []
        self._loop = asyncio.get_running_loop()
        self._sweep: asyncio.TimerHandle | None = None

    async def request(
        self,
        request: h11.Request,
        blocks: Sequence[bytes] = (),
        *,
        max_body: int,
        progress: ResponseProgress | None = None,
    ) -> ClientResponse:
        """Send the request and return its response. `blocks` are the body; a field of the request has its length.

        Raises a RequestFailed, and OSError if no connection can be made.
        """
        progress = progress or ResponseProgress()
        context = self._context()
        while kept := self._kept(context):
            try:
                return await self._exchange(kept, request, blocks, max_body, progress)
            except ConnectionClosed:
                if kept.response_has_begun:
                    raise
        if self._pinned and self._has_connected:
            raise ConnectionClosed
        self._has_connected = True
        return await self._exchange(await self._connect(context), request, blocks, max_body, progress)

    async def _connect(self, context: SSLContext | None) -> _Connection:
        if self._connector is not None:
            return await self._connector.connect(lambda: _Connection(context), context)
        return await connect(lambda: _Connection(context), self._host, self._port, context)

    async def _exchange(
        self,
        connection: _Connection,
        request: h11.Request,
        blocks: Sequence[bytes],
        max_body: int,
        progress: ResponseProgress,
    ) -> ClientResponse:
        try:
            response = await connection.exchange(request, blocks, max_body, progress)
        except BaseException:
            connection.close()
            raise
        if connection.can_be_used_again():
            connection.keep_until(self._loop.time() + self._keep_alive)
            self._idle.append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(self._keep_alive, self._close_old)
        else:
            connection.close()
        return response

    @property
    def has_idle_connection(self) -> bool:
        """True if the next request can use a connection that is open already."""
        context, now = self._context(), self._loop.time()
        return any(one.is_open and now < one.idle_until and one.context is context for one in self._idle)

    def _kept(self, context: SSLContext | None) -> _Connection | None:
        """Return a kept connection that is open, not too old, and made with the context in force; None without one."""
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and now < connection.idle_until and connection.context is context:
                return connection
            connection.close()
        return None

    def _close_old(self) -> None:
        self._sweep = None
        now = self._loop.time()
        old = [one for one in self._idle if now >= one.idle_until or not one.is_open]
        self._idle = [one for one in self._idle if one not in old]
        for connection in old:
            connection.close()
        if self._idle:
            self._sweep = self._loop.call_later(self._keep_alive, self._close_old)

    def close(self) -> None:
        """Close the idle connections. Requests in progress go on."""
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop().close()


class _Connection(asyncio.Protocol):
    """One connection, for one exchange after the other. The client owns it."""

    def __init__(self, context: SSLContext | None) -> None:
        self.context = context
        self.is_open = True
        self.response_has_begun = False  # True if bytes of the response have arrived
        self.idle_until = 0.0  # of the loop's clock
        self._h11 = response_parser.protocol()
        self._transport: asyncio.Transport
        self._response: asyncio.Future[ClientResponse] | None = None  # of the current exchange
        self._parser: ResponseParser
        self._next_steps: asyncio.Handle | None = None  # of the response, while the loop serves others
        self._reading_paused = False
        self._may_write = asyncio.Event()  # set if the buffer has room, or the exchange is over

    # -- one exchange -------------------------------------------------------------------------------------------------

    async def exchange(
        self, request: h11.Request, blocks: Sequence[bytes], max_body: int, progress: ResponseProgress
    ) -> ClientResponse:
        """Send a request and return its response. Raises ConnectionClosed, MalformedResponse or BodyTooLarge."""
        if not self.is_open:
            raise ConnectionClosed
        response: asyncio.Future[ClientResponse] = asyncio.get_running_loop().create_future()
        self._response, self._parser = response, ResponseParser(self._h11, max_body, progress)
        self.response_has_begun = False
        self._transport.write(self._h11.send(request) or b"")
        for block in blocks:
            await self._may_write.wait()
            if response.done():
                break
            for piece in self._h11.send_with_data_passthrough(h11.Data(data=block)) or ():
                self._transport.write(piece)
        else:
            self._h11.send(h11.EndOfMessage())
        return await response

    def can_be_used_again(self) -> bool:
        """Return True if both sides are done and no unexpected byte came. Then the next exchange may begin."""
        is_done = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        if not self.is_open or not is_done or self._parser.has_more():
            return False
        self._h11.start_next_cycle()
        self._response = None
        return True

    def keep_until(self, when: float) -> None:
        """Wait for the next exchange until this time of the loop's clock."""
        self.idle_until = when

    def close(self) -> None:
        self.is_open = False
        self._transport.abort()

    # -- events of the transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_AHEAD)
        self._may_write.set()
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        if self._response is None or self._response.done():
            self.close()  # no request was sent: these bytes cannot be the response to the next one
            return
        self.response_has_begun = True
        self._parser.receive(data)
        self._go_on()

    def eof_received(self) -> None:
        if self._response is not None and not self._response.done() and self.response_has_begun:
            self._parser.receive(b"")
            self._go_on()
        self.is_open = False

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_open = False
        if self._next_steps is None:
            self._fail(ConnectionClosed())
        else:  # bytes that have arrived are still being parsed
            self._parser.receive(b"")

    # -- from bytes to a response -------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if self._next_steps is None:
            self._advance()

    def _advance(self) -> None:
        """Take a few steps of the response. If there are more, pause reading and let the loop serve others first."""
        self._next_steps = None
        if self._response is None or self._response.done():
            return
        try:
            is_done = self._parser.advance(_STEPS)
        except RequestFailed as error:
            self._fail(error)
            return
        if self._parser.is_whole:
            self._finish(self._response)
        if not is_done:
            self._next_steps = asyncio.get_running_loop().call_soon(self._advance)
        if self._reading_paused is is_done and not self._transport.is_closing():
            self._reading_paused = not is_done
            (self._transport.resume_reading if is_done else self._transport.pause_reading)()

    def _finish(self, response: asyncio.Future[ClientResponse]) -> None:
        early = self._h11.our_state is h11.SEND_BODY or self._transport.get_write_buffer_size() > 0
        response.set_result(self._parser.response(early=early))
        self._may_write.set()

    def _fail(self, error: RequestFailed) -> None:
        self.is_open = False
        if self._response is not None and not self._response.done():
            self._response.set_exception(error)
        self._may_write.set()

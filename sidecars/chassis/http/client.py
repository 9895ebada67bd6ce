"""A small HTTP/1.1 client: a request out, a whole answer in. The protocol is h11's; this is the I/O around it.

For sidecars that ask one place over and over. A general client would cost them half of their memory, would join the
blocks of a body before it sends them, and would not hear an answer that comes before the body has left.

- A connection is used by one request at a time; those that the other side keeps are used again, for `keep` seconds.
- A kept connection that is closed just as it is used again is no failure: the request is made on another one.
- An answer ends the sending. One that came before the whole request had left says so (`ClientResponse.early`).
- Answers have limits, of their bytes and of the work that they make (see `answers`). `max_body` follows from what is
  asked. However an answer is cut into pieces, the event loop gets its turn after a few of them.
- Nothing is followed, unpacked, taken from the environment or sent by way of a proxy.

Deadlines are the caller's, one for the whole from the connection to the last byte. A request that is cancelled takes
its connection with it, since its answer may still come.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import h11

from sidecars.chassis.http import response_parser
from sidecars.chassis.http.response_parser import (
    BodyTooLarge,
    ClientResponse,
    ConnectionClosed,
    MalformedResponse,
    NoResponse,
    ResponseParser,
    ResponseProgress,
)
from sidecars.chassis.runtime import descriptors

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = [
    "BodyTooLarge",
    "ClientResponse",
    "ConnectionClosed",
    "HttpClient",
    "MalformedResponse",
    "NoResponse",
    "ResponseProgress",
    "connect",
]

P = TypeVar("P", bound=asyncio.Protocol)

_AHEAD = 256 * 1024  # bytes that are written ahead of the other side
_STEPS = 64  # of an answer that are taken before others get their turn: about a millisecond


class HttpClient:
    """One place to ask. Requests may be made at the same time, each on a connection of its own."""

    def __init__(self, host: str, port: int, context: Callable[[], SSLContext | None], *, keep_alive: float) -> None:
        """`context` is asked before each request; connections made with an earlier one are not used again."""
        self._host = host
        self._port = port
        self._context = context
        self._keep_alive = keep_alive
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
        """Ask, and read the answer to its end. `blocks` are the body, whose length the request's own fields tell.

        Raises Closed, Malformed or TooLarge, and OSError where no connection can be made.
        """
        progress = progress or ResponseProgress()
        context = self._context()
        while kept := self._kept(context):
            try:
                return await self._exchange(kept, request, blocks, max_body, progress)
            except ConnectionClosed:
                if kept.answering:
                    raise
        fresh = await connect(lambda: _Connection(context), self._host, self._port, context)
        return await self._exchange(fresh, request, blocks, max_body, progress)

    async def _exchange(
        self,
        connection: _Connection,
        request: h11.Request,
        blocks: Sequence[bytes],
        max_body: int,
        progress: ResponseProgress,
    ) -> ClientResponse:
        try:
            answer = await connection.exchange(request, blocks, max_body, progress)
        except BaseException:
            connection.close()
            raise
        if connection.can_be_used_again():
            connection.idle_until = self._loop.time() + self._keep_alive
            self._idle.append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(self._keep_alive, self._close_old)
        else:
            connection.close()
        return answer

    def _kept(self, context: SSLContext | None) -> _Connection | None:
        """A kept connection that is as good as a fresh one: open, not too old, and made with the files of now."""
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
        """Let go of the kept connections. Requests under way go on."""
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop().close()


async def connect(protocol: Callable[[], P], host: str, port: int, context: SSLContext | None) -> P:
    """A connection to the first address of the host that takes one. Raises OSError: that of the last address.

    Where this process has no free descriptor the name is looked up, and the socket opened, with the reserve.
    """
    loop = asyncio.get_running_loop()
    name = host if context else None
    error: OSError = OSError("it has no address")
    for family, _, _, _, where in await _addresses(host, port):
        try:
            try:
                made = await loop.create_connection(protocol, str(where[0]), port, ssl=context, server_hostname=name)
            except OSError as failed:
                if descriptors.count_exhaustion(failed) != descriptors.DESCRIPTORS:
                    raise
                own = await _reserved_socket(family, where)
                made = await loop.create_connection(protocol, sock=own, ssl=context, server_hostname=name)
        except OSError as failed:
            error = failed
            continue
        return made[1]
    raise error


async def _addresses(host: str, port: int) -> list[Any]:
    """Return the addresses of the host, as getaddrinfo(3) does. Raises OSError."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        if descriptors.is_any_free():
            raise

    def look_up() -> list[Any]:
        with descriptors.reserved():
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    return await loop.run_in_executor(None, look_up)


async def _reserved_socket(family: int, where: Any) -> socket.socket:
    """Return a connected socket whose descriptor is of the reserve. Raises OSError."""
    with descriptors.reserved():
        own = socket.socket(family, socket.SOCK_STREAM)
    try:
        own.setblocking(False)
        await asyncio.get_running_loop().sock_connect(own, where)
    except BaseException:
        own.close()
        raise
    return own


class _Connection(asyncio.Protocol):
    """One connection: one exchange after the other."""

    def __init__(self, context: SSLContext | None) -> None:
        self.context = context
        self.is_open = True
        self.answering = False  # bytes of the answer have come
        self.idle_until = 0.0
        self._h11 = response_parser.protocol()
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[ClientResponse] | None = None
        self._reader: ResponseParser
        self._turn: asyncio.Handle | None = None  # the next steps of the answer, while others have their turn
        self._paused = False  # reading
        self._room = asyncio.Event()  # to write, or no need to

    # -- one exchange -------------------------------------------------------------------------------------------------

    async def exchange(
        self, request: h11.Request, blocks: Sequence[bytes], max_body: int, progress: ResponseProgress
    ) -> ClientResponse:
        """Raises Closed, Malformed or TooLarge."""
        if not self.is_open:
            raise ConnectionClosed
        answer: asyncio.Future[ClientResponse] = asyncio.get_running_loop().create_future()
        self._answer, self._reader = answer, ResponseParser(self._h11, max_body, progress)
        self.answering = False
        self._transport.write(self._h11.send(request) or b"")
        for block in blocks:
            await self._room.wait()
            if answer.done():
                break
            for piece in self._h11.send_with_data_passthrough(h11.Data(data=block)) or ():
                self._transport.write(piece)
        else:
            self._h11.send(h11.EndOfMessage())
        return await answer

    def can_be_used_again(self) -> bool:
        """Return True if both sides are done, and nothing came that nobody asked for. The next exchange may begin."""
        is_done = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        if not self.is_open or not is_done or self._reader.has_more():
            return False
        self._h11.start_next_cycle()
        self._answer = None
        return True

    def close(self) -> None:
        self.is_open = False
        self._transport.abort()

    # -- what the transport tells -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_AHEAD)
        self._room.set()
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nothing was asked: whatever this is, it is no answer to the next question
            return
        self.answering = True
        self._reader.receive(data)
        self._go_on()

    def eof_received(self) -> None:
        if self._answer is not None and not self._answer.done() and self.answering:
            self._reader.receive(b"")
            self._go_on()
        self.is_open = False

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_open = False
        if self._turn is None:
            self._fail(ConnectionClosed())
        else:  # what has come is still being read
            self._reader.receive(b"")

    # -- from bytes to an answer --------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if self._turn is None:
            self._advance()

    def _advance(self) -> None:
        """Take a few steps of the answer. Where there are more, nothing is read until others had their turn."""
        self._turn = None
        if self._answer is None or self._answer.done():
            return
        try:
            rests = self._reader.advance(_STEPS)
        except NoResponse as error:
            self._fail(error)
            return
        if self._reader.is_whole:
            self._finish(self._answer)
        if not rests:
            self._turn = asyncio.get_running_loop().call_soon(self._advance)
        if self._paused is rests and not self._transport.is_closing():
            self._paused = not rests
            (self._transport.resume_reading if rests else self._transport.pause_reading)()

    def _finish(self, answer: asyncio.Future[ClientResponse]) -> None:
        early = self._h11.our_state is h11.SEND_BODY or self._transport.get_write_buffer_size() > 0
        answer.set_result(self._reader.answer(early=early))
        self._room.set()

    def _fail(self, error: NoResponse) -> None:
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._room.set()

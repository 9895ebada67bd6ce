"""A small HTTP/1.1 client: a request out, a whole answer in. The protocol is h11's; this is the I/O around it.

For sidecars that ask one place over and over. A general client would cost them half of their memory, would join the
blocks of a body before it sends them, and would not hear an answer that comes before the body has left.

- A connection is used by one request at a time; those that the other side keeps are used again, for `keep` seconds.
- A kept connection that is closed just as it is used again is no failure: the request is made on another one.
- An answer ends the sending. One that came before the whole request had left says so (`Answer.early`).
- Answers have limits: of the head's bytes, of its fields, of the body's bytes.
- Nothing is followed, unpacked, taken from the environment or sent by way of a proxy.

Deadlines are the caller's. A request that is cancelled takes its connection with it, since its answer may still come.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import h11

if TYPE_CHECKING:
    from ssl import SSLContext

P = TypeVar("P", bound=asyncio.Protocol)

_HEAD = 32 * 1024  # bytes of an answer's head, at most
_FIELDS = 128  # header fields of it, at most
_AHEAD = 256 * 1024  # bytes that are written ahead of the other side


class NoAnswer(Exception):
    """There is no answer; what was sent is never repeated by the exception."""


class Closed(NoAnswer):
    """The other side closed the connection, or it broke, before the end of the answer."""


class Malformed(NoAnswer):
    """What came is not HTTP/1.1, or its head is too large."""


class TooLarge(NoAnswer):
    """The answer's body is larger than is taken."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, whatever its status. Header names are in lower case; the first of each counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    early: bool  # it came before the whole request had left


class Progress:
    """How far an answer has come: its status (0: there is none yet) and the bytes of its body."""

    __slots__ = ("received", "status")

    def __init__(self) -> None:
        self.status = 0
        self.received = 0


class Client:
    """One place to ask. Requests may be made at the same time, each on a connection of its own."""

    def __init__(self, host: str, port: int, context: Callable[[], SSLContext | None], *, keep: float) -> None:
        """`context` is asked before each request; connections made with an earlier one are not used again."""
        self._host = host
        self._port = port
        self._context = context
        self._keep = keep
        self._idle: list[_Connection] = []
        self._loop = asyncio.get_running_loop()
        self._sweep: asyncio.TimerHandle | None = None

    async def request(
        self, request: h11.Request, blocks: Sequence[bytes] = (), *, max_body: int, progress: Progress | None = None
    ) -> Answer:
        """Ask, and read the answer to its end. `blocks` are the body, whose length the request's own fields tell.

        Raises Closed, Malformed or TooLarge, and OSError where no connection can be made.
        """
        progress = progress or Progress()
        context = self._context()
        while kept := self._kept(context):
            try:
                return await self._exchange(kept, request, blocks, max_body, progress)
            except Closed:
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
        progress: Progress,
    ) -> Answer:
        try:
            answer = await connection.exchange(request, blocks, max_body, progress)
        except BaseException:
            connection.close()
            raise
        if connection.can_be_used_again():
            connection.idle_until = self._loop.time() + self._keep
            self._idle.append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(self._keep, self._close_old)
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
            self._sweep = self._loop.call_later(self._keep, self._close_old)

    def close(self) -> None:
        """Let go of the kept connections. Requests under way go on."""
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop().close()


async def connect(protocol: Callable[[], P], host: str, port: int, context: SSLContext | None) -> P:
    """A connection to the first address of the host that takes one. Raises OSError: that of the last address."""
    loop = asyncio.get_running_loop()
    error: OSError = OSError("it has no address")
    for *_, (address, *_) in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        name = host if context else None
        try:
            _, connected = await loop.create_connection(protocol, str(address), port, ssl=context, server_hostname=name)
        except OSError as failed:
            error = failed
            continue
        return connected
    raise error


class _Connection(asyncio.Protocol):
    """One connection: one exchange after the other."""

    def __init__(self, context: SSLContext | None) -> None:
        self.context = context
        self.is_open = True
        self.answering = False  # bytes of the answer have come
        self.idle_until = 0.0
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Answer] | None = None
        self._progress = Progress()
        self._max_body = 0
        self._head: h11.Response | None = None
        self._body: list[bytes] = []
        self._room = asyncio.Event()  # to write, or no need to

    # -- one exchange -------------------------------------------------------------------------------------------------

    async def exchange(
        self, request: h11.Request, blocks: Sequence[bytes], max_body: int, progress: Progress
    ) -> Answer:
        """Raises Closed, Malformed or TooLarge."""
        if not self.is_open:
            raise Closed
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answer, self._progress, self._max_body = answer, progress, max_body
        self.answering, self._head, self._body = False, None, []
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
        """Whether both sides are done with the exchange, and nothing came that nobody asked for. The next may begin."""
        is_done = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        if not self.is_open or not is_done or self._h11.trailing_data[0]:
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
        while self._head is None and len(data) > _HEAD and not self._answer.done():
            self._take(data[:_HEAD])  # else a head of any size would do, as long as it comes in one piece
            data = data[_HEAD:]
        if not self._answer.done():
            self._take(data)

    def eof_received(self) -> None:
        if self._answer is not None and not self._answer.done() and self.answering:
            self._take(b"")  # for an answer without a length this is its end
        self.is_open = False

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_open = False
        self._fail(Closed())

    # -- from bytes to an answer --------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """More bytes of the answer; b"" is its end."""
        try:
            self._h11.receive_data(data)
            while self._event(self._h11.next_event()):
                pass
        except h11.RemoteProtocolError:
            self._fail(Malformed() if data else Closed())

    def _event(self, event: object) -> bool:
        """One step of the answer; True when there may be more of it in what has come."""
        match event:
            case h11.Data(data=part):
                self._progress.received += len(part)
                if self._progress.received > self._max_body:
                    self._fail(TooLarge())
                    return False
                self._body.append(bytes(part))
                return True
            case h11.Response():
                return self._begin(event)
            case h11.InformationalResponse():
                return True
            case h11.EndOfMessage():
                self._finish()
            case h11.ConnectionClosed() | h11.PAUSED:
                self._fail(Closed())
        return False  # NEED_DATA

    def _begin(self, head: h11.Response) -> bool:
        self._head, self._progress.status = head, head.status_code
        if len(head.headers) > _FIELDS:
            self._fail(Malformed())
            return False
        for name, value in head.headers:
            if name == b"content-length" and int(value) > self._max_body:
                self._fail(TooLarge())
                return False
        return True

    def _finish(self) -> None:
        if self._head is None or self._answer is None or self._answer.done():
            return
        headers: dict[str, str] = {}
        for name, value in self._head.headers:
            headers.setdefault(name.decode("ascii"), value.decode("latin-1"))
        early = self._h11.our_state is h11.SEND_BODY or self._transport.get_write_buffer_size() > 0
        body, self._body = b"".join(self._body), []  # a kept connection holds no body
        self._answer.set_result(Answer(self._head.status_code, headers, body, early))
        self._room.set()

    def _fail(self, error: NoAnswer) -> None:
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._room.set()

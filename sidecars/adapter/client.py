"""An HTTP/1.1 client for one kind of request: a GET of a page that is read to its end. The protocol is h11's.

A connection is used by one request at a time. What can go wrong on it is one of three exceptions (`Closed`,
`Malformed`, `TooLarge`), or an OSError while it is being made. Deadlines are the caller's: a cancelled request takes
its connection with it, since its answer may still come.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import h11

from sidecars.adapter.outcome import Reply

_MOST_HEAD = 32 * 1024  # bytes of a response's status line and headers
_MOST_HEADERS = 128


class Closed(Exception):
    """The app closed the connection before the end of its answer."""


class Malformed(Exception):
    """What the app sent is not HTTP, or its head is too large."""


class TooLarge(Exception):
    """The body is larger than is taken."""


class Progress:
    """How far a request has come, for the sentence about its end."""

    __slots__ = ("received", "status")

    def __init__(self) -> None:
        self.status = 0
        self.received = 0

    def phrase(self) -> str:
        if not self.status:
            return "did not answer"
        return f"began an answer with the status {self.status}, but did not end it after {self.received} B of its body"


class Connection(asyncio.Protocol):
    """One connection to an app."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD)
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[Reply] | None = None
        self._progress = Progress()
        self._max_body = 0
        self._head: h11.Response | None = None
        self._body: list[bytes] = []
        self.usable = True

    async def get(self, request: h11.Request, max_body: int, progress: Progress) -> Reply:
        """Ask, and read the answer to its end. Raises Closed, Malformed or TooLarge; the connection is closed then."""
        if not self.usable:
            raise Closed
        self._progress, self._max_body = progress, max_body
        self._head, self._body = None, []
        waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        data = self._h11.send(request) or b""
        self._h11.send(h11.EndOfMessage())
        self._transport.write(data)
        try:
            return await waiter
        finally:
            self._waiter = None
            if not self.usable or not self._is_ready_again():
                self.close()

    def close(self) -> None:
        self.usable = False
        self._transport.abort()

    def _is_ready_again(self) -> bool:
        """Whether the answer was read to its end and the connection is kept."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return True
        return False

    # -- what the transport tells -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()  # nothing was asked: whatever this is, it is no answer to the next question
            return
        view = data
        while self._head is None and len(view) > _MOST_HEAD and self.usable:
            self._take(view[:_MOST_HEAD])  # else a head of any size would do, as long as it comes in one piece
            view = view[_MOST_HEAD:]
        if self.usable:
            self._take(view)

    def eof_received(self) -> None:
        if self._waiter is not None:
            self._take(b"")  # for an answer without a length this is its end
        self.usable = False

    def connection_lost(self, _error: Exception | None) -> None:
        self.usable = False
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
        if len(head.headers) > _MOST_HEADERS:
            self._fail(Malformed())
            return False
        for name, value in head.headers:
            if name == b"content-length" and int(value) > self._max_body:
                self._fail(TooLarge())
                return False
        return True

    def _finish(self) -> None:
        assert self._head is not None  # noqa: S101 - h11 ends no message that has not begun
        headers: dict[str, str] = {}
        for name, value in self._head.headers:
            headers.setdefault(name.decode("ascii"), value.decode("latin-1"))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Reply(self._head.status_code, headers, b"".join(self._body)))

    def _fail(self, error: Exception) -> None:
        self.usable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


async def connect(host: str, port: int, context: ssl.SSLContext | None) -> Connection:
    """A connection to the first address of the host that takes one. Raises OSError: that of the last address."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=1)
    error: OSError = OSError("no address")
    name = host if context else None
    for _, _, _, _, (address, *_) in found:
        try:
            _, connection = await loop.create_connection(
                Connection, str(address), port, ssl=context, server_hostname=name
            )
        except OSError as failed:
            error = failed
            continue
        return connection
    raise error


class Pool:
    """The kept connections to one app. They are few: each question is asked once at a time."""

    def __init__(self, host: str, port: int, context: Callable[[], ssl.SSLContext | None], keep: float) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._keep = keep
        self._idle: list[tuple[Connection, float, ssl.SSLContext | None]] = []
        self._loop = asyncio.get_running_loop()
        self._sweep: asyncio.TimerHandle | None = None

    async def get(self, request: h11.Request, max_body: int, progress: Progress) -> Reply:
        """Ask on a kept connection, or on a fresh one. Raises what a connection raises, and OSError.

        Should the app close a kept connection just when it is used again, it is asked once more on a fresh one: such a
        race is not the app's failure.
        """
        context = self._context()
        kept = self._kept(context)
        if kept is not None:
            try:
                return await self._ask(kept, context, request, max_body, progress)
            except Closed:
                if progress.status:
                    raise
        fresh = await connect(self._host, self._port, context)
        return await self._ask(fresh, context, request, max_body, progress)

    async def _ask(
        self,
        connection: Connection,
        context: ssl.SSLContext | None,
        request: h11.Request,
        max_body: int,
        progress: Progress,
    ) -> Reply:
        reply = await connection.get(request, max_body, progress)
        if connection.usable:
            self._idle.append((connection, self._loop.time() + self._keep, context))
            if self._sweep is None:
                self._sweep = self._loop.call_later(self._keep, self._close_old)
        return reply

    def _kept(self, context: ssl.SSLContext | None) -> Connection | None:
        """A kept connection that is as good as a fresh one: not too old, and made with the files that are there now."""
        now = self._loop.time()
        while self._idle:
            connection, until, made_with = self._idle.pop()
            if connection.usable and now < until and made_with is context:
                return connection
            connection.close()
        return None

    def _close_old(self) -> None:
        self._sweep = None
        now = self._loop.time()
        old = [entry for entry in self._idle if now >= entry[1] or not entry[0].usable]
        self._idle = [entry for entry in self._idle if entry not in old]
        for connection, *_ in old:
            connection.close()
        if self._idle:
            self._sweep = self._loop.call_later(self._keep, self._close_old)

    def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        for connection, *_ in self._idle:
            connection.close()
        self._idle.clear()

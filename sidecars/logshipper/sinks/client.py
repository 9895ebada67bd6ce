"""The HTTP/1.1 client of the sinks that POST: h11's protocol on the event loop's own streams.

A general client would cost this program half of its memory, would join the blocks of a body, and would not hear an
answer that comes before the body has left. What is needed is small: one POST at a time on a connection, connections
that are kept and used again, and a judgement on nothing but whether there was an answer.

- The body is written block by block, as the receiver takes it.
- An answer ends the writing. One that came before the whole body had left says so (`Answer.early`): a 413 is heard
  while the body is on its way, and a hasty yes is none.
- A kept connection that the receiver closes as we begin to use it is no failure: the request is made on a new one.
- Proxies are not used, whatever the environment says, and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import SplitResult

import h11

import chassis
from chassis.tls import Reloading
from sidecars.logshipper.sinks.base import TryLater
from sidecars.logshipper.sinks.dial import ConnectionFailed, connect, words

Headers = Sequence[tuple[str, str]]

_AGENT = f"logshipper/{chassis.__version__}"
_HEAD = 64 * 1024  # bytes of an answer's head, at most
_ANSWER = 32 * 1024 * 1024  # bytes of an answer's body, at most: a bulk answer has a line for every event
_AHEAD = 256 * 1024  # bytes that are written ahead of the receiver
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    early: bool  # before the whole request had left


class Client:
    """One receiver. Requests may be made at the same time, each on a connection of its own."""

    def __init__(self, scheme: str, url: SplitResult, timeout: float, tls: Reloading | None) -> None:
        self._host = url.hostname or ""
        self._port = url.port or _PORTS[scheme]
        self._authority = url.netloc
        self._timeout = timeout
        self._tls = tls
        self._idle: list[_Connection] = []

    async def post(self, target: str, headers: Headers, blocks: Sequence[bytes]) -> Answer:
        """The answer, whatever its status. Raises TryLater where there is none."""
        request = h11.Request(
            method="POST",
            target=target,
            headers=[
                ("Host", self._authority),
                ("User-Agent", _AGENT),
                *headers,
                ("Content-Length", str(sum(map(len, blocks)))),
            ],
        )
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(request, blocks)
        except TimeoutError:
            raise TryLater(f"no answer within {self._timeout:g} s") from None
        except ConnectionFailed as error:
            raise TryLater(error.reason) from None

    async def _post(self, request: h11.Request, blocks: Sequence[bytes]) -> Answer:
        context = self._tls.context() if self._tls else None
        while kept := self._kept(context):
            try:
                return await self._exchange(kept, request, blocks)
            except ConnectionFailed:
                if kept.answering:
                    raise
        return await self._exchange(await self._connect(context), request, blocks)

    async def _exchange(self, connection: _Connection, request: h11.Request, blocks: Sequence[bytes]) -> Answer:
        try:
            answer = await connection.exchange(request, blocks)
        except BaseException:
            connection.abort()
            raise
        if connection.can_be_used_again():
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self, context: ssl.SSLContext | None) -> _Connection | None:
        """A connection of an earlier request; not one that was made with TLS files that are out of force."""
        while self._idle:
            connection = self._idle.pop()
            if connection.context is context and not connection.lost:
                return connection
            connection.close()
        return None

    async def _connect(self, context: ssl.SSLContext | None) -> _Connection:
        _, connection = await connect(lambda: _Connection(context), self._host, self._port, context)
        return connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Connection(asyncio.Protocol):
    """One connection: one exchange after the other."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context
        self.lost = False
        self.answering = False  # bytes of the answer have come
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Answer] | None = None
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._go = asyncio.Event()  # there is room to write, or no need to

    # -- one exchange --------------------------------------------------------------------------------------------------

    async def exchange(self, request: h11.Request, blocks: Sequence[bytes]) -> Answer:
        """Raises ConnectionFailed when there is no answer, or none that can be understood."""
        if self.lost:
            raise ConnectionFailed("the receiver closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self.answering, self._head, self._body = False, None, bytearray()
        self._write(self._h11.send_with_data_passthrough(request))
        for block in blocks:
            await self._go.wait()
            if self._answer.done():
                break
            self._write(self._h11.send_with_data_passthrough(h11.Data(data=block)))
        else:
            self._h11.send(h11.EndOfMessage())
        return await self._answer

    def _write(self, pieces: Sequence[bytes] | None) -> None:
        for piece in pieces or ():
            self._transport.write(piece)

    def can_be_used_again(self) -> bool:
        """Whether both sides are done with the exchange. If so, the next may begin."""
        if self.lost or self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        self._answer = None
        return True

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # -- what the transport tells --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_AHEAD)
        self._go.set()
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def pause_writing(self) -> None:
        self._go.clear()

    def resume_writing(self) -> None:
        self._go.set()

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self._transport.close()  # nobody asked
            return
        self.answering = True
        self._h11.receive_data(data)
        self._read()

    def eof_received(self) -> None:
        if not self.answering:
            self._fail("the receiver closed the connection without an answer")
        elif self._answer is not None and not self._answer.done():
            self._h11.receive_data(b"")  # what ends some answers
            self._read("the receiver closed the connection in the middle of its answer")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        reason = words(error)
        self._fail("the connection broke before there was an answer" + (f": {reason}" if reason else ""))

    # -- from bytes to an answer ---------------------------------------------------------------------------------------

    def _read(self, trouble: str = "the answer is not HTTP/1.1") -> None:
        try:
            while True:
                match event := self._h11.next_event():
                    case h11.Response():
                        self._head = event
                    case h11.Data(data=data):
                        self._body += data
                        if len(self._body) > _ANSWER:
                            self._fail(f"the answer is longer than {_ANSWER // 2**20} MiB")
                            return
                    case h11.EndOfMessage():
                        self._settle()
                        return
                    case h11.NEED_DATA | h11.PAUSED | h11.ConnectionClosed():
                        return
                    case _:  # 100 Continue and its like
                        pass
        except h11.RemoteProtocolError:
            self._fail(trouble)

    def _settle(self) -> None:
        if self._head is None or self._answer is None or self._answer.done():
            return
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in self._head.headers}
        early = self._h11.our_state is h11.SEND_BODY or self._transport.get_write_buffer_size() > 0
        self._answer.set_result(Answer(self._head.status_code, headers, bytes(self._body), early))
        self._go.set()

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionFailed(reason))
        self._go.set()

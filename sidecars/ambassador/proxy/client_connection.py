"""A connection from the app: reads requests, strictly and one at a time, and writes the responses in their order.

Requests that arrive while one is being answered (pipelining) wait in the buffer; when that is full the connection is
not read. A connection that closes after an answer which the app may not have read yet *lingers*: it says that it ends,
and throws away what still comes for a moment, since closing with unread bytes would take the answer back (RFC 9112
section 9.6).

An app that takes nothing of what was written for it, for as long as a connection may be idle, is cut off.

An app may end its sending direction and still wants the answers to all that it has sent. One that has closed its
connection wants nothing: its request is abandoned, the upstream's connection closes, and it counts as 499. Which of the
two it is `disconnects` tells, when the end arrives, at each tick and before an answer is written.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from sidecars.ambassador.http.bodies import BodyReader, body_reader
from sidecars.ambassador.http.head_rules import MessageRejected, check_beginning
from sidecars.ambassador.http.request_head import Request
from sidecars.ambassador.proxy import refusals
from sidecars.ambassador.proxy.exchange import GONE, Exchange
from sidecars.ambassador.proxy.timeouts import watch
from sidecars.ambassador.proxy.tunnel import reset

if TYPE_CHECKING:
    from sidecars.ambassador.upstream.upstream import Upstream

_CR: Final = b"\r"[0]
_EMPTY_LINES: Final = re.compile(rb"\A(?:\r\n)+")
_BUFFERED: Final = 64 * 1024  # bytes of further requests that wait
_QUIET: Final = 0.1  # seconds without a request after which a drain takes a connection for idle

monotonic: Final = time.monotonic


class ClientConnection:
    """One connection from the app: a protocol of asyncio's by what it can do, not by what it inherits."""

    __slots__ = (
        "acknowledged",
        "body",
        "buffer",
        "ended",
        "exchange",
        "limit",
        "lingers",
        "loop",
        "must_close",
        "since",
        "taken",
        "transport",
        "unread",
        "unsent",
        "upstream",
        "write_paused",
    )

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.loop = upstream.loop
        self.transport: Any = None  # asyncio.Transport; Any, since every use would else need an assertion
        self.exchange: Exchange | None = None
        self.body: BodyReader | None = None  # of the request that is coming
        self.buffer = b""
        self.since = 0.0  # since when it waits for a request
        self.must_close = False  # the response under way has said that it is the last
        self.lingers = False  # nothing that still comes matters
        self.ended = False  # the app will send no more
        self.unread = False  # there is no room for more of what it sends
        self.write_paused = False
        self.unsent = 0  # bytes written that the app's side had not taken at the last tick
        self.acknowledged = 0  # bytes that it had acknowledged then
        self.taken = 0.0  # when one of these changed last
        self.limit = upstream.settings.max_header_size

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.since = monotonic()
        self.upstream.clients.add(self)
        self.upstream.counters.accepted += 1
        cause = self.upstream.admit(transport)
        if cause is not None:
            refusals.turn_away(self, cause)

    # -- reading --------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        try:
            self._received(data)
        except Exception as error:  # noqa: BLE001 - whatever the app wrote, it ends no more than its connection
            refusals.end_defect(self, error)

    def _received(self, data: bytes) -> None:
        if self.exchange is not None:
            if self.body is not None:
                self._feed(self.exchange, self.body, data)
            elif not self.lingers:
                self.buffer += data
                self.read_on()
        elif self.write_paused and not self.lingers:
            self.buffer += data  # the app must first take the answers that it has
            self.read_on()
        elif not self.lingers:
            if self.buffer:
                self._next(self.buffer + data, len(self.buffer))
            else:
                self._next(data)

    def _next(self, data: bytes, known: int = 0) -> None:
        """Begin the request at the front of what has come, if its head is complete.

        The first `known` bytes have been looked at before.
        """
        if data[0] == _CR and data.startswith(b"\r\n"):
            data = _EMPTY_LINES.sub(b"", data)  # RFC 9112 section 2.2: before a request they are ignored
            known = 0
        end = data.find(b"\r\n\r\n", known - 3 if known > 3 else 0)  # the end mark may have begun in the bytes before
        limit = self.limit
        try:
            if end < 0 or end > limit:
                if len(data) > limit:
                    raise MessageRejected(431, f"the head of the request is larger than {limit} bytes")  # noqa: TRY301 - one way out
                check_beginning(data, 400, known)
                self.buffer = data
                if not known:
                    self.since = monotonic()
                return
            request = self.upstream.request_parser.parse(data, end)
        except MessageRejected as error:
            refusals.refuse(self, error.status, error.reason, error.protocol)
            return
        self.buffer = rest = data[end + 4 :]
        exchange = self.exchange = Exchange(self, self.upstream, request)
        if request.length:
            self.body = body_reader(request.length, 400)
            self.buffer = b""
            if rest:
                self._feed(exchange, self.body, rest)
            if exchange.over:
                return
        if self.upstream.admission.take(exchange):
            exchange.start(exchange.started)

    def _feed(self, exchange: Exchange, body: BodyReader, data: bytes) -> None:
        try:
            pieces = body.feed(data)
        except MessageRejected as error:
            refusals.refuse(self, error.status, error.reason)
            return
        if body.done:
            self.body = None
            self.buffer = body.surplus
        exchange.feed(pieces, done=body.done, trailers=body.trailers)
        if self.exchange is exchange:  # or the connection has become a tunnel's
            self.read_on()

    def read_on(self) -> None:
        """Read from the app, or do not, as there is room for what it sends."""
        exchange = self.exchange
        full = len(self.buffer) > _BUFFERED or (
            exchange is not None and exchange.wants_no_more and self.body is not None
        )
        self.unread = full and not self.lingers
        if self.unread:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        """Return True if the connection stays open, for an app that still wants the answers to what it has sent."""
        self.ended = True
        exchange = self.exchange  # its own name: compiled, `self.exchange` below would be taken for still there
        if self.lingers:
            return False
        if exchange is None:
            return self.write_paused and bool(self.buffer)
        if self.upstream.disconnects.has_closed(self.transport):
            self.abort()
            return False
        self._lacks_nothing()
        return self.exchange is not None

    def _lacks_nothing(self) -> None:
        """Refuse a request whose body cannot come any more (RFC 9112 section 8): its sender has ended."""
        if self.body is not None:
            refusals.refuse(self, 400, "the request ended before its body was complete")

    def has_left(self) -> bool:
        """Return True, and end the exchange, if the app has closed the connection of which it had ended one direction.

        To be called before an answer is written to such a connection, and now and then while there is none.
        """
        if self.exchange is None or not self.upstream.disconnects.has_closed(self.transport):
            return False
        self.abort()
        return True

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.upstream.counters.delivered += len(data)
        self.transport.write(data)

    def writelines(self, pieces: Sequence[bytes]) -> None:
        self.upstream.counters.delivered += sum(map(len, pieces))
        self.transport.writelines(pieces)

    def pause_writing(self) -> None:
        self.write_paused = True
        if self.exchange is not None and self.exchange.connection is not None:
            self.exchange.connection.transport.pause_reading()

    def resume_writing(self) -> None:
        self.write_paused = False
        self.unsent = 0
        if self.exchange is None:
            self._resume()
        else:
            self.exchange.moved = True
            if self.exchange.connection is not None and self.exchange.agreed is None:
                self.exchange.connection.transport.resume_reading()

    # -- between requests -----------------------------------------------------------------------------------------

    def closes_after(self, request: Request, *, complete: bool) -> bool:
        """Return True if the connection ends after the response to this request."""
        no_more = self.ended and not self.buffer
        return not request.keep_alive or not complete or no_more or self.upstream.draining

    def finished(self, now: float, *, close: bool) -> None:
        """The exchange is over and its response written."""
        exchange = self.exchange
        self.exchange = None
        self.since = now
        if close or self.must_close:
            if self.buffer or (exchange is not None and not exchange.complete):
                self.linger()
            else:
                self.close()
            return
        if self.buffer:
            self._resume()
        elif self.ended:
            self.close()

    def _resume(self) -> None:
        """Go on with the requests that wait, unless the app does not take the answers that it has."""
        if self.write_paused or self.lingers or not self.buffer:
            return
        data, self.buffer = self.buffer, b""
        try:
            self._next(data)
        except Exception as error:  # noqa: BLE001 - nor does a request that waited end the exchange before it
            refusals.end_defect(self, error)
        self.read_on()
        if self.ended and not self.lingers:
            self._lacks_nothing()
            if self.exchange is None:
                self.close()

    # -- ends -----------------------------------------------------------------------------------------------------

    def cut(self, *, broken: bool) -> None:
        """End the connection so that nobody takes what was delivered for all there is."""
        self.exchange = None
        self.lingers = True
        if broken:
            reset(self.transport)
        else:
            self.transport.close()

    def abort(self) -> None:
        """End the connection now; one that is owed something is broken off."""
        exchange = self.exchange
        broken = exchange is not None or bool(self.transport.get_write_buffer_size())
        self.cut(broken=broken)
        if exchange is not None:
            exchange.abandon(GONE)

    def close(self) -> None:
        """End the connection behind what is written to it."""
        self.lingers = True
        self.transport.close()

    def linger(self) -> None:
        """End the connection behind what is written to it, and throw away for a moment what still comes."""
        self.exchange = self.body = None
        self.buffer = b""
        self.lingers = True
        self.since = monotonic()
        self.transport.resume_reading()
        if self.ended or self.transport.is_closing():
            self.transport.close()
        else:
            self.transport.write_eof()

    def close_if_idle(self, now: float) -> None:
        """For the drain. A connection that was at work a moment ago is spared: its next request may be on its way."""
        if self.exchange is None and not self.buffer and not self.lingers and now - self.since >= _QUIET:
            self.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self.upstream.clients.discard(self)
        self.upstream.at_work_until(self.since)
        exchange = self.exchange
        if exchange is not None:
            self.exchange = None
            exchange.abandon(GONE)

    def tick(self, now: float) -> None:
        watch(self, now)

    def time_out(self) -> None:
        """It was silent for too long, in a head or between requests."""
        if self.buffer:
            refusals.refuse(self, 408, "the head of the request did not come in time")
        else:
            self.close()

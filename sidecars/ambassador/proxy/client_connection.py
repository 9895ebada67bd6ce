"""A connection from the app: it reads requests, strictly and one at a time, and begins an exchange for each.

Its states (`state`) and their transitions:

    from         event                                                          to
    idle         the first bytes of a request                                   reading
    reading      its head is complete                                           serving
    reading      its head is rejected, or does not come in time                 lingering
    serving      the response is written                                        idle; reading if more has come
    serving      the response is the last one (Connection: close, EOF, drain)   closed, or lingering if bytes are unread
    serving      the request's body is rejected before the response began       lingering
    serving      the response broke off, or a body is rejected behind its head  closed
    serving      101                                                            a tunnel has the transport
    reading      its first bytes are HTTP/2's preface                           `http2_connection` has the transport
    any          the app closes or resets, IDLE_TIMEOUT, or an abort            closed
    lingering    2 s, or EOF                                                    closed

Requests that arrive while one is being served (pipelining) wait in the buffer; when that is full the connection is not
read. An app that takes none of the bytes written to it for IDLE_TIMEOUT is reset.

An app that sends EOF may still want all responses. One that has closed its connection wants none: its exchange is
abandoned and counts as 499. `disconnects` tells the two apart: at the EOF, at each tick, and before a response.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Final, cast

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.bodies import BodyReader, body_reader
from sidecars.ambassador.http.head_rules import HTTP2, TLS, MessageRejected, check_beginning
from sidecars.ambassador.http.request_head import Http1Request
from sidecars.ambassador.http.unfinished_head import UnfinishedHead
from sidecars.ambassador.proxy import timeouts
from sidecars.ambassador.proxy.exchange import GONE, Exchange
from sidecars.ambassador.proxy.http2_connection import Http2Connection
from sidecars.ambassador.proxy.request_buffer import RequestBuffer
from sidecars.ambassador.transport.streams import Transport, report_untaken
from sidecars.ambassador.upstream.buffer_memory import LARGE_HEAD
from sidecars.ambassador.upstream.upstream import Upstream

_CR: Final = b"\r"[0]
_EMPTY_LINES: Final = re.compile(rb"\A(?:\r\n)++")
_QUIET: Final = 0.1  # seconds without a request after which a drain takes a connection for idle

IDLE: Final = "idle"
READING: Final = "reading"
SERVING: Final = "serving"
LINGERING: Final = "lingering"

monotonic: Final = time.monotonic


class ClientConnection(RequestBuffer):
    """One connection from the app. The event loop owns it as a protocol, and the upstream's registry ticks it.

    It has the methods of asyncio.Protocol without inheriting from it, since a compiled class cannot.
    """

    __slots__ = ("_max_header_size",)

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self._max_header_size = upstream.settings.max_header_size

    @property
    def state(self) -> str:
        if self.lingers:
            return LINGERING
        if self.exchange is not None:
            return SERVING
        return READING if self._buffer or self._unfinished is not None else IDLE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("Transport", transport)
        self.since = monotonic()
        report_untaken(self.transport)
        self.upstream.counters.count_accepted()
        if self.upstream.memory.is_short:
            self.read_small()
        cause = self.upstream.clients.admit(self, self.transport)
        if cause is not None:
            self.turn_away(cause)

    def connection_lost(self, _error: Exception | None) -> None:
        self._buffer = b""
        self._unfinished = self._body = None
        self._note_held()
        self._go()
        self.upstream.clients.note_work(self.since)
        exchange = self.exchange
        if exchange is not None:
            self.exchange = None
            exchange.abandon(GONE)

    # -- reading --------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        try:
            self._receive(data)
        except Exception as error:  # noqa: BLE001 - whatever the app wrote, it ends no more than its connection
            self._fail(error)

    def _receive(self, data: bytes) -> None:
        if self.exchange is not None:
            if self._body is not None:
                self._feed(self.exchange, self._body, data)
            elif not self.lingers:
                self._keep(data)
        elif self.is_full and not self.lingers:
            self._keep(data)  # the app must first take the responses that it has
        elif not self.lingers:
            if self._unfinished is None:
                self._parse(data)
            elif whole := self._unfinished.add(data, self._max_header_size):
                self._unfinished = None
                self._parse(whole, is_first=False)
            else:
                self._note_held()

    def _parse(self, data: bytes, *, is_first: bool = True) -> None:
        """Begin the request at the front of `data`, if its head is complete. `is_first`: no byte of it came before."""
        if data[0] == _CR and data.startswith(b"\r\n"):
            data = _EMPTY_LINES.sub(b"", data)  # RFC 9112 section 2.2: before a request they are ignored
            is_first = True
        end = data.find(b"\r\n\r\n")
        limit = self._max_header_size
        try:
            if end < 0 or end > limit:
                if len(data) > limit:
                    raise MessageRejected(431, f"the head of the request is larger than {limit} bytes")  # noqa: TRY301 - one way out
                check_beginning(data, 400)
                if data:
                    self._unfinished = UnfinishedHead(data)
                if is_first:
                    self.since = monotonic()
                self._note_held()
                return
            if end > LARGE_HEAD and self.upstream.memory.refuse(end):
                raise MessageRejected(503, "the head of the request is too large while memory is short")  # noqa: TRY301 - one way out
            request = self.upstream.request_parser.parse(data, end)
        except MessageRejected as error:
            if error.protocol == HTTP2 and not self._is_used:
                self._speak_http2(data)
            else:
                self.reject(error.status, error.reason, error.protocol)
            return
        self._begin(request, data, end)

    def _speak_http2(self, data: bytes) -> None:
        """Give the connection, which began with HTTP/2's preface, to that protocol."""
        self.leave()
        self._go()
        Http2Connection(self.upstream).take_over(self.transport, data, ended=self.ended, is_full=self.is_full)

    def _begin(self, request: Http1Request, data: bytes, head: int) -> None:
        """Begin the exchange of a request, whose `head` bytes are the first ones of `data`."""
        rest = data[head + 4 :]
        self._buffer = b"" if request.length else rest
        if self._buffer or self._held:
            self._note_held()
            if self.lingers:
                return
        self._is_used = True
        if self.upstream.routes is not None:
            from sidecars.ambassador.proxy.routed.beginning import http1_exchange  # noqa: PLC0415 - only with routes

            exchange = self.exchange = http1_exchange(self, self.upstream, request, data, head)
        else:
            exchange = self.exchange = Exchange(self, self.upstream, request)
        if head > LARGE_HEAD:
            exchange.hold_head(head)
        if request.length:
            body = self._body = body_reader(request.length, 400)
            if rest:
                self._feed(exchange, body, rest)
            if exchange.over:
                return
        if exchange.upstream.admission.admit(exchange):
            exchange.start(exchange.started)

    def _feed(self, exchange: Exchange, body: BodyReader, data: bytes) -> None:
        try:
            pieces = body.feed(data)
        except MessageRejected as error:
            self.reject(error.status, error.reason)
            return
        if body.done:
            self._body = None
            self._buffer = body.surplus
        elif body.unread and not self._is_reading_on:
            self._is_reading_on = True
            self.upstream.loop.call_soon(self._read_rest)
        exchange.feed(pieces, body.trailers, done=body.done)
        if self._buffer or self._held or not pieces or body.unread:
            self._note_held()
        if self.exchange is exchange:  # or the connection has become a tunnel's
            self.read_on()

    def _read_rest(self) -> None:
        """Read the chunks that `feed` has left, some at a time: other connections are served in between."""
        if not self._is_reading_on:  # the connection has ended, or is a tunnel's
            return
        self._is_reading_on = False
        if self.exchange is not None and self._body is not None and self._body.unread:
            try:
                self._feed(self.exchange, self._body, b"")
            except Exception as error:  # noqa: BLE001 - whatever the app wrote, it ends no more than its connection
                self._fail(error)
        if self.exchange is None and not self.lingers:
            self.read_on()

    def eof_received(self) -> bool:
        """Return True if the connection stays open, for an app that still wants the responses to its requests."""
        self.ended = True
        exchange = self.exchange  # a local: mypyc would keep the narrowed type of `self.exchange` after the calls
        if self.lingers:
            return False
        if exchange is None:
            return self.is_full and bool(self._buffer)
        if self.upstream.disconnects.has_closed(self.transport):
            self.abort()
            return False
        self._reject_truncated()
        return self.exchange is not None

    def _reject_truncated(self) -> None:
        """Reject a request whose body cannot come any more (RFC 9112 section 8), since the app has sent EOF."""
        if self._body is not None:
            self.reject(400, "the request ended before its body was complete")

    # -- for the exchange -----------------------------------------------------------------------------------------

    def finish(self, now: float) -> None:
        exchange = self.exchange
        self.exchange = None
        self.since = now
        if self.closes:
            if self._buffer or (exchange is not None and not exchange.is_complete):
                self.linger()
            else:
                self.close()
            return
        if self._buffer:
            self._resume()
        elif self.ended:
            self.close()

    def _resume(self) -> None:
        """Go on with the requests that wait, unless the app does not take the responses that it has."""
        if self.is_full or self.lingers or not self._buffer:
            return
        data, self._buffer = self._buffer, b""
        try:
            self._parse(data)
        except Exception as error:  # noqa: BLE001 - a request that waited must not end the exchange before it
            self._fail(error)
        self.read_on()
        if self.ended and not self.lingers:
            self._reject_truncated()
            if self.exchange is None:
                self.close()

    def pause_writing(self) -> None:
        self.is_full = True
        self.untaken.note_full()
        if self._unfinished is not None:  # it waits, with what comes behind it
            self._buffer = self._unfinished.whole() + self._buffer
            self._unfinished = None
        if self.exchange is not None:
            self.exchange.pause_response()

    def resume_writing(self) -> None:
        self.is_full = False
        self.untaken.note_taken()
        self.delivery.restart()
        if self.exchange is None:
            self._resume()
        else:
            self.exchange.resume_response()

    # -- rejections -----------------------------------------------------------------------------------------------

    def reject(self, status: int, reason: str, protocol: str = "") -> None:
        """Respond to a request that is not passed on, and close: nothing behind it on the connection can be trusted.

        `protocol` is the client's protocol, if it is not HTTP/1.
        """
        upstream, exchange = self.upstream, self.exchange
        if protocol == TLS:
            upstream.log_protocol(protocol)
        self.leave()
        if exchange is None:
            upstream.counters.count_response(status, 0.0)
            if upstream.access_log is not None:
                upstream.access_log.rejected(status, reason)
        elif exchange.over:
            self.linger()  # its response is written already
            return
        else:
            has_begun = exchange.status != 0
            exchange.abandon(status)
            if has_begun:
                self.break_off(by_reset=True)
                return
        self.write(local_replies.rejection_reply(status, reason))
        self.linger()

    def _fail(self, error: Exception) -> None:
        """End the exchange after an unexpected exception; without an exchange, respond to the request."""
        exchange = self.exchange
        if exchange is not None:
            exchange.fail(error)
            return
        self.upstream.defects.note(error)
        if not self.lingers:
            self.upstream.counters.count_error(local_replies.DEFECT.error_type)
            self.reject(local_replies.DEFECT.status, local_replies.DEFECT.text)

    # -- ends -----------------------------------------------------------------------------------------------------

    def close_if_idle(self, now: float) -> None:
        """Close, unless it was at work a moment ago: then its next request may be on its way."""
        if self.state == IDLE and now - self.since >= _QUIET:
            self.close()

    def tick(self, now: float) -> None:
        """Close if the app has been silent, or has taken nothing, for too long."""
        limit = self.upstream.settings.idle_timeout
        unsent = self.delivery.tick(self.transport, now)
        if unsent and now - self.delivery.changed_at >= limit:
            self.abort()
            return
        exchange = self.exchange
        if exchange is not None:
            if not ((self.ended or self._is_unread) and self._is_abandoned()):
                exchange.tick(now)
        elif self.lingers:
            if not unsent and now - max(self.since, self.delivery.changed_at) >= timeouts.LINGER:
                self.transport.abort()
        elif now - self.since >= limit and not self.is_full:
            if self.state == READING:
                self.reject(408, "the head of the request did not come in time")
            else:
                self.close()

"""A connection of HTTP/1.1 to an endpoint: it reads responses, strictly, for the exchange that waits.

States and their transitions:

    serving   an exchange has it     response complete: `idle`, or `closed` if it may not be used again
                                     101: the tunnel's; any failure: `closed`
    idle      in IdleConnections     taken for an exchange: `serving`; bytes or EOF from the upstream, IDLE_TIMEOUT,
                                     a removed endpoint, no free descriptors: `closed`
    closed    nobody has it

Bytes that come while it is idle would be taken for the response to the next request, so they close the connection
(RFC 9112 section 9.2).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, cast

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.bodies import BodyReader, UntilCloseReader, body_reader
from sidecars.ambassador.http.head_rules import MessageRejected, check_beginning
from sidecars.ambassador.http.response_head import Http1Response, parse_response
from sidecars.ambassador.http.unfinished_head import UnfinishedHead
from sidecars.ambassador.http2.work_limits import MOST_INTERIM
from sidecars.ambassador.transport import connect_errors, small_reads
from sidecars.ambassador.transport.streams import Transport, report_untaken
from sidecars.ambassador.upstream.buffer_memory import LARGE_HEAD, BufferMemory
from sidecars.ambassador.upstream.counters import Counters
from sidecars.ambassador.upstream.idle_connections import IdleConnections
from sidecars.ambassador.upstream.request_writer import RequestWriter
from sidecars.ambassador.upstream.upstream_side import ResponseReceiver

monotonic: Final = time.monotonic


class UpstreamConnection(RequestWriter):
    """One connection to one endpoint. The exchange that it serves owns it, or IdleConnections while it is idle.

    It has the methods of asyncio.Protocol without inheriting from it, since a compiled class cannot.
    """

    __slots__ = (
        "_body",
        "_call_soon",
        "_closed",
        "_held",
        "_idle",
        "_interims",
        "_is_ambiguous",
        "_is_paused",
        "_is_reading_on",
        "_keep_alive",
        "_keep_alive_timeout",
        "_max_header_size",
        "_max_headers",
        "_max_idle",
        "_unfinished",
        "idle_limit",
        "idle_since",
    )

    def __init__(
        self,
        settings: UpstreamSettings,
        endpoint: Endpoint,
        idle: IdleConnections[UpstreamConnection],
        counters: Counters,
        call_soon: Callable[..., Any],
        memory: BufferMemory,
    ) -> None:
        super().__init__(endpoint, counters, memory)
        self.idle_since = 0.0
        self.idle_limit = settings.idle_timeout  # seconds; less if the upstream's Keep-Alive says so
        self._idle = idle
        self._max_idle = settings.idle_timeout
        self._max_header_size = settings.max_header_size
        self._max_headers = settings.max_headers
        self._call_soon = call_soon
        self._unfinished: UnfinishedHead | None = None
        self._held = 0  # bytes of an unfinished head, or of frames, that the memory knows of
        self._keep_alive = False  # of the response whose body is read
        self._keep_alive_timeout: float | None = None
        self._body: BodyReader | None = None
        self._interims = 0
        self._is_ambiguous = False  # True if a 1xx announced a body: no further exchange is served
        self._is_paused = False  # True if it is not read, since the app does not take more
        self._is_reading_on = False  # True if `_read_on` is due: it is not read until then
        self._closed = False

    # -- for the exchange -----------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        self._is_paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        if not self._is_reading_on:
            self.transport.resume_reading()

    def read_small(self) -> None:
        if self._memory.add_small(self):
            small_reads.read_small(self.transport, self, is_paused=self._is_paused or self._is_reading_on)

    def read_large(self) -> None:
        small_reads.read_large(self.transport, self, is_paused=self._is_paused or self._is_reading_on)

    def end_for_memory(self) -> None:
        """Lose the exchange: of all connections this one holds most of what is not finished, and it is too much."""
        self._held = 0
        self._counters.count_unfinished_ended()
        if self.exchange is not None:
            self.exchange.lose(local_replies.NO_BUFFER)

    def keep_idle(self, now: float) -> None:
        """Keep it for the next request."""
        self.idle_since = now
        self._idle.add(self.endpoint, self)

    def discard(self) -> None:
        self._idle.remove(self.endpoint, self)
        self.transport.abort()

    # -- for the event loop ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("Transport", transport)
        report_untaken(self.transport)
        self.endpoint.connection_opened()

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.discard()
            return
        self._counters.count_received(len(data))
        try:
            if self._body is not None:
                self._pass_on(exchange, self._body, data)
            elif self._unfinished is None:
                self._head(exchange, data)
            elif whole := self._unfinished.add(data, self._max_header_size):
                self._unfinished = None
                self._note_held()
                if self.exchange is exchange:
                    self._head(exchange, whole)
            else:
                self._note_held()
        except MessageRejected as error:
            exchange.lose(local_replies.malformed_response(error.reason))
        except Exception as defect:  # noqa: BLE001 - whatever the peer wrote, it ends no more than this exchange
            exchange.fail(defect)
            if self.exchange is None or self.exchange is exchange:
                self.discard()

    def eof_received(self) -> bool:
        exchange = self.exchange
        if exchange is not None and isinstance(self._body, UntilCloseReader):
            self._end(exchange, self._body)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if not self._closed:
            self._closed = True
            self.endpoint.connection_closed()
        self._memory.forget(self)
        self.untaken.note_taken()
        self._idle.remove(self.endpoint, self)
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        """Tell the exchange of the loss, once all that has come is read."""
        exchange = self.exchange
        if exchange is not None and self._is_reading_on:
            self._call_soon(self._lose, error)
        elif exchange is not None:
            exchange.lose(local_replies.CONNECTION_CLOSED if error is None else connect_errors.of_breaking(error))

    def pause_writing(self) -> None:
        self.untaken.note_full()
        if self.exchange is not None:
            self.exchange.block()

    def resume_writing(self) -> None:
        self.untaken.note_taken()
        if self.exchange is not None:
            self.exchange.unblock()

    # -- responses ------------------------------------------------------------------------------------------------

    def _head(self, exchange: ResponseReceiver, data: bytes) -> None:
        """Parse a head and the bytes behind it."""
        end = data.find(b"\r\n\r\n")
        limit = self._max_header_size
        if end < 0 or end > limit:
            if len(data) > limit:
                exchange.lose(local_replies.head_too_large(limit))
                return
            check_beginning(data, 502)
            self._unfinished = UnfinishedHead(data)
            self._note_held()
            return
        if end > LARGE_HEAD and self._memory.refuse(end):
            exchange.lose(local_replies.NO_BUFFER)
            return
        response = parse_response(data[:end], exchange.request, self._max_headers)
        rest = data[end + 4 :]
        if response.status < 200:
            self._interim(exchange, response, rest)
            return
        now = monotonic()
        if not exchange.accept(response, now):
            return
        length = response.length
        if 0 <= length <= len(rest):
            surplus = len(rest) > length
            self._release(exchange, now, keep_alive=response.keep_alive and not surplus, timeout=response.idle_timeout)
            exchange.respond_whole(response, rest[:length] if surplus else rest, (), now)
            return
        self._keep_alive, self._keep_alive_timeout = response.keep_alive, response.idle_timeout
        body = self._body = body_reader(length, 502)
        exchange.respond(response)
        if rest and self.exchange is exchange:
            self._pass_on(exchange, body, rest)

    def _interim(self, exchange: ResponseReceiver, response: Http1Response, rest: bytes) -> None:
        if response.status == 101:
            exchange.switch(response, rest)
            return
        self._is_ambiguous |= response.is_ambiguous
        self._interims += 1
        if self._interims > MOST_INTERIM:
            raise MessageRejected(502, f"more than {MOST_INTERIM} interim responses came before it")
        exchange.interim(response)
        if rest and self.exchange is exchange:
            self._head(exchange, rest)

    def _pass_on(self, exchange: ResponseReceiver, body: BodyReader, data: bytes) -> None:
        pieces = body.feed(data)
        if pieces:
            exchange.pass_on(pieces)
        if self.exchange is not exchange:
            return
        if body.done:
            self._end(exchange, body)
        elif body.unread and not self._is_reading_on:
            self._is_reading_on = True
            self.transport.pause_reading()
            self._call_soon(self._read_on)
        if self._held or not pieces or body.unread:
            self._note_held()

    def _note_held(self) -> None:
        """Report the bytes that are held of an unfinished head, or of frames. This may end the exchange."""
        held = 0 if self._unfinished is None else len(self._unfinished)
        if self._body is not None:
            held += self._body.kept()
        if held != self._held:
            self._held = held
            self._memory.unfinished.note(self, held)

    def _read_on(self) -> None:
        """Read the chunks that `feed` has left, some at a time: other connections are served in between."""
        self._is_reading_on = False
        if self.exchange is not None and self._body is not None:
            self.data_received(b"")
        if not (self._is_reading_on or self._is_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    def _end(self, exchange: ResponseReceiver, body: BodyReader) -> None:
        now = monotonic()
        self._body = None
        keep_alive = self._keep_alive and not body.surplus
        self._release(exchange, now, keep_alive=keep_alive, timeout=self._keep_alive_timeout)
        exchange.end(body.trailers, now)

    def _release(self, exchange: ResponseReceiver, now: float, *, keep_alive: bool, timeout: float | None) -> None:
        """Leave the exchange, whose response is complete: keep the connection for another one, or close it."""
        self.exchange = None
        self._interims = 0
        self.has_served = True
        if (
            exchange.release()
            and keep_alive
            and not self._is_ambiguous
            and not self.endpoint.removed
            and not self._closed
        ):
            if timeout is not None:
                self.idle_limit = min(self._max_idle, max(0.0, timeout - 1.0))
            if self._is_paused:
                self.resume_reading()
            self.keep_idle(now)
        else:
            self.discard()

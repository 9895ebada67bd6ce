"""A connection to an endpoint: reads responses, strictly, and hands them to the exchange that waits for them.

Between exchanges it is idle and belongs to its endpoint. Then the upstream has nothing to say: bytes that come all the
same would be taken for the answer to the next request, so they end the connection (RFC 9112 section 9.2).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.bodies import BodyReader, UntilCloseReader, body_reader
from sidecars.ambassador.http.head_rules import MessageRejected, check_beginning
from sidecars.ambassador.http.response_head import Response, parse_response
from sidecars.ambassador.proxy import attempts
from sidecars.ambassador.proxy.retry import retry_after
from sidecars.ambassador.transport import connect_errors

if TYPE_CHECKING:
    from sidecars.ambassador.balancing.endpoint import Endpoint
    from sidecars.ambassador.http.local_replies import Cause
    from sidecars.ambassador.proxy.exchange import Exchange
    from sidecars.ambassador.upstream.upstream import Upstream

_MOST_INTERIM: Final = 64  # 1xx responses before the final one

monotonic: Final = time.monotonic


class UpstreamConnection:
    """One connection to one endpoint: a protocol of asyncio's by what it can do, not by what it inherits."""

    __slots__ = (
        "body",
        "buffer",
        "closed",
        "doubtful",
        "endpoint",
        "exchange",
        "idle_limit",
        "interims",
        "limit",
        "max_headers",
        "response",
        "served",
        "since",
        "transport",
        "upstream",
    )

    def __init__(self, upstream: Upstream, endpoint: Endpoint) -> None:
        self.upstream = upstream
        self.endpoint = endpoint
        self.transport: Any = None  # asyncio.Transport; Any, since every use would else need an assertion
        self.exchange: Exchange | None = None
        self.buffer = b""
        self.response: Response | None = None
        self.body: BodyReader | None = None
        self.interims = 0
        self.served = False  # whether it has served an exchange before
        self.since = 0.0  # since when it is idle
        self.idle_limit = upstream.settings.idle_timeout
        self.closed = False
        self.doubtful = False  # what came may have announced more than was taken: it serves no further exchange
        self.limit = upstream.settings.max_header_size
        self.max_headers = upstream.settings.max_headers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.endpoint.connection_opened()

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.discard()
            return
        self.upstream.counters.received += len(data)
        try:
            if self.body is not None:
                self._pass_on(exchange, self.body, data)
            elif self.buffer:
                self._head(exchange, self.buffer + data, len(self.buffer))
            else:
                self._head(exchange, data)
        except MessageRejected as error:
            self._fail(exchange, local_replies.malformed_response(error.reason))
        except Exception as defect:  # noqa: BLE001 - whatever the peer wrote, it ends no more than this exchange
            exchange.defect(defect)
            if self.exchange is None or self.exchange is exchange:
                self.discard()

    def _head(self, exchange: Exchange, data: bytes, known: int = 0) -> None:
        """A head, of which the first `known` bytes have been looked at before, and what follows it."""
        end = data.find(b"\r\n\r\n", known - 3 if known > 3 else 0)  # the end mark may have begun in the bytes before
        limit = self.limit
        if end < 0 or end > limit:
            if len(data) > limit:
                self._fail(exchange, local_replies.head_too_large(limit))
                return
            check_beginning(data, 502, known)
            self.buffer = data
            return
        if known:
            self.buffer = b""
        response = parse_response(data[:end], exchange.request, self.max_headers)
        rest = data[end + 4 :]
        status = response.status
        if status < 200:
            self._interim(exchange, response, rest)
            return
        now = monotonic()
        if status < 429:
            self.upstream.balancer.on_response(self.endpoint, status, exchange.tried_at, now)
        elif self._is_repeated(exchange, response, now):
            return
        length = response.length
        if 0 <= length <= len(rest):
            surplus = len(rest) > length
            self._release(exchange, response, now, reusable=not surplus)
            exchange.respond_whole(response, rest[:length] if surplus else rest, now)
            return
        self.response = response
        self.body = body_reader(length, 502)
        exchange.respond(response)
        if rest and not exchange.over:
            self._pass_on(exchange, self.body, rest)

    def _is_repeated(self, exchange: Exchange, response: Response, now: float) -> bool:
        """Return True if another try is made instead of passing on this response, which may mean trouble."""
        try:
            after = retry_after(response.fields, time.time())
            self.upstream.balancer.on_response(self.endpoint, response.status, exchange.tried_at, now, after)
            return attempts.repeats(exchange, response, after)
        except Exception as error:  # noqa: BLE001 - the app still gets its answer
            self.upstream.defects.note(error)
            return exchange.connection is not self

    def _interim(self, exchange: Exchange, response: Response, rest: bytes) -> None:
        if response.status == 101:
            self.upstream.balancer.on_response(self.endpoint, 101, exchange.tried_at, monotonic())
            exchange.switch(response, rest)
            return
        self.doubtful |= response.is_ambiguous
        self.interims += 1
        if self.interims > _MOST_INTERIM:
            raise MessageRejected(502, f"more than {_MOST_INTERIM} interim responses came before it")
        exchange.interim(response)
        if rest and self.exchange is exchange:
            self._head(exchange, rest)

    def _pass_on(self, exchange: Exchange, body: BodyReader, data: bytes) -> None:
        pieces = body.feed(data)
        if pieces:
            exchange.pass_on(pieces)
        if body.done and self.exchange is exchange:
            self._end(exchange, body)

    def _end(self, exchange: Exchange, body: BodyReader) -> None:
        response = self.response
        assert response is not None  # noqa: S101 - a body has a head
        now = monotonic()
        self.response = self.body = None
        self._release(exchange, response, now, reusable=not body.surplus)
        exchange.end(body.trailers, now)

    def _release(self, exchange: Exchange, response: Response, now: float, *, reusable: bool) -> None:
        """The response is complete: this connection is free, if nothing speaks against another use."""
        self.exchange = None
        self.interims = 0
        self.served = True
        exchange.connection = None
        endpoint = self.endpoint
        endpoint.end_attempt()
        exchange.endpoint = None
        if (
            reusable
            and not self.doubtful
            and response.keep_alive
            and exchange.complete
            and not exchange.blocked
            and not exchange.request.body_is_unusual
            and not endpoint.removed
        ):
            if response.idle_timeout is not None:
                self.idle_limit = min(self.upstream.settings.idle_timeout, max(0.0, response.idle_timeout - 1.0))
            self.since = now
            if exchange.client.write_paused:
                self.transport.resume_reading()
            endpoint.idle.append(self)
        else:
            self.discard()

    def _fail(self, exchange: Exchange, cause: Cause) -> None:
        exchange.lost(cause)

    def discard(self) -> None:
        """Close without ceremony; from here on it belongs to nobody."""
        idle = self.endpoint.idle
        if self in idle:
            idle.remove(self)
        self.transport.abort()

    def eof_received(self) -> bool:
        exchange = self.exchange
        if exchange is not None and isinstance(self.body, UntilCloseReader):
            self._end(exchange, self.body)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed:
            self.closed = True
            self.endpoint.connection_closed()
        idle = self.endpoint.idle
        if self in idle:
            idle.remove(self)
        exchange = self.exchange
        if exchange is not None:
            exchange.lost(local_replies.CONNECTION_CLOSED if error is None else connect_errors.of_breaking(error))

    # What the endpoint does not take is not read from the app.

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.blocked = True
            self.exchange.client.read_on()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.blocked = False
            self.exchange.moved = True
            self.exchange.client.read_on()

"""The reading half's memory of an app's connection: the bytes of an unfinished head, or of requests that wait.

Each connection has a limit for them, and all connections of the process have one for the sum
(`upstream/buffer_memory`): 4,096 connections with 64 KiB each are more than a small container has. Most requests
arrive whole and alone. They are never in the buffer, and cost no report. While memory is short the reads are small.
"""

from __future__ import annotations

from typing import Final, cast

from sidecars.ambassador.http.bodies import BodyReader
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http.unfinished_head import UnfinishedHead
from sidecars.ambassador.proxy.exchange import GONE, Exchange
from sidecars.ambassador.proxy.response_writer import ResponseWriter
from sidecars.ambassador.proxy.tunnel import Handover
from sidecars.ambassador.transport import small_reads
from sidecars.ambassador.upstream.client_registry import AppConnection
from sidecars.ambassador.upstream.upstream import Upstream

_MAX_PIPELINED: Final = 64 * 1024  # bytes of further requests that wait


class RequestBuffer(ResponseWriter):
    """The buffer, and the exchange under way. The whole, `ClientConnection`, derives from it."""

    __slots__ = ("_body", "_buffer", "_held", "_is_reading_on", "_is_unread", "_is_used", "_unfinished", "exchange")

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self.exchange: Exchange | None = None  # the one under way
        self._body: BodyReader | None = None  # of the request that is coming
        self._unfinished: UnfinishedHead | None = None  # of the request that is coming
        self._buffer = b""  # of further requests
        self._held = 0  # bytes of both that the registry knows of
        self._is_reading_on = False  # True if the rest of the chunks that have come is read in the next turn
        self._is_used = False  # True once a request has come: HTTP/2 begins with the connection or not at all
        self._is_unread = False  # True if there is no room for more bytes of the app

    def serves(self, exchange: object) -> bool:
        return self.exchange is exchange

    def replying(self) -> Upstream:
        return self.upstream if self.exchange is None else self.exchange.upstream

    def idle_since(self) -> float:
        return -1.0 if self.exchange is not None else self.since

    def leave(self) -> None:
        self.exchange = self._body = self._unfinished = None
        self._is_reading_on = False
        self._buffer = b""
        self._note_held()

    def _keep(self, data: bytes) -> None:
        """Keep bytes of further requests until their turn comes."""
        self._buffer += data
        self.read_on()
        self._note_held()

    def _note_held(self) -> None:
        """Report the bytes that are held. A request that arrives whole and alone needs no report."""
        held = len(self._buffer)
        if self._unfinished is not None:
            held += len(self._unfinished)
        if self._body is not None:
            held += self._body.kept()
        if held != self._held:
            self._held = held
            self.upstream.memory.unfinished.note(self, held)

    def end_for_memory(self) -> None:
        """End the connection: it holds more bytes than any other one, and all together hold too many."""
        self._held = 0
        self.upstream.counters.count_unfinished_ended()
        if self.exchange is not None:
            self.abort()
        else:
            self.reject(503, "the unfinished requests of all connections together are too large")

    def read_small(self) -> None:
        """Read few bytes at a time, here and from the endpoint, until `read_large`."""
        if self.upstream.memory.add_small(self):
            small_reads.read_small(self.transport, self._protocol(), is_paused=self._is_unread)
        exchange = self.exchange
        if exchange is not None and exchange.connection is not None:
            exchange.connection.read_small()

    def read_large(self) -> None:
        small_reads.read_large(self.transport, self._protocol(), is_paused=self._is_unread)

    def _protocol(self) -> small_reads.Reader:
        return cast("small_reads.Reader", self)

    def _go(self) -> None:
        """Hold nothing any more, and be read no more by this protocol."""
        self.upstream.clients.remove(cast("AppConnection", self))
        self.upstream.memory.forget(self)
        self.untaken.note_taken()

    def read_on(self) -> None:
        exchange = self.exchange
        no_room = (
            len(self._buffer) > _MAX_PIPELINED
            or self._is_reading_on
            or (exchange is not None and exchange.takes_no_more and self._body is not None)
        )
        self._is_unread = no_room and not self.lingers
        if self._is_unread:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def closes_after(self, request: Request, *, complete: bool) -> bool:
        is_last = self.ended and not self._buffer
        return not request.keep_alive or not complete or is_last or self.upstream.clients.draining

    def hand_over(self) -> Handover:
        unread = self._buffer
        self._go()
        self.leave()
        return Handover(self.transport, unread, ended=self.ended, is_full=self.is_full)

    def has_left(self) -> bool:
        return self.ended and self._is_abandoned()

    def _is_abandoned(self) -> bool:
        """Return True, and end the exchange, if the app has closed its connection."""
        if self.exchange is None or not self.upstream.disconnects.has_closed(self.transport):
            return False
        self.abort()
        return True

    def abort(self) -> None:
        """Close at once; by a reset if the app is owed something."""
        exchange = self.exchange
        self.break_off(by_reset=exchange is not None or bool(self.transport.get_write_buffer_size()))
        if exchange is not None:
            exchange.abandon(GONE)

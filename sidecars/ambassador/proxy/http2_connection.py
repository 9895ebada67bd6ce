"""A connection of HTTP/2 from the app: the I/O shell around the pure core of `http2`, whose handler it is.

It begins as a connection of HTTP/1.1 (`client_connection`), whose first bytes were HTTP/2's preface. States:

    from        event                                                to
    serving     no stream for IDLE_TIMEOUT                           leaving
    serving     a drain: GOAWAY that refuses nothing, then PING      draining: new streams are served
    draining    its answer, or 1 s: GOAWAY that refuses new streams  leaving: those that are open go on
    leaving     no stream is open any more                           lingering: it has sent its end
    serving, draining, leaving   the app breaks the framing          lingering, with GOAWAY; its exchanges are abandoned
    lingering   2 s, or EOF                                          closed
    any         the app closes or resets, or takes nothing for       closed; its exchanges are abandoned
                IDLE_TIMEOUT

All of one read is parsed before anything is written, and each connection that it has touched is written to once
(`write_round`). So a request that was reset in the same read reaches nobody. A stream counts for
MAX_CONCURRENT_STREAMS until its exchange is over at both ends. Nothing is read while the transport is full, so that
acknowledgements do not pile up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.head_rules import MessageRejected
from sidecars.ambassador.http.http2_request import Http2Request, length_of
from sidecars.ambassador.http2 import grpc
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.frames import PROTOCOL_ERROR
from sidecars.ambassador.http2.heads import RequestHead, ResponseHead
from sidecars.ambassador.http2.receiving import SMALL_WINDOW
from sidecars.ambassador.http2.streams import Stream, largest
from sidecars.ambassador.http2.work_limits import STREAMS_EACH
from sidecars.ambassador.proxy.exchange import GONE, Exchange
from sidecars.ambassador.proxy.grpc.call import new_exchange
from sidecars.ambassador.proxy.http2_stream import Http2Stream
from sidecars.ambassador.proxy.http2_transport import DRAIN_PING, SPARE, Http2Transport, side_of
from sidecars.ambassador.upstream.buffer_memory import LARGE_HEAD

_REST: Final = 0.1  # seconds
_MOST_RESTS: Final = 10  # in a row, in which nobody takes any of the bodies: then the largest one is lost
_MOST_DISCARDED: Final = 100  # connections to endpoints that resets of the app may cost between two ticks


class Http2Connection(Http2Transport):
    """One connection, with the requests that come on it; `Http2Transport` has the rest."""

    def on_request(
        self, stream: Stream, head: RequestHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        upstream = self.upstream
        try:
            if head.size > LARGE_HEAD and upstream.memory.refuse(head.size):
                raise MessageRejected(503, "the head of the request is too large while memory is short")  # noqa: TRY301 - one way out
            length = length_of(head, pieces, trailers, end=end)
            side = Http2Stream(self, stream)
            exchange = self._exchange(side, head, length)
        except MessageRejected as error:
            self.on_rejected(stream, error.status, error.reason, head.content_type)
            return
        side.exchange = exchange
        stream.user = side
        self.sides[side] = None
        try:
            if head.size > LARGE_HEAD:
                exchange.hold_head(head.size)
            if length:
                exchange.feed(pieces, trailers, done=end)
            if exchange.upstream.admission.admit(exchange):
                exchange.start(exchange.started)
            if exchange.takes_no_more:
                side.read_on()
        except Exception as defect:  # noqa: BLE001 - it ends no more than this exchange
            exchange.fail(defect)
        if self.core.busy >= self.next_look:
            self._allow_more_streams()

    def _exchange(self, side: Http2Stream, head: RequestHead, length: int) -> Exchange:
        """Return the exchange of a request, which is not started. Raises MessageRejected."""
        upstream = self.upstream
        if upstream.routes is not None:
            from sidecars.ambassador.proxy.routed.beginning import http2_exchange  # noqa: PLC0415 - only with routes

            return http2_exchange(side, upstream, head, length)
        return new_exchange(side, upstream, Http2Request(head, upstream.request_parser.edits, length))

    def on_rejected(self, stream: Stream, status: int, reason: str, content_type: bytes) -> None:
        upstream = self.upstream
        upstream.counters.count_response(status, 0.0)
        if upstream.access_log is not None:
            upstream.access_log.rejected(status, reason)
        block, body = local_replies.http2_rejection(status, reason, is_grpc=grpc.is_grpc(content_type))
        self.core.send_head(stream, block, end=not body)
        if body:
            self.core.send_body(stream, (body,), end=True)
        side = Http2Stream(self, stream)  # until the app has taken the response
        stream.user = side
        self.sides[side] = None
        self.on_finished(side)

    def on_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:
        side = side_of(stream)
        exchange = None if side is None else side.exchange
        if side is None or exchange is None or exchange.over:
            return
        try:
            exchange.feed(pieces, trailers, done=end)
            if exchange.takes_no_more:
                side.read_on()
        except Exception as error:  # noqa: BLE001 - it ends no more than this exchange
            exchange.fail(error)

    def on_reset(self, stream: Stream, code: int, *, is_unprocessed: bool) -> None:  # noqa: ARG002 - the app has cancelled
        side = side_of(stream)
        if side is None:
            return
        exchange = side.exchange
        if exchange is not None and exchange.connection is not None and not exchange.connection.tells_unprocessed:
            self._discarded += 1
            if self._discarded > _MOST_DISCARDED:
                self.rest()
        side.abandon(GONE)
        self.forget(side)

    def on_malformed(self, stream: Stream, status: int, reason: str) -> None:
        side = side_of(stream)
        if side is not None:
            side.reject(status, reason)
        self.core.reset(stream, PROTOCOL_ERROR)

    def on_finished(self, side: Http2Stream) -> None:
        if side.stream.is_sent:
            self.forget(side)
        else:
            self._finished.append(side)

    # -- reading --------------------------------------------------------------------------------------------------

    def note_memory(self) -> None:
        """Report the bytes that wait here. Read on later if they are too many, whatever credit the app has left."""
        super().note_memory()
        if self._too_large() is not None:
            self.rest()

    def rest(self) -> None:
        """Read nothing for a moment: the app's resets cost too many connections to endpoints, or its bodies memory."""
        if not self._is_resting:
            self._is_resting = True
            self._rests = 0
            self._held_before = self.core.held
            self._read_on()
            self.upstream.loop.call_later(_REST, self._end_rest)

    def _end_rest(self) -> None:
        """Read on, unless the bodies are still too many. Lose the largest one if nobody takes any of them for a while.

        Those who would take them may wait for another request, which is not read.
        """
        core = self.core
        self._rests = self._rests + 1 if core.held >= self._held_before else 0
        self._discarded = 0
        stream = self._too_large()
        if stream is not None and self._rests >= _MOST_RESTS:
            self._lose(stream)
            stream = self._too_large()
        self._held_before = core.held
        self._is_resting = stream is not None
        if self._is_resting:
            self.upstream.loop.call_later(_REST, self._end_rest)
        else:
            self._read_on()

    def _too_large(self) -> Stream | None:
        """Return the stream that holds most, if the bodies of all are too many to read on; else None.

        The app is always read on while it has to give credit: an endpoint takes more once its response has left.
        """
        core = self.core
        if core.queued or self.transport.is_closing() or not self.upstream.memory.is_too_much(core.held):
            return None
        return largest(core.streams.values(), SMALL_WINDOW)

    def _lose(self, stream: Stream) -> None:
        """End a stream whose body is not taken: too much memory is held."""
        side = side_of(stream)
        exchange = None if side is None else side.exchange
        if side is not None and exchange is not None and not exchange.over:
            if exchange.status:
                exchange.cut(local_replies.NO_BUFFER)
            else:
                side.reject(local_replies.NO_BUFFER.status, local_replies.NO_BUFFER.text)
        self.core.drop(stream)
        super().note_memory()

    # -- more streams ---------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        self.next_look = self.core.max_streams - SPARE
        if self.core.busy >= self.next_look:
            self._allow_more_streams()
        super().tick(now)

    def _allow_more_streams(self) -> None:
        """Allow as many streams beyond the first 100 as twice those that have a response, within the budget of all.

        Otherwise an app whose streams live for days could open no call beside 100 of them.
        """
        core = self.core
        begun = sum([side.exchange is not None and side.exchange.status != 0 for side in self.sides])
        wanted = min(STREAMS_EACH + 2 * begun, core.busy + self.upstream.clients.room() // 2)
        if wanted >= core.max_streams + SPARE and not self.is_leaving:
            core.allow_streams(wanted)
            self.next_look = wanted - SPARE
        else:
            self.next_look = core.max_streams + 1  # until the next tick

    # -- of the connection ----------------------------------------------------------------------------------------

    def on_ping_ack(self, payload: bytes) -> None:
        if payload == DRAIN_PING and self._drain_at:
            self._refuse_streams()

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """Do nothing: an app that opens no further stream closes the connection when it wants."""

    def on_settings(self) -> None:
        """Do nothing: the core has applied them."""

    def on_broken(self, code: int, reason: str) -> None:  # noqa: ARG002 - the core has written it
        self.abandon_all()
        self.write_output()
        self.linger()

    def on_interim(self, stream: Stream, head: ResponseHead) -> None:
        raise NotImplementedError("an app sends no responses")

    def on_response(
        self, stream: Stream, head: ResponseHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        raise NotImplementedError("an app sends no responses")

"""One connection of HTTP/2 to an endpoint: the I/O shell around the pure core, whose handler it is.

    states      event                                                       to
    opening     the transport is there (with TLS: after the handshake)      serving
    serving     GOAWAY of the endpoint, its ids are used up, a drain         leaving
    serving     no stream for IDLE_TIMEOUT, or the endpoint is removed       closed
    leaving     its last stream has ended                                   closed
    any         broken framing, or a lost transport                         closed: its streams are lost

A stream whose head was never given to the transport, or that the endpoint has refused, is `unprocessed`: any attempt
may be made again. Nothing is read while the transport is full: so acknowledgements do not pile up.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, cast

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.http2_response import UNKNOWN, Http2Response
from sidecars.ambassador.http.local_replies import Cause, fields_too_large, malformed_response, reset_by_endpoint
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.frames import CANCEL, PROTOCOL_ERROR
from sidecars.ambassador.http2.handler import NoHandler
from sidecars.ambassador.http2.heads import TOO_LARGE, RequestHead, ResponseHead
from sidecars.ambassador.http2.streams import Stream
from sidecars.ambassador.upstream.buffer_memory import LARGE_HEAD
from sidecars.ambassador.upstream.http2.endpoint_stream import EndpointStream
from sidecars.ambassador.upstream.http2.endpoint_transport import EndpointTransport
from sidecars.ambassador.upstream.upstream_side import ResponseReceiver

monotonic: Final = time.monotonic


class EndpointConnection(EndpointTransport):
    """One connection, with the attempts that it carries; `EndpointTransport` has the rest. The stream pool owns it."""

    def new_stream(self) -> EndpointStream:
        """Return the upstream side of an attempt, which opens its stream at once. Only while `core.can_open`."""
        return EndpointStream(self, self.endpoint)

    # -- responses ------------------------------------------------------------------------------------------------

    def on_response(
        self, stream: Stream, head: ResponseHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        side, exchange = _side_of(stream)
        if exchange is None:
            return
        try:
            if head.size > LARGE_HEAD and self._memory.refuse(head.size):
                self.core.reset(stream, CANCEL)
                self._lose(stream, local_replies.NO_BUFFER)
                return
            size = UNKNOWN
            if end and not trailers:
                size = sum([len(piece) for piece in pieces])
            response = Http2Response(head, exchange.request, size)
            if end and exchange.request.is_grpc:
                response.end_call(trailers)
            now = monotonic()
            if not exchange.accept(response, now):
                return
            if end:
                _release(side, exchange)
                body = b"" if not pieces else pieces[0] if len(pieces) == 1 else b"".join(pieces)
                exchange.respond_whole(response, body, trailers, now)
                return
            exchange.respond(response)
            if pieces and side.exchange is exchange:
                exchange.pass_on(pieces)
        except Exception as defect:  # noqa: BLE001 - it ends no more than this exchange
            _fail_one(side, exchange, defect)

    def on_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:
        _pass_on(stream, pieces, end=end, trailers=trailers)

    def on_interim(self, stream: Stream, head: ResponseHead) -> None:
        side, exchange = _side_of(stream)
        if exchange is not None:
            try:
                exchange.interim(Http2Response(head, exchange.request))
            except Exception as defect:  # noqa: BLE001 - it ends no more than this exchange
                _fail_one(side, exchange, defect)

    def on_reset(self, stream: Stream, code: int, *, is_unprocessed: bool) -> None:
        self._lose(stream, reset_by_endpoint(code, is_unprocessed=is_unprocessed))

    def on_malformed(self, stream: Stream, status: int, reason: str) -> None:
        self.core.reset(stream, PROTOCOL_ERROR)
        self._lose(stream, fields_too_large(reason) if status == TOO_LARGE else malformed_response(reason))

    def on_writable(self, stream: Stream) -> None:
        side, exchange = _side_of(stream)
        if exchange is not None:
            try:
                exchange.unblock()
            except Exception as defect:  # noqa: BLE001 - it ends no more than this exchange
                _fail_one(side, exchange, defect)

    # -- of the connection ----------------------------------------------------------------------------------------

    def on_settings(self) -> None:
        self._owner.on_room(self)

    def on_goaway(self, last_stream_id: int, code: int) -> None:  # noqa: ARG002 - the core has ended those above it
        self._owner.on_leaving(self)
        if not self.core.streams:
            self.close()

    def on_ping_ack(self, payload: bytes) -> None:
        """Do nothing: we send no PING."""

    def on_broken(self, code: int, reason: str) -> None:  # noqa: ARG002 - the core has written it
        self.write_output()
        self._lose_all(malformed_response(reason))
        self.transport.close()

    def on_request(
        self, stream: Stream, head: RequestHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        raise NotImplementedError("an endpoint sends no requests")

    def on_rejected(self, stream: Stream, status: int, reason: str, content_type: bytes) -> None:
        raise NotImplementedError("an endpoint sends no requests")

    # -- losses ---------------------------------------------------------------------------------------------------

    def _lose(self, stream: Stream, cause: Cause) -> None:
        """Tell the exchange of a stream, which is closed, that its attempt has failed."""
        side, exchange = _side_of(stream)
        side.exchange = side.stream = None
        if exchange is not None:
            try:
                exchange.lose(cause)
            except Exception as defect:  # noqa: BLE001 - it ends no more than this exchange
                exchange.fail(defect)
        self.on_stream_end()

    def _lose_all(self, cause: Cause) -> None:
        """Lose all streams. Those whose heads were never given to the transport are unprocessed."""
        written = self.core.written_id
        self.core.is_broken = True  # no attempt may begin here again
        never = Cause(cause.error_type, cause.status, cause.text, cause.own_fault, unprocessed=True)
        for stream in list(self.core.streams.values()):
            side, exchange = _side_of(stream)
            side.exchange = side.stream = None
            self.core.reset(stream, CANCEL)
            if exchange is not None:
                try:
                    exchange.lose(never if stream.id > written else cause)
                except Exception as defect:  # noqa: BLE001 - the others are told, too
                    exchange.fail(defect)

    def _leave_core(self) -> None:
        self.core.leave(_LATE)


class _LateHandler(NoHandler):
    """The handler of a connection that is lost: apps may still take the rest of responses that came whole."""

    def on_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:
        _pass_on(stream, pieces, end=end, trailers=trailers)


_LATE: Final = _LateHandler()


def _pass_on(stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:
    side, exchange = _side_of(stream)
    if exchange is None:
        return
    try:
        if pieces:
            exchange.pass_on(pieces)
        if end and side.exchange is exchange:
            _release(side, exchange)
            exchange.end(trailers, monotonic())
    except Exception as defect:  # noqa: BLE001 - it ends no more than this exchange
        _fail_one(side, exchange, defect)


def _release(side: EndpointStream, exchange: ResponseReceiver) -> None:
    """Leave the exchange, whose response is complete. The rest of its request is not wanted."""
    side.exchange = None
    exchange.release()
    side.end(CANCEL)


def _fail_one(side: EndpointStream, exchange: ResponseReceiver, defect: Exception) -> None:
    exchange.fail(defect)
    if side.exchange is exchange:
        side.drop()


def _side_of(stream: Stream) -> tuple[EndpointStream, ResponseReceiver | None]:
    side = cast("EndpointStream", stream.user)
    return side, side.exchange

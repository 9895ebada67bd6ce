"""One stream of an app's connection of HTTP/2: the app's side of one exchange.

The core of the connection (`http2`) writes its frames. Bytes that it cannot send yet, for want of a window or since the
transport is full, wait there; then the response is not read on.

    from       event                                          to
    serving    the response is handed to the core             finished; gone if the core has sent all of it
    serving    the app resets it, or is gone; a rejection     gone
    serving    the response broke off                         gone, with RST_STREAM
    finished   the app has taken all                          gone
    finished   the app takes nothing for IDLE_TIMEOUT         gone, with RST_STREAM
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.fields import Field, encode_all
from sidecars.ambassador.http2.frames import CANCEL, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR
from sidecars.ambassador.http2.handler import ConnectionHandler
from sidecars.ambassador.http2.streams import Stream
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.proxy.tunnel import Handover
from sidecars.ambassador.transport.streams import Transport, peer_host
from sidecars.ambassador.upstream.access_log import Failures
from sidecars.ambassador.upstream.upstream import Upstream

_CONTINUE: Final = encode_field(b":status", b"100")
_PASSED_ON: Final = frozenset({NO_ERROR, INTERNAL_ERROR, CANCEL})  # error codes that mean the same to the app


class StreamCarrier(ConnectionHandler):
    """The connection, as far as its streams use it."""

    core: Connection
    transport: Transport
    upstream: Upstream
    ended: bool  # True after EOF: the app sends no more

    @abstractmethod
    def is_abandoned(self) -> bool:
        """Return True, and end the connection, if the app has closed it."""

    @abstractmethod
    def note_full(self, side: Http2Stream) -> None:
        """Let this stream go on when the transport takes more."""

    @abstractmethod
    def note_memory(self) -> None:
        """Report the bytes that wait in the streams now: one turn of the loop may bring some for each of them."""

    @abstractmethod
    def on_finished(self, side: Http2Stream) -> None:
        """Note that a stream's exchange has left it."""


class Http2Stream(AppSide):
    """One stream. The connection owns it; its core knows it as the `user` of its own stream."""

    __slots__ = ("_carrier", "_queued", "_stalled_at", "exchange", "stream")

    def __init__(self, carrier: StreamCarrier, stream: Stream) -> None:
        super().__init__()
        self.exchange: Exchange | None = None  # the exchange under way
        self.stream = stream
        self._carrier = carrier
        self._queued: int = 0  # bytes that waited in the core at the last tick
        self._stalled_at = 0.0  # since when none of them was taken

    # -- the request ----------------------------------------------------------------------------------------------

    def peer_host(self) -> str:
        return peer_host(self._carrier.transport)

    def turn_key(self) -> object:
        return self._carrier

    def serves(self, exchange: object) -> bool:
        return self.exchange is exchange

    def has_left(self) -> bool:
        return self._carrier.ended and self._carrier.is_abandoned()

    def read_on(self) -> None:
        exchange = self.exchange
        if exchange is not None and exchange.takes_no_more:
            self._carrier.core.pause(self.stream)
        else:
            self._carrier.core.resume(self.stream)
            self._carrier.note_memory()  # also if nothing is written: a stream that came whole gets no credit

    def reject(self, status: int, reason: str) -> None:
        exchange = self.exchange
        if exchange is None or exchange.over:
            return
        request, has_begun = exchange.request, exchange.status != 0
        exchange.abandon(status)
        if has_begun:
            self._leave(PROTOCOL_ERROR)
            return
        self._write(*local_replies.http2_rejection(status, reason, is_grpc=request.is_grpc), request)
        self.exchange = None
        self._carrier.on_finished(self)

    # -- the response ---------------------------------------------------------------------------------------------

    def tell_to_continue(self) -> None:
        self._carrier.core.send_head(self.stream, _CONTINUE, end=False)

    def interim(self, request: Request, response: Response) -> None:  # noqa: ARG002 - any request of HTTP/2 may have one
        core = self._carrier.core
        if response.status == 100 or not core.is_held:  # the others would pile up while the app takes nothing
            core.send_head(self.stream, response.block(), end=False)

    def respond_whole(
        self,
        request: Request,  # noqa: ARG002 - any request alike
        response: Response,
        body: bytes,
        trailers: Sequence[Field],
        *,
        complete: bool,  # noqa: ARG002 - the core knows
    ) -> None:
        core, stream = self._carrier.core, self.stream
        core.send_head(stream, response.block(), end=not (body or trailers))
        if trailers:
            if body:
                core.send_body(stream, (body,))
            core.send_end(stream, encode_all(trailers))
        elif body:
            core.send_body(stream, (body,), end=True)
        if stream.queued:
            self._carrier.note_memory()

    def respond(self, request: Request, response: Response, *, complete: bool) -> None:  # noqa: ARG002 - any request alike
        self._carrier.core.send_head(self.stream, response.block(), end=False)

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        core = self._carrier.core
        has_room = core.send_body(self.stream, pieces)
        if self.stream.queued:
            self._carrier.note_memory()
        if core.is_held:
            self._carrier.note_full(self)
        elif has_room:
            return
        self.is_full = True
        if self.exchange is not None:
            self.exchange.pause_response()

    def take_more(self) -> None:
        """Go on with the response: there is room for it again."""
        if self.is_full and not self.stream.is_full:
            self.is_full = False
            if self.exchange is not None:
                self.exchange.resume_response()

    def end(self, request: Request, trailers: Sequence[Field], *, complete: bool) -> None:  # noqa: ARG002 - any request alike
        self._carrier.core.send_end(self.stream, encode_all(trailers))

    def reply(self, request: Request, cause: Cause, failures: Failures, *, complete: bool) -> None:  # noqa: ARG002 - any request alike
        upstream = self._carrier.upstream if self.exchange is None else self.exchange.upstream
        self._write(*local_replies.http2_failure(cause, upstream.name, failures, is_grpc=request.is_grpc), request)
        upstream.counters.count_error(cause.error_type)

    def _write(self, block: bytes, body: bytes, request: Request) -> None:
        core = self._carrier.core
        if request.is_head:
            body = b""
        core.send_head(self.stream, block, end=not body)
        if body:
            core.send_body(self.stream, (body,), end=True)

    # -- ends -----------------------------------------------------------------------------------------------------

    def finish(self, now: float) -> None:  # noqa: ARG002 - the next request needs nothing of it
        self.exchange = None
        self._carrier.on_finished(self)

    def cut(self, cause: Cause) -> None:
        exchange = self.exchange
        if exchange is not None and exchange.request.is_grpc:
            self.exchange = None
            self._carrier.core.send_end(self.stream, local_replies.call_trailers(cause))
            self._carrier.on_finished(self)
            return
        self._leave(cause.reset_code if cause.reset_code in _PASSED_ON else INTERNAL_ERROR)

    def reset(self) -> None:
        self._leave(INTERNAL_ERROR)

    def hand_over(self) -> Handover:
        raise NotImplementedError("a stream of HTTP/2 switches to no other protocol")

    def abandon(self, status: int) -> None:
        """End the exchange, if there is one: the app is gone, or its request was rejected."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abandon(status)

    def _leave(self, code: int) -> None:
        self.exchange = None
        self._carrier.core.reset(self.stream, code)
        self._carrier.on_finished(self)

    # -- time -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Apply the exchange's time-outs, and reset the stream if the app takes none of its bytes for too long."""
        exchange = self.exchange
        if exchange is not None:
            try:
                exchange.tick(now)
            except Exception as error:  # noqa: BLE001 - the other streams go on
                exchange.fail(error)
        core, stream = self._carrier.core, self.stream
        queued = stream.queued
        if not queued or queued != self._queued or core.is_held:  # the connection has a time-out for its transport
            self._queued, self._stalled_at = queued, now
        elif now - self._stalled_at >= self._carrier.upstream.settings.idle_timeout:
            self.abandon(499)
            core.reset(stream, CANCEL)
            self._carrier.on_finished(self)

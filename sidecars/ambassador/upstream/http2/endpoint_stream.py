"""One attempt as a stream of HTTP/2: the upstream side of an exchange."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.fields import Field, encode_all
from sidecars.ambassador.http2.frames import CANCEL
from sidecars.ambassador.http2.handler import ConnectionHandler
from sidecars.ambassador.http2.streams import Stream
from sidecars.ambassador.transport.streams import Transport
from sidecars.ambassador.upstream.upstream_side import ResponseReceiver, UpstreamSide


class StreamCarrier(ConnectionHandler):
    """The connection, as far as its streams use it."""

    core: Connection
    scheme: bytes

    @abstractmethod
    def read_small(self) -> None:
        """Give streams little credit until memory is not short any more."""

    @abstractmethod
    def note_memory(self) -> None:
        """Report the bytes that wait in the streams now: one turn of the loop may bring some for each of them."""

    @abstractmethod
    def on_stream_end(self) -> None:
        """Note that a stream has ended, so that another attempt may have its place."""


class EndpointStream(UpstreamSide):
    """One attempt. Its exchange owns it; the connection knows it as the `user` of its stream."""

    __slots__ = ("_carrier", "_given", "exchange", "stream")

    def __init__(self, carrier: StreamCarrier, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.tells_unprocessed = True
        self.exchange: ResponseReceiver | None = None
        self.stream: Stream | None = None  # from `begin` on
        self._carrier = carrier
        self._given: int = 0  # bytes of the body so far

    def begin(  # noqa: PLR0913 - what one write carries
        self,
        exchange: ResponseReceiver,
        authority: bytes,
        credentials: bytes,
        pieces: Sequence[bytes],
        size: int,
        trailers: Sequence[Field],
        *,
        done: bool,
    ) -> None:
        self.exchange = exchange
        request = exchange.request
        carrier = self._carrier
        block = request.block(carrier.scheme, authority, credentials)
        # A call of gRPC ends with DATA, empty ones if need be: servers wait for them (grpc: doc/PROTOCOL-HTTP2.md).
        ends = done and not size and not trailers and not request.is_grpc
        self.stream = carrier.core.open_stream(block, self, end=ends, is_head=request.is_head)
        if not ends and (size or done):
            self.send(pieces, size, trailers, done=done)

    def send(self, pieces: Sequence[bytes], size: int, trailers: Sequence[Field], *, done: bool) -> None:
        stream = self.stream
        if stream is None:
            return
        self._given += size
        core = self._carrier.core
        if trailers:
            if size:
                core.send_body(stream, pieces)
            core.send_end(stream, encode_all(trailers))
        elif (size or done) and not core.send_body(stream, pieces, end=done) and not done:
            exchange = self.exchange
            if exchange is not None:
                exchange.block()
        if stream.queued:
            self._carrier.note_memory()

    def taken(self) -> int:
        return self._given - (self.stream.queued if self.stream is not None else 0)

    def pause_reading(self) -> None:
        if self.stream is not None:
            self._carrier.core.pause(self.stream)

    def resume_reading(self) -> None:
        if self.stream is not None:
            self._carrier.core.resume(self.stream)
            self._carrier.note_memory()  # also if nothing is written: a stream that came whole gets no credit

    def read_small(self) -> None:
        self._carrier.read_small()

    def drop(self) -> None:
        self.exchange = None
        self.end(CANCEL)

    def end(self, code: int) -> None:
        """End the stream, with a reset if it is not closed yet."""
        stream, self.stream = self.stream, None
        if stream is not None:
            self._carrier.core.reset(stream, code)
            self._carrier.on_stream_end()

    def hand_over(self) -> Transport:
        raise NotImplementedError("a stream of HTTP/2 switches to no other protocol")

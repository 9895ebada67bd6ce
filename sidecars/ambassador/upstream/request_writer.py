"""The writing half of a connection of HTTP/1.1 to an endpoint: it writes requests."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http.bodies import encode_chunk, encode_last_chunk
from sidecars.ambassador.http.head_rules import CHUNKED
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.transport.streams import Transport
from sidecars.ambassador.transport.tcp_keepalive import acknowledged
from sidecars.ambassador.upstream.buffer_memory import BufferMemory, Untaken
from sidecars.ambassador.upstream.counters import Counters
from sidecars.ambassador.upstream.upstream_side import ResponseReceiver, UpstreamSide

_MAX_JOINED: Final = 64 * 1024  # bytes of a body that are copied behind its head, to be one write; more does not wait


class RequestWriter(UpstreamSide):
    """The half of the connection that writes. The whole, `UpstreamConnection`, derives from it."""

    __slots__ = ("_counters", "_memory", "_sends_chunks", "exchange", "transport", "untaken")

    transport: Transport  # from `connection_made` on

    def __init__(self, endpoint: Endpoint, counters: Counters, memory: BufferMemory) -> None:
        super().__init__(endpoint)
        self.exchange: ResponseReceiver | None = None
        self.untaken: Untaken = Untaken(memory)
        self._counters = counters
        self._memory = memory
        self._sends_chunks = False  # True if the length of the request's body was not announced

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
        if self._memory.is_short:
            self.read_small()
        request = exchange.request
        head = request.head(authority, credentials)
        if not request.length:
            self._write(head)
            return
        self._sends_chunks = request.length == CHUNKED
        if self._sends_chunks:
            pieces, size = _chunks(pieces, trailers, done=done)
        if size > _MAX_JOINED:
            self._writelines((head, *pieces), len(head) + size)
        else:
            self._write(b"".join((head, *pieces)) if pieces else head)

    def send(self, pieces: Sequence[bytes], size: int, trailers: Sequence[Field], *, done: bool) -> None:
        if self._sends_chunks:
            pieces, size = _chunks(pieces, trailers, done=done)
        if pieces:
            self._writelines(pieces, size)

    def taken(self) -> int:
        return acknowledged(self.transport.get_extra_info("socket"))

    def drop(self) -> None:
        self.exchange = None
        self.discard()

    @abstractmethod
    def discard(self) -> None:
        """Close it at once. Nobody has it from now on."""

    @abstractmethod
    def read_large(self) -> None:
        """Read as much as the event loop does at once."""

    def hand_over(self) -> Transport:
        self.exchange = None
        self._memory.forget(self)
        self.untaken.note_taken()
        return self.transport

    def _write(self, data: bytes) -> None:
        size = len(data)
        self._counters.count_sent(size)
        self.untaken.note_write(size)
        self.transport.write(data)

    def _writelines(self, pieces: Sequence[bytes], size: int) -> None:
        """Write pieces that have this size together."""
        self._counters.count_sent(size)
        self.untaken.note_write(size)
        self.transport.writelines(pieces)


def _chunks(pieces: Sequence[bytes], trailers: Sequence[Field], *, done: bool) -> tuple[list[bytes], int]:
    """Return the pieces as one chunk, with the end of the body behind them if they are `done`, and their size."""
    encoded = encode_chunk(pieces)
    if done:
        encoded.append(encode_last_chunk(trailers))
    return encoded, sum(map(len, encoded))

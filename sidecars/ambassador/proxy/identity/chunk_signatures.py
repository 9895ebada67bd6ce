"""A body that streams to S3 in chunks, each with a signature that builds on the one before it.

    head, signed with STREAMING-AWS4-HMAC-SHA256-PAYLOAD
    10000;chunk-signature=…        65,536 bytes of the body
    …
    2f3;chunk-signature=…          the rest of it
    0;chunk-signature=…            the end

The length of all that is sent follows from that of the body, so it is announced. Each attempt is encoded anew: its head
has a signature of its own. At most one chunk waits here for its end.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy.identity.request_signature import EMPTY_BODY, Seed
from sidecars.ambassador.transport.streams import Transport
from sidecars.ambassador.upstream.upstream_side import ResponseReceiver, UpstreamSide

CHUNK: Final = 64 * 1024  # bytes of the body; AWS asks for 8 KiB at least
_SIGNATURE: Final = 64  # hexadecimal digits
_FRAME: Final = len(b";chunk-signature=") + _SIGNATURE + 4  # with two CR LF, without the length in hexadecimal


def encoded_length(length: int) -> int:
    """Return the bytes of a body of `length` bytes in signed chunks."""
    whole, rest = divmod(length, CHUNK)
    size = whole * (len(b"%x" % CHUNK) + _FRAME + CHUNK)
    if rest:
        size += len(b"%x" % rest) + _FRAME + rest
    return size + 1 + _FRAME


class ChunkSigner:
    """The chain of signatures of one body."""

    def __init__(self, seed: Seed, chunk: int = CHUNK) -> None:
        self._seed = seed
        self._previous = seed.signature
        self._chunk = chunk
        self._kept: list[bytes] = []
        self._size: int = 0

    def encode(self, pieces: Sequence[bytes], *, done: bool) -> list[bytes]:
        """Return the bytes to send after these pieces of the body; with its end if they are the last."""
        found: list[bytes] = []
        for piece in pieces:
            self._kept.append(piece)
            self._size += len(piece)
        if self._size >= self._chunk or (done and self._size):
            data = b"".join(self._kept)
            at = 0
            while len(data) - at >= self._chunk:
                found += self._framed(data[at : at + self._chunk])
                at += self._chunk
            rest = data[at:]
            if done and rest:
                found += self._framed(rest)
                rest = b""
            self._kept = [rest] if rest else []
            self._size = len(rest)
        if done:
            found += self._framed(b"")
        return found

    def _framed(self, data: bytes) -> list[bytes]:
        seed = self._seed
        text = b"AWS4-HMAC-SHA256-PAYLOAD\n%b\n%b\n%b\n%b\n%b" % (
            seed.date,
            seed.scope,
            self._previous,
            EMPTY_BODY,
            hashlib.sha256(data).hexdigest().encode(),
        )
        self._previous = hmac.digest(seed.key, text, "sha256").hex().encode()
        head = b"%x;chunk-signature=%b\r\n" % (len(data), self._previous)
        return [head, data, b"\r\n"] if data else [head + b"\r\n"]


class ChunkSigningSide(UpstreamSide):
    """The upstream side of an attempt whose body is sent in signed chunks, around the one that sends them."""

    __slots__ = ("_inner", "_signer")

    def __init__(self, inner: UpstreamSide, seed: Seed) -> None:
        super().__init__(inner.endpoint)
        self.tells_unprocessed = inner.tells_unprocessed
        self.has_served = inner.has_served
        self._inner = inner
        self._signer = ChunkSigner(seed)

    def begin(  # noqa: PLR0913 - what one write carries
        self,
        exchange: ResponseReceiver,
        authority: bytes,
        credentials: bytes,
        pieces: Sequence[bytes],
        size: int,  # noqa: ARG002 - of the plain pieces
        trailers: Sequence[Field],  # noqa: ARG002 - a body with a length has none
        *,
        done: bool,
    ) -> None:
        sent = self._signer.encode(pieces, done=done)
        self._inner.begin(exchange, authority, credentials, sent, sum(map(len, sent)), (), done=done)

    def send(self, pieces: Sequence[bytes], _size: int, _trailers: Sequence[Field], *, done: bool) -> None:
        sent = self._signer.encode(pieces, done=done)
        if sent:
            self._inner.send(sent, sum(map(len, sent)), (), done=done)

    def taken(self) -> int:
        return self._inner.taken()

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def read_small(self) -> None:
        self._inner.read_small()

    def drop(self) -> None:
        self._inner.drop()

    def hand_over(self) -> Transport:
        return self._inner.hand_over()

"""Where a body ends, and how it is written on: Content-Length, chunked, until close (RFC 9112). No I/O.

A reader is fed the bytes that arrive and gives back the pieces of body in them; what comes after the body's end is in
`surplus`. Received chunk frames are never passed on: they are checked, taken off, and the pieces of one arrival become
one chunk of ours. Chunk extensions are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http.fields import FieldSyntaxError, parse_trailer
from sidecars.ambassador.http.head_rules import CHUNKED, MessageRejected

# RFC 9112 section 7.1.1. Blanks may stand before an extension (BWS), and old servers pad their sizes with them or with
# zeros. The text of an extension is dropped.
_SIZE_LINE: Final = re.compile(rb"0*([0-9A-Fa-f]{1,15})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?").fullmatch
_MAX_SIZE_LINE: Final = 512  # bytes
_MAX_EXTENSIONS: Final = 16 * 1024  # bytes of extensions in one body
_MAX_TRAILERS: Final = 16 * 1024  # bytes

_SIZE: Final = 0  # what comes next: the size of a chunk
_DATA: Final = 1
_END_OF_DATA: Final = 2
_TRAILERS: Final = 3
LAST_CHUNK: Final = b"0\r\n\r\n"


class ContentLengthReader:
    """A body of known length."""

    __slots__ = ("done", "left", "surplus", "trailers")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = not length
        self.surplus = b""
        self.trailers: Sequence[bytes] = ()

    def feed(self, data: bytes) -> Sequence[bytes]:
        count = len(data)
        if count < self.left:
            self.left -= count
            return (data,)
        piece, self.surplus = (data, b"") if count == self.left else (data[: self.left], data[self.left :])
        self.left = 0
        self.done = True
        return (piece,)


class UntilCloseReader:
    """A body that ends with its connection."""

    __slots__ = ("done", "surplus", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.surplus = b""
        self.trailers: Sequence[bytes] = ()

    def feed(self, data: bytes) -> Sequence[bytes]:
        return (data,)


class ChunkedReader:
    """A chunked body. `feed` raises Refused with the status that it was given."""

    __slots__ = ("_extensions", "_kept", "_left", "_state", "_status", "_trailer_bytes", "done", "surplus", "trailers")

    def __init__(self, status: int) -> None:
        self.done = False
        self.surplus = b""
        self.trailers: list[bytes] = []
        self._status = status
        self._state = _SIZE
        self._left = 0
        self._kept = b""  # the beginning of a line (or of the CR LF after data) whose end has not come
        self._extensions = 0
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> Sequence[bytes]:  # noqa: C901 - four states, one loop
        pieces: list[bytes] = []
        if self._kept:
            data, self._kept = self._kept + data, b""
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _END_OF_DATA
            elif self._state == _END_OF_DATA:
                two = data[at : at + 2]
                if two == b"\r\n":
                    at += 2
                    self._state = _SIZE
                elif two == b"\r":
                    break
                else:
                    raise MessageRejected(self._status, "a chunk is not as long as it says")
            else:
                stop = data.find(b"\r\n", at)
                if stop < 0:
                    break
                self._line(data[at:stop])
                at = stop + 2
        if self.done:
            self.surplus = data[at:]
        elif at < end:
            self._keep(data[at:])
        return pieces

    def _line(self, line: bytes) -> None:
        if self._state == _TRAILERS:
            self._trailer(line)
            return
        found = _SIZE_LINE(line) if len(line) <= _MAX_SIZE_LINE else None
        if found is None:
            raise MessageRejected(self._status, "a chunk's size is not a hexadecimal number")
        self._extensions += len(line) - len(found[1])
        if self._extensions > _MAX_EXTENSIONS:
            raise MessageRejected(self._status, "the chunks have too many extensions")
        self._left = int(found[1], 16)
        self._state = _DATA if self._left else _TRAILERS

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _MAX_TRAILERS:
            raise MessageRejected(self._status, "the trailers are too large")
        try:
            ours = parse_trailer(line)
        except FieldSyntaxError as error:
            raise MessageRejected(self._status, f"malformed trailers: {error}") from None
        if ours:
            self.trailers.append(ours)

    def _keep(self, beginning: bytes) -> None:
        limit = _MAX_TRAILERS if self._state == _TRAILERS else _MAX_SIZE_LINE
        if len(beginning) > limit + 1 or b"\n" in beginning:
            raise MessageRejected(self._status, "a line within a chunked body is too long or does not end in CR LF")
        self._kept = beginning


BodyReader = ContentLengthReader | ChunkedReader | UntilCloseReader


def body_reader(length: int, status: int) -> BodyReader:
    """The reader for a body of that length (or CHUNKED, UNTIL_CLOSE); it refuses with that status."""
    if length >= 0:
        return ContentLengthReader(length)
    return ChunkedReader(status) if length == CHUNKED else UntilCloseReader()


def encode_chunk(pieces: Sequence[bytes]) -> list[bytes]:
    """The pieces as one chunk; nothing for nothing, since an empty chunk would end the body."""
    size = sum(map(len, pieces))
    return [b"%x\r\n" % size, *pieces, b"\r\n"] if size else []


def encode_last_chunk(trailers: Sequence[bytes]) -> bytes:
    """What ends a chunked body."""
    return b"0\r\n%b\r\n" % b"".join(trailers) if trailers else LAST_CHUNK

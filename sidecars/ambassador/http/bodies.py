"""Find the end of a body, and write bodies: Content-Length, chunked, until close (RFC 9112 sections 6 and 7). No I/O.

A reader is fed the bytes that arrive and returns the pieces of body in them. The bytes after the body's end are in
`surplus`. Received chunk frames are never forwarded: they are checked and removed, and the pieces of one arrival
become one chunk of ours. Chunk extensions are dropped.

One call reads a bounded number of chunks, however small they are. If `unread` is true after it, the caller serves its
other connections first, and then calls `feed(b"")` for the next ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http.fields import FieldSyntaxError, parse_trailer
from sidecars.ambassador.http.head_rules import CHUNKED, MAX_HEADERS, MessageRejected
from sidecars.ambassador.http.hpack_lines import trailer_of
from sidecars.ambassador.http2.fields import Field

# RFC 9112 section 7.1.1. Blanks may stand before an extension (BWS), and old servers pad their sizes with them or with
# zeros.
_SIZE_LINE: Final = re.compile(rb"0*([0-9A-Fa-f]{1,15})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?").fullmatch
_MAX_SIZE_LINE: Final = 512  # bytes
_MAX_EXTENSIONS: Final = 16 * 1024  # bytes of extensions in one body
_MAX_TRAILERS: Final = 16 * 1024  # bytes
_MOST_LINES: Final = 1024  # sizes of chunks and trailers that one call reads: about 1 ms compiled, 2.5 ms plain
_SIZE_OF_OBJECT: Final = 64  # bytes of an object around a trailer
_MOST_PIECES: Final = 16  # pieces of one call; more are joined, since each has an object of 33 bytes around it

# The states of a ChunkedReader, by the element that comes next, and their transitions:
#   _SIZE ──size > 0──▶ _DATA ──all of it──▶ _END_OF_DATA ──CR LF──▶ _SIZE
#   _SIZE ──size 0──▶ _TRAILERS ──empty line──▶ done
_SIZE: Final = 0
_DATA: Final = 1
_END_OF_DATA: Final = 2
_TRAILERS: Final = 3
LAST_CHUNK: Final = b"0\r\n\r\n"


class ContentLengthReader:
    """Reads a body of known length."""

    __slots__ = ("done", "remaining", "surplus", "trailers", "unread")

    def __init__(self, length: int) -> None:
        self.unread = False
        self.remaining = length
        self.done = not length
        self.surplus = b""
        self.trailers: Sequence[Field] = ()

    def kept(self) -> int:
        """Return the bytes that the reader keeps."""
        return 0

    def feed(self, data: bytes) -> Sequence[bytes]:
        count = len(data)
        if count < self.remaining:
            self.remaining -= count
            return (data,)
        piece, self.surplus = (
            (data, b"") if count == self.remaining else (data[: self.remaining], data[self.remaining :])
        )
        self.remaining = 0
        self.done = True
        return (piece,)


class UntilCloseReader:
    """Reads a body that ends with its connection."""

    __slots__ = ("done", "surplus", "trailers", "unread")

    def __init__(self) -> None:
        self.unread = False
        self.done = False
        self.surplus = b""
        self.trailers: Sequence[Field] = ()

    def kept(self) -> int:
        """Return the bytes that the reader keeps."""
        return 0

    def feed(self, data: bytes) -> Sequence[bytes]:
        return (data,)


class ChunkedReader:
    """Reads a chunked body. `feed` raises MessageRejected with the `status` of the constructor.

    `unread` is True if the last call has left bytes for a further call.
    """

    __slots__ = (
        "_at",
        "_extensions",
        "_later",
        "_lines",
        "_remaining",
        "_state",
        "_status",
        "_trailer_bytes",
        "_unfinished",
        "done",
        "surplus",
        "trailers",
        "unread",
    )

    def __init__(self, status: int) -> None:
        self.done = False
        self.surplus = b""
        self.trailers: Sequence[Field] = ()  # once it is done
        self._lines: list[bytes] = []  # the trailers so far
        self._status = status
        self._state = _SIZE
        self._remaining = 0
        self._unfinished = bytearray()  # the beginning of a line, or of the CR LF after data, whose end has not come
        self._extensions = 0
        self._trailer_bytes = 0
        self.unread = False
        self._later = b""  # from `_at` on it is unread
        self._at = 0

    def kept(self) -> int:
        """Return the bytes that the reader keeps: of chunks that it has not read, of a line, and of trailers."""
        own_size = len(self._later) + len(self._unfinished) + self._trailer_bytes
        return own_size + _SIZE_OF_OBJECT * len(self._lines)

    def feed(self, data: bytes) -> Sequence[bytes]:  # noqa: C901, PLR0912 - four states, one loop
        pieces: list[bytes] = []
        at = 0
        if self.unread:
            data, at = self._later + data if data else self._later, self._at
            self.unread, self._later = False, b""
        elif self._unfinished:
            if self._state != _END_OF_DATA and b"\n" not in data:
                self._keep(data)
                return pieces
            data = bytes(self._unfinished) + data
            self._unfinished.clear()
        lines, end = 0, len(data)
        while at < end and not self.done:
            if self._state == _DATA:
                piece = data[at : at + self._remaining]
                pieces.append(piece)
                at += len(piece)
                self._remaining -= len(piece)
                if not self._remaining:
                    self._state = _END_OF_DATA
            elif self._state == _END_OF_DATA:
                two = data[at : at + 2]
                if two == b"\r\n":
                    at += 2
                    self._state = _SIZE
                elif two == b"\r":
                    break
                else:
                    raise MessageRejected(self._status, "a chunk's data is not as long as its size announces")
            elif lines == _MOST_LINES:
                self.unread, self._later, self._at = True, data, at
                break
            else:
                stop = data.find(b"\r\n", at)
                if stop < 0:
                    break
                lines += 1
                self._line(data[at:stop])
                at = stop + 2
        if self.done:
            self.surplus = data[at:]
        elif at < end and not self.unread:
            self._keep(data[at:])
        return pieces if len(pieces) <= _MOST_PIECES else [b"".join(pieces)]

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
        self._remaining = int(found[1], 16)
        self._state = _DATA if self._remaining else _TRAILERS

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            if self._lines:
                self.trailers, self._lines = [trailer_of(line) for line in self._lines], []
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _MAX_TRAILERS or len(self._lines) >= MAX_HEADERS:
            raise MessageRejected(self._status, "the trailers are too large")
        try:
            ours = parse_trailer(line)
        except FieldSyntaxError as error:
            raise MessageRejected(self._status, f"malformed trailers: {error}") from None
        if ours:
            self._lines.append(ours)

    def _keep(self, more: bytes) -> None:
        """Keep the beginning of a line, or more of it, without a copy of the earlier bytes, which may be many."""
        limit = _MAX_TRAILERS if self._state == _TRAILERS else _MAX_SIZE_LINE
        if len(self._unfinished) + len(more) > limit + 1 or b"\n" in more:
            raise MessageRejected(self._status, "a line within a chunked body is too long or does not end in CR LF")
        self._unfinished += more


BodyReader = ContentLengthReader | ChunkedReader | UntilCloseReader


def body_reader(length: int, status: int) -> BodyReader:
    """Return the reader for a body of `length` bytes, or CHUNKED, or UNTIL_CLOSE. It rejects bodies with `status`."""
    if length >= 0:
        return ContentLengthReader(length)
    return ChunkedReader(status) if length == CHUNKED else UntilCloseReader()


def encode_chunk(pieces: Sequence[bytes]) -> list[bytes]:
    """Return the pieces as one chunk; an empty list for no bytes, because an empty chunk would end the body."""
    size = sum(map(len, pieces))
    return [b"%x\r\n" % size, *pieces, b"\r\n"] if size else []


def encode_last_chunk(trailers: Sequence[Field]) -> bytes:
    """Return the last chunk and the trailers, which end a chunked body."""
    return b"0\r\n%b\r\n" % b"".join([field.line() for field in trailers]) if trailers else LAST_CHUNK

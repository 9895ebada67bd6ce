"""Frames: cut those of a peer from its bytes, and write ours (RFC 9113 sections 4 and 6). No I/O.

A frame is cut when it is whole. Since no more than 16 KiB may be in one, at most 16 KiB + 9 bytes wait here.
"""

from __future__ import annotations

import struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # section 3.4: what a client sends first

# The types of frames, section 6.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

# Flags, section 6.
ACK: Final = 0x1  # of SETTINGS and PING
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

# Error codes, section 7.
NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
SETTINGS_TIMEOUT: Final = 0x4
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
CONNECT_ERROR: Final = 0xA
ENHANCE_YOUR_CALM: Final = 0xB
INADEQUATE_SECURITY: Final = 0xC
HTTP_1_1_REQUIRED: Final = 0xD
ERROR_NAMES: Final = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)  # by their codes

MAX_FRAME_SIZE: Final = 16_384  # bytes of a payload, in both directions: the least that the RFC allows to announce
MAX_WINDOW: Final = 2**31 - 1  # section 6.9.1; also the largest id of a stream
FIRST_WINDOW: Final = 65_535  # bytes, of a stream and of a connection, before anything is announced
_HEAD: Final = 9  # bytes before each payload

_pack_32: Final = struct.Struct(">L").pack


class ProtocolError(Exception):
    """The peer has broken the framing: the connection ends with this error code, and a sentence for people."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameCutter:
    """Cuts the bytes of a connection into frames. The connection owns it.

    After `next` has returned True these describe one frame: `kind`, `flags`, `stream_id` (without the reserved bit),
    `length` of the payload in bytes, and `payload()`.
    """

    __slots__ = ("_at", "_data", "_partial", "flags", "kind", "length", "start", "stream_id")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0  # where the next frame begins
        self._partial = bytearray()  # the beginning of a frame, if the rest has not come
        self.kind: int = 0
        self.flags: int = 0
        self.stream_id: int = 0
        self.length: int = 0
        self.start = 0  # where the payload begins in the bytes of this read

    def kept(self) -> int:
        """Return the bytes that are kept of a frame whose end has not come."""
        return len(self._partial) + len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """Take the bytes of one read, after `next` has returned False. Raises ProtocolError."""
        partial = self._partial
        if not partial:
            self._data = data
            self._at = 0
            return
        partial += data
        # The bytes are joined once for each frame, however many reads bring it.
        if len(partial) < _HEAD or len(partial) < _HEAD + (partial[0] << 16 | partial[1] << 8 | partial[2]):
            if len(partial) >= _HEAD:
                self._check_length(partial[0] << 16 | partial[1] << 8 | partial[2])
            return
        self._data = bytes(partial)
        self._at = 0
        partial.clear()

    def next(self) -> bool:
        """Cut the next frame; return False if it is not whole yet. Raises ProtocolError for one that is too long."""
        data = self._data
        at = self._at
        left = len(data) - at
        if left >= _HEAD:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if length > MAX_FRAME_SIZE:
                self._check_length(length)
            if left >= _HEAD + length:
                self.length = length
                self.kind = data[at + 3]
                self.flags = data[at + 4]
                self.stream_id = (data[at + 5] & 0x7F) << 24 | data[at + 6] << 16 | data[at + 7] << 8 | data[at + 8]
                self.start = at + _HEAD
                self._at = at + _HEAD + length
                return True
        if left:
            self._partial += data[at:]
        self._data = b""
        self._at = 0
        return False

    def payload(self) -> bytes:
        """Return the payload of the frame that was cut last."""
        return self._data[self.start : self._at]

    def number(self, length: int) -> int:
        """Return the payload as a number; it must have this length. Raises ProtocolError."""
        if self.length != length:
            raise ProtocolError(FRAME_SIZE_ERROR, "a frame of a fixed size has another one")
        return int.from_bytes(self.payload(), "big")

    def check_of_connection(self) -> None:
        """Check that the frame names no stream. Raises ProtocolError."""
        if self.stream_id:
            raise ProtocolError(PROTOCOL_ERROR, "a frame of the connection names a stream")

    def _check_length(self, length: int) -> None:
        if length > MAX_FRAME_SIZE:
            raise ProtocolError(FRAME_SIZE_ERROR, f"a frame of {length} bytes is larger than {MAX_FRAME_SIZE}")


def strip(payload: bytes, flags: int) -> bytes:
    """Return a payload without its padding, and without the priority of HEADERS. Raises ProtocolError."""
    start = end = 0
    if flags & PADDED:
        if not payload:
            raise ProtocolError(PROTOCOL_ERROR, "the length of a frame's padding is missing")
        start, end = 1, payload[0]
    if flags & WITH_PRIORITY:
        start += 5
    if start + end > len(payload):
        raise ProtocolError(PROTOCOL_ERROR, "a frame's padding is longer than the frame")
    return payload[start : len(payload) - end]


def frame_head(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return the nine bytes in front of a payload."""
    return (length << 16 | kind << 8 | flags).to_bytes(5, "big") + stream_id.to_bytes(4, "big")


def settings_frame(settings: list[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame with these identifiers and values (section 6.5)."""
    payload = b"".join([struct.pack(">HL", identifier, value) for identifier, value in settings])
    return frame_head(len(payload), SETTINGS, 0, 0) + payload


def window_update_frame(stream_id: int, increment: int) -> bytes:
    return frame_head(4, WINDOW_UPDATE, 0, stream_id) + _pack_32(increment)


def rst_stream_frame(stream_id: int, code: int) -> bytes:
    return frame_head(4, RST_STREAM, 0, stream_id) + _pack_32(code)


def ping_frame(payload: bytes, *, ack: bool) -> bytes:
    """Return a PING with these eight bytes."""
    return frame_head(8, PING, ACK if ack else 0, 0) + payload


def goaway_frame(last_stream_id: int, code: int, reason: str) -> bytes:
    """Return a GOAWAY whose debug data is the reason."""
    payload = _pack_32(last_stream_id) + _pack_32(code) + reason.encode("ascii", "replace")
    return frame_head(len(payload), GOAWAY, 0, 0) + payload


def head_frames(stream_id: int, block: bytes, *, end: bool) -> bytes:
    """Return HEADERS, and CONTINUATION as far as it needs them, with a block of fields."""
    flags = END_STREAM if end else 0
    if len(block) <= MAX_FRAME_SIZE:
        return frame_head(len(block), HEADERS, flags | END_HEADERS, stream_id) + block
    pieces = [frame_head(MAX_FRAME_SIZE, HEADERS, flags, stream_id), block[:MAX_FRAME_SIZE]]
    at = MAX_FRAME_SIZE
    while at < len(block):
        piece = block[at : at + MAX_FRAME_SIZE]
        at += len(piece)
        pieces += (frame_head(len(piece), CONTINUATION, END_HEADERS if at >= len(block) else 0, stream_id), piece)
    return b"".join(pieces)

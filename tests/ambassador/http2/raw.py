"""HTTP/2 by hand: frames as bytes, heads as literals, and a connection that tests read frame by frame.

Nothing here checks what it writes: tests send what no library would. Heads are written without HPACK's tables and
without Huffman; what the other side sent is decoded by `hpack`, which is not ours.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from hpack import Decoder

PATIENCE: Final = 120.0  # seconds, as in tests.support: a replica's process does not import it
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)
WINDOW: Final = 65_535  # bytes, before any SETTINGS

Fields = Sequence[tuple[bytes, bytes]]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def integer(value: int, prefix: int, first: int = 0) -> bytes:
    """Return an integer of HPACK (RFC 7541 section 5.1) with a prefix of that many bits, behind the bits of `first`."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes((first | value,))
    out, value = bytearray((first | most,)), value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def text(value: bytes) -> bytes:
    return integer(len(value), 7) + value


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a header block of literals without indexing (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


def headers(stream: int, fields: Fields | bytes, flags: int = END_HEADERS | END_STREAM) -> bytes:
    return frame(HEADERS, flags, stream, fields if isinstance(fields, bytes) else block(fields))


def data(stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return frame(DATA, flags, stream, payload)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream: int, more: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", more))


def rst_stream(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last: int, code: int = NO_ERROR, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def ping(payload: bytes = b"12345678", flags: int = 0) -> bytes:
    return frame(PING, flags, 0, payload)


def message(payload: bytes, *, compressed: bool = False) -> bytes:
    """Return a message of gRPC: a flag, a length and its bytes."""
    return struct.pack(">BI", compressed, len(payload)) + payload


def messages(received: bytes) -> list[bytes]:
    """Return the messages of gRPC in these bytes, which must be whole."""
    found = []
    while received:
        length = int.from_bytes(received[1:5], "big")
        assert len(received) >= 5 + length, "the last message is not whole"
        found.append(received[5 : 5 + length])
        received = received[5 + length :]
    return found


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends(self) -> bool:
        """True if it ends its stream."""
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    @property
    def code(self) -> int:
        """The error code of RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[-4:] if self.kind == RST_STREAM else self.payload[4:8], "big")

    @property
    def last(self) -> int:
        """The last stream that a GOAWAY names."""
        return int.from_bytes(self.payload[:4], "big")


@dataclass
class Message:
    """What came on a stream until its end: `code` is that of its RST_STREAM, or None if it ended by END_STREAM."""

    heads: list[list[tuple[bytes, bytes]]]
    body: bytes
    code: int | None

    def field(self, name: bytes) -> bytes | None:
        """Return the last field of that name, trailers included."""
        return next((value for head in reversed(self.heads) for key, value in head if key == name), None)

    @property
    def status(self) -> int:
        """The final status."""
        return int(self.field(b":status") or 0)

    @property
    def grpc_status(self) -> int | None:
        found = self.field(b"grpc-status")
        return None if found is None else int(found)


class Connection:
    """A connection of which a test writes the bytes and reads the frames.

    With `answers` it acknowledges SETTINGS and PING.
    """

    def __init__(self, own: socket.socket, *, answers: bool = True) -> None:
        self.socket = own
        self.answers = answers
        self.decoder = Decoder(max_header_list_size=1 << 24)
        self.decoder.max_allowed_table_size = 1 << 20
        self.buffer = b""
        self._passed: list[Frame] = []  # that `until` has passed over, for `message`
        self.goaways: list[Frame] = []
        self.is_over = False  # True if the other side has ended or reset the connection
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own.settimeout(PATIENCE)

    # -- the two roles --------------------------------------------------------------------------------------------

    @classmethod
    def to(cls, port: int, *pairs: tuple[int, int], answers: bool = True) -> Self:
        """Connect as a client, and send the preface and SETTINGS."""
        made = cls(socket.create_connection(("127.0.0.1", port), PATIENCE), answers=answers)
        made.send(PREFACE + settings(*pairs))
        return made

    def accept_preface(self, *pairs: tuple[int, int]) -> bool:
        """Send SETTINGS as a server, and read the client's preface; return False if the client has left instead."""
        self.send(settings(*pairs))
        while len(self.buffer) < len(PREFACE) and self._more():
            pass
        if not self.buffer.startswith(PREFACE):
            return False
        self.buffer = self.buffer[len(PREFACE) :]
        return True

    # -- bytes and frames -----------------------------------------------------------------------------------------

    def send(self, *frames: bytes) -> None:
        try:
            self.socket.sendall(b"".join(frames))
        except OSError:
            self.is_over = True

    def _more(self) -> bool:
        try:
            got = self.socket.recv(256 * 1024)
        except (ConnectionError, BrokenPipeError):
            got = b""
        self.buffer += got
        self.is_over = self.is_over or not got
        return bool(got)

    def frame(self) -> Frame | None:
        """Return the next frame, or None if the other side has ended the connection. Raises TimeoutError."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            if not self._more():
                return None
        end = 9 + int.from_bytes(self.buffer[:3], "big")
        head, payload, self.buffer = self.buffer[:9], self.buffer[9:end], self.buffer[end:]
        got = Frame(head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload)
        if got.kind == GOAWAY:
            self.goaways.append(got)
        if self.answers and got.kind == SETTINGS and not got.flags & ACK:
            self.send(frame(SETTINGS, ACK))
        if self.answers and got.kind == PING and not got.flags & ACK:
            self.send(ping(got.payload, ACK))
        return got

    def until(self, *kinds: int, stream: int | None = None) -> Frame | None:
        """Return the next frame of one of these kinds (on that stream), or None at the end. SETTINGS: only with ACK."""
        while (got := self.frame()) is not None:
            is_new = got.kind == SETTINGS and not got.flags & ACK
            if got.kind in kinds and not is_new and (stream is None or got.stream == stream):
                return got
            self._passed.append(got)
        return None

    def round_trip(self) -> bool:
        """Return True once the other side has answered a PING, so has read all that was sent; False if it has ended."""
        mark = struct.pack(">Q", time.monotonic_ns())
        self.send(ping(mark))
        while (got := self.until(PING)) is not None:
            if got.flags & ACK and got.payload == mark:
                return True
        return False

    def head(self, first: Frame) -> list[tuple[bytes, bytes]]:
        """Return the fields of the block that begins in this HEADERS frame; its CONTINUATIONs are read."""
        payload = first.payload
        if first.flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if first.flags & PRIORITIZED:
            payload = payload[5:]
        flags = first.flags
        while not flags & END_HEADERS:
            more = self.frame()
            assert more is not None, "the connection ended within a header block"
            assert more.kind == CONTINUATION, "something came within a header block"
            payload, flags = payload + more.payload, more.flags
        return [(bytes(name), bytes(value)) for name, value in self.decoder.decode(payload, raw=True)]

    def message(self, stream: int, *, credit: bool = True) -> Message | None:
        """Read until that stream ends, and return what came on it; None if the connection ended before."""
        found = Message([], b"", None)
        while (got := self._passed.pop(0) if self._passed else self.frame()) is not None:
            head = self.head(got) if got.kind == HEADERS else None
            if got.stream != stream:
                continue
            if head is not None:
                found.heads.append(head)
            elif got.kind == DATA:
                padding = got.payload[0] + 1 if got.flags & PADDED else 0
                found.body += got.payload[1 : len(got.payload) - padding + 1] if padding else got.payload
                if credit and got.payload:
                    self.send(window_update(0, len(got.payload)), window_update(stream, len(got.payload)))
            elif got.kind == RST_STREAM:
                found.code = got.code
                return found
            if got.ends:
                return found
        return None

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(path: bytes = b"/", method: bytes = b"GET", *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"a"), *more]


def call(path: bytes, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return the head of a gRPC call."""
    return request(path, b"POST", (b"te", b"trailers"), (b"content-type", b"application/grpc"), *more)

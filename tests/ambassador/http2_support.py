"""What the tests of `sidecars.ambassador.http2` share: a handler that records its calls, and hand-built frames."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from sidecars.ambassador.http2 import frames
from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.frames import FrameCutter, frame_head
from sidecars.ambassador.http2.handler import DelegatingHandler
from sidecars.ambassador.http2.heads import RequestHead, ResponseHead
from sidecars.ambassador.http2.streams import Stream

Pairs = Sequence[tuple[bytes, bytes]]

GET: Pairs = ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"orders"))
POST: Pairs = ((b":method", b"POST"), *GET[1:])
OK: Pairs = ((b":status", b"200"),)


@dataclass
class Message:
    """All that was reported of one stream, in one piece."""

    head: RequestHead | ResponseHead | None = None
    body: bytes = b""
    ended: bool = False
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interims: list[int] = field(default_factory=list)
    reset: int | None = None
    unprocessed: bool = False
    malformed: str = ""
    status: int = 0  # of a rejection
    content_type: bytes = b""  # of a rejection
    writable: int = 0
    calls: int = 0


class Recorder:
    """A handler that records what is reported: a Message for each stream, and the events of the connection."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.streams: dict[int, Stream] = {}
        self.broken: tuple[int, str] | None = None
        self.goaways: list[tuple[int, int]] = []
        self.settings = 0
        self.pongs: list[bytes] = []
        self.outputs = 0

    def of(self, stream: Stream) -> Message:
        self.streams[stream.id] = stream
        message = self.messages.setdefault(stream.id, Message())
        message.calls += 1
        return message

    def on_request(
        self, stream: Stream, head: RequestHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        assert stream.id not in self.messages
        self.of(stream).head = head
        self._body(stream, pieces, end=end, trailers=trailers)

    def on_rejected(self, stream: Stream, status: int, reason: str, content_type: bytes) -> None:
        message = self.of(stream)
        message.malformed, message.status, message.content_type = reason, status, content_type

    def on_interim(self, stream: Stream, head: ResponseHead) -> None:
        self.of(stream).interims.append(head.status)

    def on_response(
        self, stream: Stream, head: ResponseHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        message = self.of(stream)
        assert message.head is None
        message.head = head
        self._body(stream, pieces, end=end, trailers=trailers)

    def on_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:
        self._body(stream, pieces, end=end, trailers=trailers)

    def _body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:
        message = self.of(stream)
        assert not message.ended
        assert not message.malformed
        assert message.reset is None
        message.body += b"".join(pieces)
        message.ended = end
        assert end or not trailers
        message.trailers = [(each.name, each.value) for each in trailers]

    def on_settings(self) -> None:
        self.settings += 1

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        self.goaways.append((last_stream_id, code))

    def on_reset(self, stream: Stream, code: int, *, is_unprocessed: bool) -> None:
        message = self.of(stream)
        assert message.reset is None
        message.reset, message.unprocessed = code, is_unprocessed

    def on_malformed(self, stream: Stream, status: int, reason: str) -> None:
        message = self.of(stream)
        message.malformed, message.status = reason, status

    def on_writable(self, stream: Stream) -> None:
        self.of(stream).writable += 1

    def on_ping_ack(self, payload: bytes) -> None:
        self.pongs.append(payload)

    def on_output(self) -> None:
        self.outputs += 1

    def write_output(self) -> None:
        """Do nothing: the tests take the output themselves."""

    def on_broken(self, code: int, reason: str) -> None:
        assert self.broken is None
        self.broken = (code, reason)


def server(
    *, greeted: bool = True, max_header_size: int = 16384, max_headers: int = 128
) -> tuple[Connection, Recorder]:
    """Return a connection in the server role. If `greeted`, the client's preface has come and ours is written."""
    recorder = Recorder()
    connection = Connection(
        DelegatingHandler(recorder), is_client=False, max_header_size=max_header_size, max_headers=max_headers
    )
    connection.begin()
    if greeted:
        connection.receive(frames.PREFACE + frame_head(0, frames.SETTINGS, 0, 0))
        connection.output()
    return connection, recorder


def client(
    *, greeted: bool = True, max_header_size: int = 16384, max_headers: int = 128
) -> tuple[Connection, Recorder]:
    """Return a connection in the client role. If `greeted`, the server's SETTINGS have come and ours are written."""
    recorder = Recorder()
    connection = Connection(
        DelegatingHandler(recorder), is_client=True, max_header_size=max_header_size, max_headers=max_headers
    )
    connection.begin()
    if greeted:
        connection.receive(frame_head(0, frames.SETTINGS, 0, 0))
        connection.output()
    return connection, recorder


def block(pairs: Pairs) -> bytes:
    return b"".join(encode_field(name, value) for name, value in pairs)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return frame_head(len(payload), kind, flags, stream_id) + payload


def headers(stream_id: int, pairs: Pairs, *, end: bool = True, flags: int = frames.END_HEADERS) -> bytes:
    return frame(frames.HEADERS, flags | (frames.END_STREAM if end else 0), stream_id, block(pairs))


def data(stream_id: int, payload: bytes, *, end: bool = False) -> bytes:
    return frame(frames.DATA, frames.END_STREAM if end else 0, stream_id, payload)


def number(kind: int, stream_id: int, value: int) -> bytes:
    """Return a WINDOW_UPDATE or RST_STREAM."""
    return frame(kind, 0, stream_id, struct.pack(">L", value))


def settings(*pairs: tuple[int, int]) -> bytes:
    return frames.settings_frame(list(pairs))


def open_stream(connection: Connection, pairs: Pairs = GET, *, end: bool = True) -> Stream:
    """Open a stream in the client role."""
    return connection.open_stream(block(pairs), None, end=end, is_head=pairs[0][1] == b"HEAD")


@dataclass
class Frame:
    kind: int
    flags: int
    stream_id: int
    payload: bytes


def written(connection: Connection) -> list[Frame]:
    """Return the frames of the next output; a client's preface is left out."""
    return cut(b"".join(connection.output()))


def cut(output: bytes) -> list[Frame]:
    cutter = FrameCutter()
    cutter.feed(output.removeprefix(frames.PREFACE))
    found = []
    while cutter.next():
        found.append(Frame(cutter.kind, cutter.flags, cutter.stream_id, cutter.payload()))
    assert cutter.kept() == 0
    return found


def codes(found: Sequence[Frame], kind: int) -> list[int]:
    """Return the error codes of the frames of this kind: RST_STREAM or GOAWAY."""
    start = 4 if kind == frames.GOAWAY else 0
    return [int.from_bytes(each.payload[start : start + 4], "big") for each in found if each.kind == kind]

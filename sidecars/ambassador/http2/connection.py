"""One connection in either role: bytes in, calls on a handler, bytes out (RFC 9113). No I/O and no clock.

    shell ── receive(bytes) ──▶ frames are parsed, all of one read ──▶ calls on the handler ──▶ shell
    shell ◀── output() ──────── the frames of the handler since then, joined ◀── send_head, send_body, reset …

Choices that the RFC leaves open:

- A stream's window is 256 KiB. Credit is given back when the handler has taken the bytes, in steps of half a window.
  While the handler pauses a stream, its bytes wait here. `keep_small` lowers the window to 4 KiB by SETTINGS.
- The connection's window is as large as it may be, so that a stream that stands still does not stop the others.
- Errors by which a client could make us reset its streams are errors of the connection (section 5.4.1 allows it).
- Frames for a stream that we have reset are decoded, and ignored.
- A window of a few bytes is served like any other: a frame of ours for a frame of the peer's.
"""

from __future__ import annotations

from typing import Final

from sidecars.ambassador.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    MAX_WINDOW,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    FrameCutter,
    ProtocolError,
    frame_head,
    goaway_frame,
    ping_frame,
    strip,
)
from sidecars.ambassador.http2.handler import ConnectionHandler
from sidecars.ambassador.http2.peer_settings import PeerSettings, our_settings
from sidecars.ambassador.http2.receiving import SMALL_WINDOW, STREAM_WINDOW, ReceivingHalf
from sidecars.ambassador.http2.streams import ENDED_BY_PEER, Stream
from sidecars.ambassador.http2.work_limits import STREAMS_EACH, BlockCollector

_BLANK: Final = b" "[0]  # text begins with a character from here …
_TILDE: Final = b"~"[0]  # … to here: as the length of a frame it would be 2 MiB or more
_LAST_IDS: Final = 2**31 - 2**20  # a connection whose ids have come so far opens no further stream


class Connection(ReceivingHalf):
    """One connection. The I/O shell owns it.

    - `peer`: the peer's settings.
    - `goaway_id`: the last id that the peer's GOAWAY names, -1 without one.
    - `highest_id`: the highest stream that was opened; `written_id`: the highest one that may have been written.
    """

    def __init__(self, handler: ConnectionHandler, *, is_client: bool, max_header_size: int, max_headers: int) -> None:
        """`max_header_size`: bytes of a head's fields with 32 more for each; `max_headers`: their number."""
        super().__init__(handler, is_client=is_client, max_header_size=max_header_size, max_headers=max_headers)
        self.peer: PeerSettings = PeerSettings()
        self.goaway_id: int = -1
        self._max_header_size = max_header_size
        self._cutter: FrameCutter = FrameCutter()
        self._block: BlockCollector = BlockCollector()
        self._preface = b"" if is_client else PREFACE  # the rest of the peer's, which has not come yet
        self._goaway_code: int = -1  # of a GOAWAY that is not reported yet
        self._has_new_settings = False

    def begin(self) -> None:
        """Send our preface (section 3.4): SETTINGS, and a larger window of the connection."""
        if self.is_client:
            self._emit(PREFACE)
        self._send_settings(our_settings(self._max_header_size, STREAM_WINDOW, 0 if self.is_client else STREAMS_EACH))
        self._top_up()

    def receive(self, data: bytes) -> None:
        """Take the bytes of one read, and report their messages and events."""
        if self.is_broken:
            return
        try:
            self._parse(data)
        except ProtocolError as error:
            if (
                self.is_client
            ):  # a stream that has ended in this read is in no table any more, but somebody waits for it
                self._report_streams()
            self.fail(error.code, error.reason)
        else:
            self._report()

    def fail(self, code: int, reason: str) -> None:
        """End the connection with GOAWAY, and report it."""
        if not self.is_broken:
            self._emit(goaway_frame(0 if self.is_client else self.highest_id, code, reason))
            self.is_broken = True
            for stream in (*self.streams.values(), *self._touched):  # some were never reported: nobody else has them
                self.release(stream)
            self._touched = []
            self.handler.on_broken(code, reason)

    @property
    def is_in_block(self) -> bool:
        """True if the connection waits for the rest of the preface (of a server: SETTINGS), or of a block of fields."""
        return bool(self._block.stream_id or self._preface) or (self.is_client and not self.peer.is_known)

    @property
    def kept(self) -> int:
        """The bytes of an unfinished frame or block."""
        return self._cutter.kept() + self._block.kept()

    # -- for the handler ------------------------------------------------------------------------------------------

    def can_open(self) -> bool:
        """Return True if another stream may be opened now (client role)."""
        limit = min(self.peer.max_streams, STREAMS_EACH) if self.peer.is_known else 1
        return self.busy < limit and not self.is_leaving

    @property
    def is_leaving(self) -> bool:
        """True if no stream is opened any more, though those that are open may go on."""
        return self.is_broken or self.goaway_id >= 0 or self.highest_id >= _LAST_IDS

    def open_stream(self, block: bytes, user: object, *, end: bool, is_head: bool) -> Stream:
        """Open a stream with a request's head in our encoding (client role). Only while `can_open` is True.

        `is_head` is True for the method HEAD, whose response has no body.
        """
        stream_id = self.highest_id + 2 if self.highest_id else 1
        self.highest_id = stream_id
        stream = Stream(stream_id, self._first_window, self._new_window)
        stream.user = user
        stream.is_head = is_head
        stream.is_busy = True
        self.busy += 1
        self.streams[stream_id] = stream
        self.work.note_progress()  # the endpoint may send frames for it, also when we have reset it
        self.send_head(stream, block, end=end)
        return stream

    def pause(self, stream: Stream) -> None:
        """Report no more of this stream's body until `resume`; at most a window of it waits here."""
        stream.is_paused = True

    def resume(self, stream: Stream) -> None:
        """Report again; the bytes that have waited are reported within this call."""
        if stream.is_paused:
            stream.is_paused = False
            self._report_stream(stream)

    def keep_small(self, *, small: bool) -> None:
        """Give each stream less credit while memory is short, and let less wait to be sent; or as much as ever."""
        self.keep_queues_small(small=small)
        self._set_window(SMALL_WINDOW if small else STREAM_WINDOW)

    def ping(self, payload: bytes) -> None:
        """Send a PING with these eight bytes."""
        self._emit(ping_frame(payload, ack=False))

    def go_away(self, code: int, reason: str, *, is_final: bool = True) -> None:
        """Send GOAWAY. The first one of a graceful end is not final: it refuses no stream (section 6.8)."""
        last = 0 if self.is_client else MAX_WINDOW
        if is_final and not self.is_client:
            last = self._last_accepted = self.highest_id
        self._emit(goaway_frame(last, code, reason))

    # -- frames ---------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        """Parse all of one read. Raises ProtocolError."""
        if not self.peer.is_known:
            data = self._check_beginning(data)
        cutter, block = self._cutter, self._block
        cutter.feed(data)
        while cutter.next():
            kind = cutter.kind
            if block.stream_id and (kind != CONTINUATION or cutter.stream_id != block.stream_id):
                raise ProtocolError(PROTOCOL_ERROR, "another frame stands within a block of fields")
            if not self.peer.is_known and (kind != SETTINGS or cutter.flags & ACK):
                raise ProtocolError(PROTOCOL_ERROR, "the first frame is not SETTINGS")
            if kind == DATA:
                self._on_data(cutter)
            elif kind == HEADERS:
                self._on_headers(cutter)
            elif kind == CONTINUATION:
                self._on_continuation(cutter)
            else:
                self.work.count_control()
                self._on_control(cutter, kind)
        if self.peer.first_window != self._first_window:
            self._change_windows()

    def _check_beginning(self, data: bytes) -> bytes:
        """Return the bytes behind the peer's preface. Raises ProtocolError."""
        missing = self._preface
        if self.is_client and _BLANK <= data[0] <= _TILDE and not self._cutter.kept():
            raise ProtocolError(
                PROTOCOL_ERROR,
                "it speaks HTTP/1.1 or another protocol of text: write http:// instead of h2c://; gRPC needs a server "
                "of HTTP/2",
            )
        count = min(len(missing), len(data))
        if data[:count] != missing[:count]:
            raise ProtocolError(PROTOCOL_ERROR, "the connection does not begin with HTTP/2's preface")
        self._preface = missing[count:]
        return data[count:]

    def _on_headers(self, cutter: FrameCutter) -> None:
        flags = cutter.flags
        fragment = cutter.payload()
        if not cutter.stream_id:
            raise ProtocolError(PROTOCOL_ERROR, "HEADERS have no stream")
        if flags & (PADDED | WITH_PRIORITY):
            fragment = strip(fragment, flags)
        if flags & END_HEADERS:
            self._on_block(cutter.stream_id, fragment, ends_stream=bool(flags & END_STREAM))
        else:
            self._block.begin(cutter.stream_id, fragment, ends_stream=bool(flags & END_STREAM))

    def _on_continuation(self, cutter: FrameCutter) -> None:
        block = self._block
        stream_id = block.stream_id
        if not stream_id:
            raise ProtocolError(PROTOCOL_ERROR, "CONTINUATION stands behind no HEADERS")
        block.add(cutter.payload())
        if cutter.flags & END_HEADERS:
            self._on_block(stream_id, block.take(), ends_stream=block.ends_stream)

    def _on_control(self, cutter: FrameCutter, kind: int) -> None:
        """Take a frame that carries nothing of a message. Unknown types are ignored (section 4.1)."""
        if kind == WINDOW_UPDATE:
            self._on_window_update(cutter.stream_id, cutter.number(4) & MAX_WINDOW)
        elif kind == RST_STREAM:
            self._on_rst_stream(cutter.stream_id, cutter.number(4))
        elif kind == SETTINGS:
            cutter.check_of_connection()
            self._on_settings(cutter)
        elif kind == PING:
            cutter.check_of_connection()
            self._on_ping(cutter)
        elif kind == GOAWAY:
            cutter.check_of_connection()
            self._on_goaway(cutter.payload())
        elif kind == PUSH_PROMISE:
            raise ProtocolError(PROTOCOL_ERROR, "PUSH_PROMISE came, which we have not allowed")
        elif kind == PRIORITY:
            cutter.number(5)
            if not cutter.stream_id:
                raise ProtocolError(PROTOCOL_ERROR, "PRIORITY has no stream")

    def _on_window_update(self, stream_id: int, increment: int) -> None:
        if not increment:
            raise ProtocolError(PROTOCOL_ERROR, "WINDOW_UPDATE adds nothing")
        if not stream_id:
            self.window += increment
            self._check_window(self.window)
            self._wake_all()
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_opened(stream_id)
        else:
            stream.window += increment
            self._check_window(stream.window + self.peer.first_window - self._first_window)
            self._wake(stream)

    def _check_window(self, window: int) -> None:
        if window > MAX_WINDOW:
            raise ProtocolError(FLOW_CONTROL_ERROR, "a window is larger than the largest one")

    def _on_rst_stream(self, stream_id: int, code: int) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_opened(stream_id)
        else:
            self._lose(stream, code, is_unprocessed=code == REFUSED_STREAM)

    def _lose(self, stream: Stream, code: int, *, is_unprocessed: bool) -> None:
        """Note that the peer has ended this stream."""
        stream.reset_code = code
        stream.is_unprocessed = is_unprocessed
        self._end(stream, ENDED_BY_PEER)
        self._touch(stream)

    def _on_settings(self, cutter: FrameCutter) -> None:
        if cutter.flags & ACK:
            if cutter.length:
                raise ProtocolError(FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS has a payload")
            if self._losses:
                self._change_credit(-self._losses.pop(0))
                self._announce_window()
            return
        self.peer.apply(cutter.payload(), of_server=self.is_client)
        self._emit(frame_head(0, SETTINGS, ACK, 0))
        self._has_new_settings = True

    def _change_windows(self) -> None:
        """Give all streams the window of the SETTINGS of this read: once, however many frames there were.

        Raises ProtocolError.
        """
        change = self.peer.first_window - self._first_window
        self._first_window = self.peer.first_window
        for stream in self.streams.values():  # section 6.9.2: it may become negative
            stream.window += change
            self._check_window(stream.window)
            self._wake(stream)

    def _on_ping(self, cutter: FrameCutter) -> None:
        payload = cutter.payload()
        if len(payload) != 8:
            raise ProtocolError(FRAME_SIZE_ERROR, "a PING has not 8 bytes")
        if cutter.flags & ACK:
            self.handler.on_ping_ack(payload)
        else:
            self._emit(ping_frame(payload, ack=True))

    def _on_goaway(self, payload: bytes) -> None:
        if len(payload) < 8:
            raise ProtocolError(FRAME_SIZE_ERROR, "a GOAWAY has fewer than 8 bytes")
        last = int.from_bytes(payload[:4], "big") & MAX_WINDOW
        if 0 <= self.goaway_id < last:
            raise ProtocolError(PROTOCOL_ERROR, "the last stream of a GOAWAY is higher than before")
        self.goaway_id = last
        self._goaway_code = int.from_bytes(payload[4:8], "big")
        if self.is_client:
            for stream in [each for each in self.streams.values() if each.id > last]:
                self._lose(stream, REFUSED_STREAM, is_unprocessed=True)

    def _report(self) -> None:
        """Report the messages and events of the last read."""
        self._report_streams()
        if self._has_new_settings:
            self._has_new_settings = False
            self.handler.on_settings()
        if self._goaway_code >= 0:
            code, self._goaway_code = self._goaway_code, -1
            self.handler.on_goaway(self.goaway_id, code)

"""The half of a connection that sends: heads at once, bodies as the peer's windows allow (RFC 9113 section 5.2).

A body that finds no window waits in its stream. Streams that wait and have a window stand in `_turns`; each turn gives
one of them at most one frame of 16 KiB, so that no stream keeps the others waiting. Trailers stand behind their
stream's body; other frames wait for nothing.

The shell takes the bytes by `output`, once for each read or turn of the loop. While its transport is full
(`hold_output`) it takes none, and bodies wait in their streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http2.encoder import NO_TABLE
from sidecars.ambassador.http2.frames import (
    DATA,
    END_STREAM,
    FIRST_WINDOW,
    MAX_FRAME_SIZE,
    NO_ERROR,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    ProtocolError,
    frame_head,
    head_frames,
    rst_stream_frame,
    settings_frame,
)
from sidecars.ambassador.http2.handler import NOBODY, ConnectionHandler
from sidecars.ambassador.http2.peer_settings import MAX_CONCURRENT_STREAMS
from sidecars.ambassador.http2.streams import ENDED_BY_PEER, ENDED_BY_US, IDLE, ClosedStreams, Stream, StreamBudget
from sidecars.ambassador.http2.work_limits import STREAMS_EACH, WorkLimits

_FULL: Final = 64 * 1024  # bytes in a stream's queue, from which on its sender is asked to wait
_SMALL_FULL: Final = 2048  # the same while memory is short: one small read fills it
_EMPTY_PART: Final = 4  # the sender is asked to go on once no more than this part of them waits
_ROUND: Final = 256 * 1024  # bytes of bodies in one output


class SendingHalf:
    """The sending half of a connection in either role; `connection.Connection` adds the receiving half.

    - `queued`: bytes of bodies that wait for windows, of all streams.
    - `held`: bytes of bodies that the handler does not take, of all streams.
    - `busy`: streams that count for MAX_CONCURRENT_STREAMS.
    - `max_streams`: the value of that setting for the peer (server role).
    - `budget`: the limit that the streams of several connections have together, if there is one (server role).
    - `is_held`: True while the transport is full.
    """

    def __init__(self, handler: ConnectionHandler, *, is_client: bool) -> None:
        self.handler: ConnectionHandler = handler
        self.is_client = is_client
        self.streams: dict[int, Stream] = {}
        self.queued: int = 0
        self.held: int = 0
        self.busy: int = 0
        self.max_streams: int = STREAMS_EACH
        self.window: int = FIRST_WINDOW  # bytes that we may send, of all streams together
        self.budget: StreamBudget | None = None
        self.is_held = False
        self.is_broken = False  # True once nothing more may be sent or taken
        self.highest_id: int = 0  # of the streams that were opened, by whoever opens them
        self.written_id: int = 0  # of the streams that may have been written (client role)
        self.closed: ClosedStreams = ClosedStreams()
        self.work: WorkLimits = WorkLimits()
        self._full: int = _FULL
        self._losses: list[int] = []  # what each of our SETTINGS takes from the windows once it is acknowledged
        self._first_window: int = FIRST_WINDOW  # of each new stream, as the peer has announced it
        self._out: list[bytes] = []
        self._is_announced = False  # True if `on_output` was called since the last output
        self._turns: list[Stream] = []
        self._has_sent_block = False

    # -- for the handler ------------------------------------------------------------------------------------------

    def leave(self, handler: ConnectionHandler = NOBODY) -> None:
        """Report to this handler from now on: the transport is lost. With its own one this object would be a circle."""
        self.handler = handler

    def send_head(self, stream: Stream, block: bytes, *, end: bool) -> None:
        """Send a head in our encoding of HPACK: of a request, an interim response or a response.

        `end` is True if no body and no trailers follow. After a reset nothing is sent.
        """
        if stream.is_sent:
            return
        self._emit(head_frames(stream.id, self._first(block), end=end))
        if end:
            self._note_sent(stream)

    def send_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool = False) -> bool:
        """Send pieces of a body, and its end if `end` is True.

        Return False if the stream holds enough: `on_writable` says when it takes more.
        """
        if stream.is_sent or stream.sends_end:
            return True
        size = 0
        for piece in pieces:
            size += len(piece)
        is_small = not self.is_held and size <= MAX_FRAME_SIZE and size <= stream.window and size <= self.window
        if is_small and not stream.queued and not self._turns:  # nobody waits: the common case of a small message
            if size or end:
                self._emit_data(stream, pieces, size, end=end)
            return True
        if size:
            stream.queue += [piece for piece in pieces if piece]
            stream.queued += size
            self.queued += size
        stream.sends_end = end
        self._enqueue(stream)
        if stream.queued >= self._full:
            stream.is_full = True
        return not stream.is_full

    def send_end(self, stream: Stream, trailers: bytes = b"") -> None:
        """End our message, with a block of trailers if there are any."""
        if stream.is_sent or stream.sends_end:
            return
        if stream.queued:
            stream.sends_end = True
            stream.trailer_block = trailers
        else:
            self._emit_end(stream, trailers)

    def reset(self, stream: Stream, code: int) -> None:
        """Reset the stream with this error code, unless it is closed."""
        if not stream.is_closed and not stream.is_reset:
            self._emit(rst_stream_frame(stream.id, code))
        self._end(stream, ENDED_BY_US)

    def release(self, stream: Stream) -> None:
        """Count the stream no more for MAX_CONCURRENT_STREAMS: its exchange is over, at the other end, too."""
        if stream.is_busy:
            stream.is_busy = False
            self.busy -= 1
            if self.budget is not None:
                self.budget.count_streams(-1)
        if not self.is_client:
            self.drop(stream)

    def allow_streams(self, count: int) -> None:
        """Let the peer have so many streams open at once (server role); never fewer than before."""
        if count > self.max_streams:
            self.max_streams = count
            self._send_settings(settings_frame([(MAX_CONCURRENT_STREAMS, count)]))

    def keep_queues_small(self, *, small: bool) -> None:
        """Ask the senders to wait with few bytes in their streams while memory is short, or with as many as ever."""
        self._full = _SMALL_FULL if small else _FULL

    def hold_output(self) -> None:
        """Note that the transport is full: bodies wait in their streams until `resume_output`."""
        self.is_held = True

    def resume_output(self) -> None:
        """Note that the transport takes bytes again."""
        self.is_held = False
        if self._out or self._turns:
            self._announce()

    def output(self) -> list[bytes]:
        """Return the pieces to write now; none while the transport is full."""
        if self.is_held:
            self._is_announced = False
            return []
        if self._turns:
            self._serve_turns()
        out, self._out = self._out, []
        self._is_announced = False
        self.written_id = self.highest_id
        if self._turns and self.window > 0:
            self._announce()
        return out

    @property
    def has_output(self) -> bool:
        """True if `output` would return bytes."""
        return self._is_announced

    # -- for the receiving half -----------------------------------------------------------------------------------

    def _check_late(self, stream_id: int) -> None:
        """Check HEADERS or DATA for a stream that is not open: late ones are ignored. Raises ProtocolError."""
        self._check_opened(stream_id)
        if self.closed.kind(stream_id) == ENDED_BY_PEER:
            raise ProtocolError(STREAM_CLOSED, "a frame came behind the end of a stream")

    def _check_opened(self, stream_id: int) -> None:
        """Check that this stream, which is not open, was open once. Raises ProtocolError."""
        if not stream_id & 1 or stream_id > self.highest_id or self.closed.kind(stream_id) == IDLE:
            raise ProtocolError(PROTOCOL_ERROR, "a frame came for a stream that was never opened")

    def _send_settings(self, frame: bytes, loss: int = 0) -> None:
        self._losses.append(loss)
        self._emit(frame)

    def _emit(self, data: bytes) -> None:
        if self.is_broken:
            return
        self._out.append(data)
        if not self._is_announced:
            self._announce()

    def _announce(self) -> None:
        if not self._is_announced:
            self._is_announced = True
            self.handler.on_output()

    def _first(self, block: bytes) -> bytes:
        """Return the block; the first one of a connection begins with a size of the table."""
        if self._has_sent_block:
            return block
        self._has_sent_block = True
        return NO_TABLE + block

    def _wake(self, stream: Stream) -> None:
        """Give the stream, whose window or the connection's has grown, its turn if it waits for one."""
        if stream.queued or stream.sends_end:
            self._enqueue(stream)

    def _wake_all(self) -> None:
        if self._turns and self.window > 0:
            self._announce()

    def _enqueue(self, stream: Stream) -> None:
        if not stream.is_waiting and (stream.window > 0 or not stream.queued):
            stream.is_waiting = True
            self._turns.append(stream)
        if self._turns and (self.window > 0 or not stream.queued):
            self._announce()

    def _serve_turns(self) -> None:
        """Move bodies from the streams into the output, one frame of each stream in turn."""
        budget = _ROUND
        turns, self._turns = self._turns, []
        while turns and budget > 0:
            later: list[Stream] = []
            for stream in turns:
                size = min(stream.queued, MAX_FRAME_SIZE, stream.window, self.window)
                if not stream.queued and stream.sends_end:
                    stream.is_waiting = False
                    self._emit_end(stream, stream.trailer_block)
                elif not stream.queued or stream.window <= 0:
                    stream.is_waiting = False
                elif size <= 0 or budget <= 0:
                    later.append(stream)
                else:
                    budget -= size
                    self._serve(stream, size, later)
            is_stuck = len(later) == len(turns) and (self.window <= 0 or budget <= 0)
            turns = later + self._turns  # `on_writable` may have brought more
            self._turns = []
            if is_stuck:
                break
        self._turns = turns

    def _serve(self, stream: Stream, size: int, later: list[Stream]) -> None:
        """Send one frame of this size; put the stream into `later` if it gets another turn."""
        pieces = _take(stream.queue, size)
        stream.queued -= size
        self.queued -= size
        end = stream.sends_end and not stream.queued and not stream.trailer_block
        if stream.queued and stream.window > size:
            later.append(stream)
        else:
            stream.is_waiting = False
        self._emit_data(stream, pieces, size, end=end)
        if stream.sends_end and not stream.queued and not end:
            self._emit_end(stream, stream.trailer_block)
        elif stream.is_full and stream.queued <= self._full // _EMPTY_PART and not stream.is_sent:
            stream.is_full = False
            self.handler.on_writable(stream)

    def _emit_data(self, stream: Stream, pieces: Sequence[bytes], size: int, *, end: bool) -> None:
        stream.window -= size
        self.window -= size
        self._emit(frame_head(size, DATA, END_STREAM if end else 0, stream.id))
        if not self.is_broken:
            self._out += pieces
        if size:
            self.work.note_progress()
        if end:
            self._note_sent(stream)

    def _emit_end(self, stream: Stream, trailers: bytes) -> None:
        if trailers:
            self._emit(head_frames(stream.id, self._first(trailers), end=True))
        else:
            self._emit(frame_head(0, DATA, END_STREAM, stream.id))
        self._note_sent(stream)

    def _note_sent(self, stream: Stream) -> None:
        """Note that our message is complete: of a server that did not wait for the request's end, with a reset."""
        stream.is_sent = True
        stream.sends_end = False
        if stream.is_received:
            self._end(stream, ENDED_BY_PEER)
        elif not self.is_client:  # section 8.1: the client shall not send the rest, and keeps the response
            self._emit(rst_stream_frame(stream.id, NO_ERROR))
            self._end(stream, ENDED_BY_US)

    def _end(self, stream: Stream, kind: int) -> None:
        """Take the stream out of the table, and drop the bytes that wait in it to be sent."""
        self.queued -= stream.drop_queue()
        if kind == ENDED_BY_US:
            stream.is_reset = True
            self.drop(stream)
        stream.is_sent = stream.is_received = True
        if stream.id in self.streams:
            del self.streams[stream.id]
            self.closed.add(stream.id, kind)
        if self.is_client:
            self.release(stream)

    def drop(self, stream: Stream) -> None:
        """Forget the bytes of a body that are not reported."""
        if stream.held:
            self.held -= stream.held
            stream.take_pieces()


def _take(queue: list[bytes], size: int) -> list[bytes]:
    """Remove so many bytes from the front of the queue, which has them, and return them as pieces."""
    taken: list[bytes] = []
    count = 0
    while size > 0:
        piece = queue[count]
        length = len(piece)
        if length > size:
            taken.append(piece[:size])
            queue[count] = piece[size:]
            break
        taken.append(piece)
        count += 1
        size -= length
    if count:
        del queue[:count]
    return taken

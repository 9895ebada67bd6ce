"""The half of a connection that receives messages: heads, bodies and trailers of streams, and the credit for them.

Bytes and fields of a stream are kept in it while a read is parsed (`_touch`), and reported at the read's end
(`_report_stream`). A message that is malformed leaves a sentence in `Stream.problem`; it ends its stream alone.
"""

from __future__ import annotations

from typing import Final

from sidecars.ambassador.http2.decoder import Decoder, HeaderBlock
from sidecars.ambassador.http2.frames import (
    END_STREAM,
    FIRST_WINDOW,
    FLOW_CONTROL_ERROR,
    MAX_WINDOW,
    PADDED,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    FrameCutter,
    ProtocolError,
    rst_stream_frame,
    settings_frame,
    strip,
    window_update_frame,
)
from sidecars.ambassador.http2.handler import ConnectionHandler
from sidecars.ambassador.http2.heads import (
    TOO_LARGE,
    MalformedMessage,
    ResponseHead,
    check_request,
    check_response,
    check_trailers,
)
from sidecars.ambassador.http2.peer_settings import INITIAL_WINDOW_SIZE
from sidecars.ambassador.http2.sending import SendingHalf
from sidecars.ambassador.http2.streams import ENDED_BY_PEER, ENDED_BY_US, NOT_RESET, Stream
from sidecars.ambassador.http2.work_limits import MOST_INTERIM, MOST_UNACKNOWLEDGED

STREAM_WINDOW: Final = 256 * 1024  # bytes that a peer may send on one stream before they are taken
SMALL_WINDOW: Final = 4096  # the same while memory is short
_TOP_UP: Final = MAX_WINDOW // 2


class ReceivingHalf(SendingHalf):
    """The receiving half of a connection in either role, for its streams; `connection.Connection` has the rest."""

    def __init__(self, handler: ConnectionHandler, *, is_client: bool, max_header_size: int, max_headers: int) -> None:
        super().__init__(handler, is_client=is_client)
        self._decoder: Decoder = Decoder(max_header_size, max_headers)
        self._touched: list[Stream] = []
        self._receive_window: int = FIRST_WINDOW
        self._stream_window: int = STREAM_WINDOW
        self._announced: int = STREAM_WINDOW
        self._new_window: int = STREAM_WINDOW  # what the peer may send on a new stream, for all that we know
        self._last_accepted: int = MAX_WINDOW  # new streams above it are ignored, after our GOAWAY

    # -- heads and trailers ---------------------------------------------------------------------------------------

    def _on_block(self, stream_id: int, block: bytes, *, ends_stream: bool) -> None:
        """Take a whole block: the head of a new stream, of a response, or trailers. Raises ProtocolError."""
        stream = self.streams.get(stream_id)
        is_new = stream is None and not (self.is_client or stream_id <= self.highest_id or not stream_id & 1)
        if stream is not None:
            if stream.is_received:
                raise ProtocolError(STREAM_CLOSED, "HEADERS came behind the end of a stream")
        elif not is_new:
            self._check_late(stream_id)
            self.work.count_control()
        if is_new or stream is not None:
            self.work.note_head()
        decoded = self._decoder.decode(block)  # also for a stream that is refused: the table must follow
        if is_new:
            self._on_request_head(stream_id, decoded, ends_stream=ends_stream)
        elif stream is not None and not stream.problem:
            try:
                if stream.has_head:
                    self._on_trailers(stream, decoded, ends_stream=ends_stream)
                else:
                    self._on_response_head(stream, decoded, ends_stream=ends_stream)
            except MalformedMessage as error:
                stream.is_too_large = error.status == TOO_LARGE
                self._find_malformed(stream, error.reason)

    def _on_request_head(self, stream_id: int, decoded: HeaderBlock, *, ends_stream: bool) -> None:
        self.highest_id = stream_id
        if stream_id > self._last_accepted:
            self.closed.add(stream_id, ENDED_BY_US)
            return
        budget = self.budget
        if self.busy >= self.max_streams or (budget is not None and not budget.has_room()):
            if self.busy >= self.max_streams:
                self.work.count_control()
            self.closed.add(stream_id, ENDED_BY_US)
            self._emit(rst_stream_frame(stream_id, REFUSED_STREAM))
            return
        if budget is not None:
            budget.count_streams(1)
        stream = Stream(stream_id, self._first_window, self._new_window)
        self.streams[stream_id] = stream
        stream.is_busy = stream.has_head = True
        self.busy += 1
        stream.is_received = stream.has_end = ends_stream
        try:
            if decoded.is_too_large:
                raise MalformedMessage("its head is larger than MAX_HEADER_SIZE or MAX_HEADERS", TOO_LARGE)  # noqa: TRY301 - one clause keeps the reason
            head = decoded.request
            if head is None:
                head = decoded.request = check_request(decoded.fields)
            stream.request = head
            stream.expected = head.content_length
            if ends_stream and stream.expected > 0:
                raise MalformedMessage("its body is shorter than its Content-Length")  # noqa: TRY301 - one clause keeps the reason
        except MalformedMessage as error:
            stream.rejection = error.status
            stream.problem = error.reason
            stream.rejected_type = decoded.content_type()
        self._touch(stream)

    def _on_response_head(self, stream: Stream, decoded: HeaderBlock, *, ends_stream: bool) -> None:
        """Take the head of a response, maybe an interim one. Raises MalformedMessage."""
        if decoded.is_too_large:
            raise MalformedMessage("its head is larger than MAX_HEADER_SIZE or MAX_HEADERS", TOO_LARGE)
        head = decoded.response
        if head is None:
            head = decoded.response = check_response(decoded.fields)
        status = head.status
        if status < 200:
            if ends_stream:
                raise MalformedMessage("a 1xx ends the stream", 502)
            self._keep_interim(stream, head)
        else:
            stream.has_head = True
            stream.response = head
            if stream.is_head or status == 304:
                stream.expected = 0
            elif status == 204:
                if head.content_length > 0:
                    raise MalformedMessage("a 204 cannot have a body, but it announces one", 502)
                stream.expected = 0
            else:
                stream.expected = head.content_length
        self._touch(stream)
        if ends_stream:
            self._complete(stream)

    def _keep_interim(self, stream: Stream, head: ResponseHead) -> None:
        """Keep an interim response until it is reported. Raises MalformedMessage."""
        self.work.count_control()
        stream.interim_count += 1
        if stream.interim_count > MOST_INTERIM:
            raise MalformedMessage(f"more than {MOST_INTERIM} interim responses came before it", 502)
        if stream.interims is None:
            stream.interims = []
        stream.interims.append(head)

    def _on_trailers(self, stream: Stream, decoded: HeaderBlock, *, ends_stream: bool) -> None:
        """Take trailers. Raises MalformedMessage."""
        status = 502 if self.is_client else 400
        if not ends_stream:
            raise MalformedMessage("a second head does not end its stream", status)
        if decoded.is_too_large:
            raise MalformedMessage("its trailers are larger than MAX_HEADER_SIZE or MAX_HEADERS", TOO_LARGE)
        trailers = decoded.trailers
        if trailers is None:
            trailers = decoded.trailers = check_trailers(decoded.fields, status)
        stream.trailers = trailers
        self._complete(stream)

    # -- bodies ---------------------------------------------------------------------------------------------------

    def _on_data(self, cutter: FrameCutter) -> None:  # noqa: C901, PLR0912 - one rule of the RFC each
        """Take a DATA frame. Raises ProtocolError."""
        length, flags = cutter.length, cutter.flags
        if not cutter.stream_id:
            raise ProtocolError(PROTOCOL_ERROR, "DATA have no stream")
        self._receive_window -= length
        if self._receive_window < _TOP_UP:
            self._top_up()
        piece = cutter.payload()
        if flags & PADDED:
            piece = strip(piece, flags & PADDED)
        if not piece and not flags & END_STREAM:
            self.work.count_empty()
        stream = self.streams.get(cutter.stream_id)
        if stream is None:
            self._check_late(cutter.stream_id)
            return
        if stream.is_received:
            raise ProtocolError(STREAM_CLOSED, "DATA came behind the end of a stream")
        stream.receive_window -= length
        if length and stream.receive_window < 0:
            raise ProtocolError(FLOW_CONTROL_ERROR, "DATA are more than the stream's window")
        if stream.problem:
            return
        if piece:
            self.work.note_body()
            if stream.expected >= 0:
                stream.expected -= len(piece)
                if stream.expected < 0:
                    self._find_malformed(stream, "its body is longer than its Content-Length")
                    return
            if not stream.has_head:
                self._find_malformed(stream, "its body comes before its head")
                return
            stream.pieces.append(piece)
            stream.held += len(piece)
            self.held += len(piece)
        if flags & END_STREAM:
            self._complete(stream)
        else:
            self._touch(stream)

    def _complete(self, stream: Stream) -> None:
        """Note the end of the peer's message."""
        if not stream.has_head:
            self._find_malformed(stream, "it ends before its head")
        elif stream.expected > 0:
            self._find_malformed(stream, "its body is shorter than its Content-Length")
        else:
            stream.has_end = True
        stream.is_received = True
        self._touch(stream)
        if stream.is_sent:
            self._end(stream, ENDED_BY_PEER)

    def _find_malformed(self, stream: Stream, reason: str) -> None:
        stream.problem = reason
        self._touch(stream)

    # -- credit ---------------------------------------------------------------------------------------------------

    def _top_up(self) -> None:
        """Make the connection's window as large as it may be. Raises ProtocolError if the peer has overrun it."""
        if self._receive_window < 0:
            raise ProtocolError(FLOW_CONTROL_ERROR, "DATA are more than the connection's window")
        self._emit(window_update_frame(0, MAX_WINDOW - self._receive_window))
        self._receive_window = MAX_WINDOW

    def _set_window(self, window: int) -> None:
        """Give each stream so much credit from now on, also those that are open (section 6.9.2)."""
        self._stream_window = window
        self._announce_window()
        self._change_credit(0)

    def _announce_window(self) -> None:
        """Announce the window, or do it later if the peer acknowledges nothing: what is told to it would pile up."""
        more = self._stream_window - self._announced
        if more and len(self._losses) < MOST_UNACKNOWLEDGED:
            self._announced = self._stream_window
            self._send_settings(settings_frame([(INITIAL_WINDOW_SIZE, self._announced)]), max(0, -more))
            self._change_credit(max(0, more))

    def _change_credit(self, more: int) -> None:
        self._new_window += more
        for stream in self.streams.values():
            stream.receive_window += more
            self._give_credit(stream)

    def _give_credit(self, stream: Stream) -> None:
        """Let the peer send more on this stream, if half of its window has been taken."""
        if not stream.is_received:
            most = min(self._stream_window, self._announced)
            increment = most - stream.receive_window - stream.held
            if increment * 2 >= most:
                stream.receive_window += increment
                self._emit(window_update_frame(stream.id, increment))

    # -- reports --------------------------------------------------------------------------------------------------

    def _touch(self, stream: Stream) -> None:
        if not stream.is_touched:
            stream.is_touched = True
            self._touched.append(stream)

    def _report_streams(self) -> None:
        touched, self._touched = self._touched, []
        for stream in touched:
            stream.is_touched = False
            self._report_stream(stream)

    def _report_stream(self, stream: Stream) -> None:
        if stream.is_reset or stream.is_malformed:
            self.drop(stream)
        elif stream.problem and stream.reset_code == NOT_RESET:
            self._report_problem(stream)
        elif stream.reset_code != NOT_RESET and not (self.is_client and stream.has_end):
            self._report_reset(stream)
        elif stream.request is not None:
            request, stream.request = stream.request, None
            self.work.note_progress()
            stream.is_reported = stream.has_end
            self.held -= stream.held
            pieces = stream.take_pieces()
            self.handler.on_request(stream, request, pieces, end=stream.has_end, trailers=stream.trailers)
            self._give_credit(stream)
        else:
            self._report_response(stream)

    def _report_response(self, stream: Stream) -> None:
        """Report a response as far as it is there, or more of a body in either role."""
        interims, stream.interims = stream.interims, None
        if interims is not None:
            for interim in interims:
                self.handler.on_interim(stream, interim)
        end = stream.has_end
        response = stream.response
        if response is not None:
            stream.response = None
            self.work.note_progress()
            stream.is_reported = end
            self.held -= stream.held
            pieces = stream.take_pieces()
            self.handler.on_response(stream, response, pieces, end=end, trailers=stream.trailers)
        elif not stream.is_paused and (stream.held or (end and not stream.is_reported)):
            stream.is_reported = end
            self.held -= stream.held
            pieces = stream.take_pieces()
            self.handler.on_body(stream, pieces, end=end, trailers=stream.trailers)
        self._give_credit(stream)

    def _report_problem(self, stream: Stream) -> None:
        self.drop(stream)
        stream.is_malformed = True
        if stream.request is not None or stream.rejection:
            content_type = stream.rejected_type
            if stream.request is not None:
                content_type = stream.request.content_type
                stream.request = None
            status = stream.rejection or (TOO_LARGE if stream.is_too_large else 400)
            self.handler.on_rejected(stream, status, stream.problem, content_type)
        else:
            status = TOO_LARGE if stream.is_too_large else 502 if self.is_client else 400
            self.handler.on_malformed(stream, status, stream.problem)

    def _report_reset(self, stream: Stream) -> None:
        """Report the peer's reset, unless the request that it ends was not reported either."""
        stream.is_malformed = True
        if stream.request is not None or stream.rejection:
            self.drop(stream)
            stream.request = None
            self.release(stream)
            return
        if stream.held and stream.response is None and not stream.is_paused:
            self.held -= stream.held
            self.handler.on_body(stream, stream.take_pieces(), end=False, trailers=())
        self.drop(stream)
        self.handler.on_reset(stream, stream.reset_code, is_unprocessed=stream.is_unprocessed)

"""The half of an app's connection of HTTP/2 that has the transport: reading, writing, memory, time-outs and ends.

The whole is `http2_connection`, which has the table of its states.
"""

from __future__ import annotations

import time
from typing import Final, cast

from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.frames import ENHANCE_YOUR_CALM, INTERNAL_ERROR, NO_ERROR
from sidecars.ambassador.http2.streams import Stream
from sidecars.ambassador.http2.work_limits import STREAMS_EACH
from sidecars.ambassador.proxy import timeouts
from sidecars.ambassador.proxy.exchange import GONE
from sidecars.ambassador.proxy.http2_stream import Http2Stream, StreamCarrier
from sidecars.ambassador.transport import small_reads
from sidecars.ambassador.transport.streams import Transport, reset
from sidecars.ambassador.upstream.buffer_memory import SHARE, Untaken
from sidecars.ambassador.upstream.client_registry import AppConnection
from sidecars.ambassador.upstream.upstream import Upstream

_MAX_JOINED: Final = 64 * 1024  # bytes that are copied to be one write
DRAIN_PING: Final = b"draining"
_QUIET: Final = 0.1  # seconds after which a connection that is new while this process drains gets no request any more
_DRAIN_WAIT: Final = 1.0  # seconds for its answer
SPARE: Final = 20  # streams that are left when more are allowed

monotonic: Final = time.monotonic


class Http2Transport(StreamCarrier):
    """The half of the connection below its streams. The event loop owns it as a protocol.

    It has the methods of asyncio.Protocol without inheriting from it, since a compiled class cannot.
    """

    transport: Transport  # from `take_over` on

    def __init__(self, upstream: Upstream) -> None:
        settings = upstream.settings
        self.upstream = upstream
        self.core = Connection(
            self, is_client=False, max_header_size=settings.max_header_size, max_headers=settings.max_headers
        )
        self.core.budget = upstream.clients
        self.ended = False
        self.is_full = False  # True if the transport takes no more at present
        self.lingers = False  # True if nothing that still comes matters
        self.since = 0.0  # since when it has no stream, or lingers
        self.delivery: timeouts.Delivery = timeouts.Delivery()
        self.untaken: Untaken = Untaken(upstream.memory)
        self.sides: dict[Http2Stream, None] = {}  # the streams that are not gone
        self._finished: list[Http2Stream] = []  # of these, those whose exchanges have left them
        self._writable: list[Http2Stream] = []  # those that may go on after the next output
        self._in_block_since = 0.0  # since when the head of a stream, or the preface, is unfinished; 0: it is not
        self._drain_at = 0.0  # when the drain began
        self.is_leaving = False  # True if no further stream is accepted
        self.next_look: int = STREAMS_EACH - SPARE  # busy streams from which on more may be allowed
        self._is_resting = False  # True if it is not read for a moment
        self._rests: int = 0  # such moments in a row in which none of its bodies was taken
        self._held_before: int = 0  # bytes of them at the last one's end
        self._discarded: int = 0  # connections to endpoints that the app's resets have cost since the last tick
        self._counted: int = 0  # bytes that the memory knows of
        self._kept: int = 0  # the same, of an unfinished frame or block

    def take_over(self, transport: Transport, data: bytes, *, ended: bool, is_full: bool) -> None:
        """Become the protocol of an open connection, from which `data` was read; `ended` is True after its EOF."""
        self.transport = transport
        self.ended = ended
        self.since = monotonic()
        transport.set_protocol(self)
        self.upstream.clients.add(cast("AppConnection", self))
        if is_full:
            self.pause_writing()
        self.core.begin()
        if self.upstream.memory.is_short:
            self.read_small()
        self.data_received(data)

    # -- for the event loop ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.lingers:
            return
        write_round = self.upstream.write_round
        write_round.begin_read()
        try:
            self.core.receive(data)
        except Exception as error:  # noqa: BLE001 - whatever the app wrote, it ends no more than its connection
            self.upstream.defects.note(error)
            self.core.fail(INTERNAL_ERROR, "a defect of the ambassador, which its log describes")
        finally:
            write_round.end_read()
        self.note_memory()

    def eof_received(self) -> bool:
        """Return True if the connection stays open, for an app that still wants the responses to its requests."""
        self.ended = True
        if self.lingers or not self.sides or self.is_abandoned():
            return False
        for side in list(self.sides):
            if not side.stream.is_received:
                side.reject(400, "the connection ended before the request's body was complete")
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        self.lingers = True
        clients = self.upstream.clients
        clients.remove(cast("AppConnection", self))
        clients.note_work(monotonic() if self.sides else self.since)
        self.upstream.memory.forget(self)
        self.untaken.note_taken()
        self.abandon_all()
        self.note_memory()
        self.core.leave()

    def pause_writing(self) -> None:
        self.is_full = True
        self.untaken.note_full()
        self.core.hold_output()
        self._read_on()

    def resume_writing(self) -> None:
        self.is_full = False
        self.untaken.note_taken()
        self.delivery.restart()
        self.core.resume_output()
        self._take_more()
        self._read_on()

    def _read_on(self) -> None:
        if self.transport.is_closing():
            return
        if (self.is_full or self._is_resting) and not self.lingers:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    # -- output ---------------------------------------------------------------------------------------------------

    def on_output(self) -> None:
        self.upstream.write_round.add(self)

    def write_output(self) -> None:
        try:
            self._write_output()
        except Exception as error:  # noqa: BLE001 - the others of the round go on
            self.upstream.defects.note(error)
            self.abort()

    def _write_output(self) -> None:
        if self.transport.is_closing():
            return
        pieces = self.core.output()
        size = 0
        for piece in pieces:
            size += len(piece)
        if size:
            self.upstream.counters.count_delivered(size)
            self.untaken.note_write(size)
            if size <= _MAX_JOINED:
                self.transport.write(b"".join(pieces) if len(pieces) > 1 else pieces[0])
            else:
                self.transport.writelines(pieces)
        if self._finished:
            finished, self._finished = self._finished, []
            for side in finished:
                self.on_finished(side)
        if self._writable and not self.is_full:
            self._take_more()
        if self.core.queued or self._counted:
            self.note_memory()

    def on_writable(self, stream: Stream) -> None:
        side = side_of(stream)
        if side is not None:
            self._writable.append(side)  # it goes on after the core's output, which it could change

    def note_full(self, side: Http2Stream) -> None:
        self._writable.append(side)

    def _take_more(self) -> None:
        sides, self._writable = self._writable, []
        for side in sides:
            side.take_more()

    # -- memory ---------------------------------------------------------------------------------------------------

    def note_memory(self) -> None:
        """Report the bytes that wait here beyond the connection's share, and those of an unfinished frame."""
        core, memory = self.core, self.upstream.memory
        is_over = self.transport.is_closing()
        held = 0 if is_over else max(0, core.queued + core.held - SHARE)
        if held != self._counted:
            change, self._counted = held - self._counted, held
            memory.change(change)
        kept = 0 if is_over else core.kept
        if kept != self._kept:
            self._kept = kept
            memory.unfinished.note(self, kept)

    def end_for_memory(self) -> None:
        """End the connection: it holds more of an unfinished frame than any other one, and all hold too much."""
        self._kept = 0
        self.upstream.counters.count_unfinished_ended()
        self.core.fail(ENHANCE_YOUR_CALM, "the unfinished requests of all connections together are too large")

    def read_small(self) -> None:
        """Read few bytes at a time, here and from the endpoints, until `read_large`."""
        if self.upstream.memory.add_small(self):
            self.core.keep_small(small=True)
            small_reads.read_small(self.transport, self._reader(), is_paused=self.is_full or self._is_resting)
        for side in self.sides:
            exchange = side.exchange
            if exchange is not None and exchange.connection is not None:
                exchange.connection.read_small()

    def read_large(self) -> None:
        self.core.keep_small(small=False)
        small_reads.read_large(self.transport, self._reader(), is_paused=self.is_full or self._is_resting)

    def _reader(self) -> small_reads.Reader:
        return cast("small_reads.Reader", self)

    # -- for the registry -----------------------------------------------------------------------------------------

    def idle_since(self) -> float:
        return -1.0 if self.sides else self.since

    def tick(self, now: float) -> None:
        """Apply the time-outs of the connection, and of its streams."""
        limit = self.upstream.settings.idle_timeout
        self._discarded = 0
        self.core.work.note_tick()
        unsent = self.delivery.tick(self.transport, now)
        if unsent and now - self.delivery.changed_at >= limit:
            self.abort()
        elif self.lingers:
            if not unsent and now - max(self.since, self.delivery.changed_at) >= timeouts.LINGER:
                self.transport.abort()
        elif not ((self.ended or self.is_full) and self.is_abandoned()):
            for side in list(self.sides):
                side.tick(now)
            self._tick_block(now, limit)
            if not self.sides and now - self.since >= limit and not self._in_block_since and not self.is_full:
                self._refuse_streams()

    def _tick_block(self, now: float, limit: float) -> None:
        """End the connection if the rest of a head, or of the preface, does not come."""
        if not self.core.is_in_block:
            self._in_block_since = 0.0
        elif not self._in_block_since:
            self._in_block_since = now
        elif now - self._in_block_since >= limit:
            self.core.fail(ENHANCE_YOUR_CALM, "the head of a request did not come in time")

    def close_if_idle(self, now: float) -> None:
        """Drain: refuse new streams once the app knows that it should open none, and end with the last stream."""
        if self.lingers or self.is_leaving:
            return
        if not self._drain_at:
            if self.sides or now - self.since >= _QUIET:
                self._drain_at = now
                self.core.go_away(NO_ERROR, "this process ends", is_final=False)
                self.core.ping(DRAIN_PING)
        elif now - self._drain_at >= _DRAIN_WAIT:
            self._refuse_streams()

    def _refuse_streams(self) -> None:
        if not self.is_leaving:
            self.is_leaving = True
            self.core.go_away(NO_ERROR, "this process ends" if self._drain_at else "no stream for a long time")
            self._end_soon()

    # -- ends -----------------------------------------------------------------------------------------------------

    def _end_soon(self) -> None:
        """End the connection if it has no stream, at the end of this turn of the loop."""
        if not self.sides:
            self.upstream.loop.call_soon(self._end_if_unused)

    def _end_if_unused(self) -> None:
        if not self.sides and not self.lingers:
            self.write_output()
            self.linger()

    def forget(self, side: Http2Stream) -> None:
        """Give the place of a stream, which is gone, to another one."""
        self.core.release(side.stream)
        if self._counted:
            self.note_memory()
        side.stream.user = None  # the two would be a circle, which only the garbage collection frees
        if side in self.sides:
            del self.sides[side]
            if not self.sides:
                self.since = monotonic()
                if self.is_leaving or self.ended:
                    self._end_soon()

    def linger(self) -> None:
        """Close behind the bytes that are written, and drop for a moment those that still come."""
        if self.lingers:
            return
        self.lingers = True
        self.since = monotonic()
        if self.ended or self.transport.is_closing():
            self.transport.close()
        else:
            self.transport.write_eof()
            self._read_on()

    def is_abandoned(self) -> bool:
        if not self.upstream.disconnects.has_closed(self.transport):
            return False
        self.abort()
        return True

    def abort(self) -> None:
        """Close at once; by a reset if the app is owed something."""
        self.lingers = True
        if self.sides or self.transport.get_write_buffer_size():
            reset(self.transport)
        else:
            self.transport.close()
        self.abandon_all()

    def abandon_all(self) -> None:
        """End all exchanges: the app is gone, or cannot be understood any more."""
        sides, self.sides = self.sides, {}
        self._finished, self._writable = [], []
        for side in sides:
            side.abandon(GONE)
            self.core.release(side.stream)
            side.stream.user = None


def side_of(stream: Stream) -> Http2Stream | None:
    """Return our object for a stream that was reported, or None if it is gone."""
    return cast("Http2Stream | None", stream.user)

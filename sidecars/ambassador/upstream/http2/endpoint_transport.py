"""The half of an endpoint's connection of HTTP/2 that has the transport: reading, writing, memory and its end.

The whole is `endpoint_connection`, which has the table of its states.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Final, cast

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.frames import NO_ERROR, SETTINGS_TIMEOUT
from sidecars.ambassador.transport import connect_errors
from sidecars.ambassador.transport.defects import Defects
from sidecars.ambassador.transport.streams import Transport, report_untaken
from sidecars.ambassador.transport.tcp_keepalive import is_unreachable
from sidecars.ambassador.upstream.buffer_memory import SHARE, BufferMemory, Untaken
from sidecars.ambassador.upstream.counters import Counters
from sidecars.ambassador.upstream.http2.endpoint_stream import StreamCarrier
from sidecars.ambassador.upstream.write_round import WriteRound

_MAX_JOINED: Final = 64 * 1024  # bytes that are copied to be one write

monotonic: Final = time.monotonic


class ConnectionOwner(ABC):
    """The pool of an endpoint's connections, as far as a connection uses it."""

    @abstractmethod
    def on_room(self, connection: EndpointTransport) -> None:
        """Note that another stream may be opened on this connection."""

    @abstractmethod
    def on_leaving(self, connection: EndpointTransport) -> None:
        """Note that this connection opens no further stream: a new one is opened before it is needed."""

    @abstractmethod
    def on_closed(self, connection: EndpointTransport) -> None:
        """Note that this connection is closed."""


class EndpointTransport(StreamCarrier):
    """The half of the connection below its streams. It has the methods of asyncio.Protocol, as a compiled class can."""

    transport: Transport  # from `connection_made` on

    def __init__(  # noqa: PLR0913, PLR0917 - the collaborators of all connections
        self,
        settings: UpstreamSettings,
        endpoint: Endpoint,
        owner: ConnectionOwner,
        counters: Counters,
        memory: BufferMemory,
        write_round: WriteRound,
        defects: Defects,
    ) -> None:
        self.endpoint = endpoint
        self.scheme = b"https" if endpoint.tls else b"http"
        self.core = Connection(
            self, is_client=True, max_header_size=settings.max_header_size, max_headers=settings.max_headers
        )
        self.idle_since = 0.0  # since when there is no stream
        self.is_closed = False
        self.untaken: Untaken = Untaken(memory)
        self._owner = owner
        self._counters = counters
        self._memory = memory
        self._round = write_round
        self._defects = defects
        self._keepalive = settings.tcp_keepalive
        self._timeout = settings.timeout
        self._in_block_since = 0.0  # since when SETTINGS, or the rest of a block, is awaited; 0: it is not
        self._is_heard = True  # True if bytes came since `end_if_unreachable` has looked
        self._is_paused = False  # True while it is not read, since the transport is full
        self._counted = 0  # bytes that the memory knows of
        self._unfinished = 0  # the same, of an unfinished frame or block

    # -- for the pool and the streams -----------------------------------------------------------------------------

    def on_stream_end(self) -> None:
        core = self.core
        if self._counted:
            self.note_memory()
        if core.streams:
            if core.can_open():
                self._owner.on_room(self)
            return
        self.idle_since = monotonic()
        if core.is_leaving or self.endpoint.removed:
            self.close()
        else:
            self._owner.on_room(self)

    def read_small(self) -> None:
        if self._memory.add_small(self):
            self.core.keep_small(small=True)

    def read_large(self) -> None:
        """Give as much credit as ever: memory is not short any more."""
        self.core.keep_small(small=False)

    def end_for_memory(self) -> None:
        """Lose all streams: of all connections this one holds most of what is not finished, and it is too much."""
        self._unfinished = 0
        self._counters.count_unfinished_ended()
        self._lose_all(local_replies.NO_BUFFER)
        self.transport.abort()

    def close(self) -> None:
        """Close it in order. It has no stream."""
        if not self.is_closed:
            self.core.go_away(NO_ERROR, "")
            self.write_output()
            self.core.is_broken = True  # no attempt may begin here
            self.transport.close()

    def abort(self) -> None:
        """Close it at once."""
        self.transport.abort()

    def tick(self, now: float) -> None:
        """Lose all streams if SETTINGS, or the rest of a block of fields, do not come. Call it once a second."""
        core = self.core
        core.work.note_tick()
        if not core.is_in_block:
            self._in_block_since = 0.0
        elif not self._in_block_since:
            self._in_block_since = now
        elif now - self._in_block_since >= self._timeout:
            core.fail(SETTINGS_TIMEOUT, "its SETTINGS, or the rest of a head, did not come in time")

    def end_if_unreachable(self) -> None:
        """Lose all streams if the endpoint's host is gone, though something is under way to it.

        TCP keepalive finds it while nothing is. Call it once a second while there are streams.
        """
        if self._is_heard:
            self._is_heard = False
        elif is_unreachable(self.transport.get_extra_info("socket"), self._keepalive):
            self._lose_all(local_replies.CONNECTION_CLOSED)
            self.transport.abort()

    # -- for the event loop ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("Transport", transport)
        report_untaken(self.transport)
        self.endpoint.connection_opened()
        self.idle_since = monotonic()
        self.core.begin()
        if self._memory.is_short:
            self.read_small()

    def data_received(self, data: bytes) -> None:
        self._is_heard = True
        self._counters.count_received(len(data))
        self._round.begin_read()
        try:
            self.core.receive(data)
        except Exception as defect:  # noqa: BLE001 - whatever the peer wrote, it ends no more than this connection
            self._fail(defect)
        finally:
            self._round.end_read()
        if self.core.is_held and not (self._is_paused or self.transport.is_closing()):
            self._is_paused = True
            self.transport.pause_reading()
        self.note_memory()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self.endpoint.connection_closed()
        self._memory.forget(self)
        self.untaken.note_taken()
        self._owner.on_closed(self)
        self._lose_all(local_replies.CONNECTION_CLOSED if error is None else connect_errors.of_breaking(error))
        self.note_memory()
        self._leave_core()

    def pause_writing(self) -> None:
        self.untaken.note_full()
        self.core.hold_output()  # reading is paused by the next read: within a handshake it would never end

    def resume_writing(self) -> None:
        self.untaken.note_taken()
        self.core.resume_output()
        if self._is_paused:
            self._is_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    # -- output ---------------------------------------------------------------------------------------------------

    def on_output(self) -> None:
        self._round.add(self)

    def write_output(self) -> None:
        try:
            self._write_output()
        except Exception as defect:  # noqa: BLE001 - the others of the round go on
            self._fail(defect)

    def _write_output(self) -> None:
        if self.is_closed or self.transport.is_closing():
            return
        pieces = self.core.output()
        size = 0
        for piece in pieces:
            size += len(piece)
        if size:
            self._counters.count_sent(size)
            self.untaken.note_write(size)
            if size <= _MAX_JOINED:
                self.transport.write(b"".join(pieces) if len(pieces) > 1 else pieces[0])
            else:
                self.transport.writelines(pieces)
        if self.core.queued or self._counted:
            self.note_memory()

    def note_memory(self) -> None:
        """Report the bytes that wait here beyond this connection's share, and those of an unfinished frame."""
        core = self.core
        held = max(0, core.queued + core.held - SHARE)
        if held != self._counted:
            change, self._counted = held - self._counted, held
            self._memory.change(change)
        kept = 0 if self.is_closed else core.kept
        if kept != self._unfinished:
            self._unfinished = kept
            self._memory.unfinished.note(self, kept)

    # -- of the whole connection -----------------------------------------------------------------------------------

    @abstractmethod
    def _leave_core(self) -> None:
        """Be the core's handler no more: the two would be a circle. Responses that came whole can be taken on."""

    @abstractmethod
    def _lose_all(self, cause: Cause) -> None:
        """Lose all streams. Those whose heads were never given to the transport are unprocessed."""

    def _fail(self, defect: Exception) -> None:
        """End the connection after an unexpected exception."""
        self._defects.note(defect)
        self._lose_all(local_replies.DEFECT)
        self.transport.abort()

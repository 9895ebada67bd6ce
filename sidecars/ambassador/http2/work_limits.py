"""Bounds on the work that a peer can cause, not on its rates (RFC 9113 section 10.5).

An honest client cancels a thousand calls a second. So a peer may cause any work that comes with progress of a stream,
and a bounded amount without, between two ticks of the clock. An honest peer of a quiet stream sends PINGs for days: so
each tick, about once a second, forgives what came before.

    control frames        1,000 in a tick without any progress of a stream: SETTINGS, PING, RST_STREAM, PRIORITY,
                          WINDOW_UPDATE, refused requests, frames of unknown types, HEADERS behind a reset of ours
    empty DATA frames     100 in a row, without bytes of a body or a head between them
    1xx                   64 before a response
    one block of fields   64 KiB compressed, 16 frames, of which one may be empty
    streams               100 on each connection, and for an app two more for each one whose response has begun; three
                          for each place of MAX_CONNECTIONS, of all connections of the app together

Progress is a head that is reported, or bytes of a body in either direction. Beyond a bound the connection ends with
ENHANCE_YOUR_CALM. Acknowledgements never pile up: a connection is not read while its transport is full.
"""

from __future__ import annotations

from typing import Final

from sidecars.ambassador.http2.frames import ENHANCE_YOUR_CALM, ProtocolError

_CONTROL_FRAMES: Final = 1000
_EMPTY_DATA: Final = 100
_BLOCK: Final = 64 * 1024  # bytes
_BLOCK_FRAMES: Final = 16
STREAMS_EACH: Final = 100  # that are open at once on a connection, unless the peer allows fewer
MOST_INTERIM: Final = 64  # 1xx responses before the final one
MOST_UNACKNOWLEDGED: Final = 4  # SETTINGS of ours
STREAMS_A_PLACE: Final = 3  # streams of HTTP/2 that take as much memory as a connection of HTTP/1.1


def endpoint_connections(max_connections: int) -> int:
    """Return the number of connections to endpoints that carry all streams which MAX_CONNECTIONS admits."""
    return -(-STREAMS_A_PLACE * max_connections // STREAMS_EACH)


class WorkLimits:
    """The work of one peer since the last progress of a stream. The connection owns it."""

    __slots__ = ("_control", "_empty")

    def __init__(self) -> None:
        self._control: int = 0
        self._empty: int = 0

    def note_progress(self) -> None:
        self._control = 0

    def note_body(self) -> None:
        """Note bytes of a body from the peer."""
        self._control = self._empty = 0

    def note_head(self) -> None:
        """Note a head, or trailers, of a stream that is open: empty DATA before it are in no row with those behind."""
        self._empty = 0

    def note_tick(self) -> None:
        """Forgive the control frames that came before this tick of the clock."""
        self._control = 0

    def count_control(self) -> None:
        """Count a frame that only we have work with. Raises ProtocolError."""
        self._control += 1
        if self._control > _CONTROL_FRAMES:
            raise ProtocolError(ENHANCE_YOUR_CALM, f"{_CONTROL_FRAMES} control frames came without any progress")

    def count_empty(self) -> None:
        """Count a DATA frame without data and without an end. Raises ProtocolError."""
        self._empty += 1
        if self._empty > _EMPTY_DATA:
            raise ProtocolError(ENHANCE_YOUR_CALM, f"{_EMPTY_DATA} empty DATA frames came in a row")


class BlockCollector:
    """Collects a block of fields that comes in HEADERS and CONTINUATION. Nothing is decoded before it is whole."""

    __slots__ = ("_block", "_empty", "_frames", "ends_stream", "stream_id")

    def __init__(self) -> None:
        self.stream_id: int = 0  # 0: no block is unfinished
        self.ends_stream = False
        self._block = bytearray()
        self._frames: int = 0
        self._empty: int = 0

    def begin(self, stream_id: int, fragment: bytes, *, ends_stream: bool) -> None:
        """Begin a block with the fragment of HEADERS. Raises ProtocolError."""
        self.stream_id = stream_id
        self.ends_stream = ends_stream
        self._frames = self._empty = 0
        self.add(fragment)

    def add(self, fragment: bytes) -> None:
        """Add the fragment of a CONTINUATION. Raises ProtocolError."""
        self._frames += 1
        if not fragment:
            self._empty += 1
        self._block += fragment
        if self._frames > _BLOCK_FRAMES or self._empty > 1 or len(self._block) > _BLOCK:
            raise ProtocolError(ENHANCE_YOUR_CALM, "a block of fields has too many frames, or is too large")

    def take(self) -> bytes:
        """Return the whole block."""
        block = bytes(self._block)
        self._block = bytearray()
        self.stream_id = 0
        return block

    def kept(self) -> int:
        """Return the bytes of an unfinished block."""
        return len(self._block)

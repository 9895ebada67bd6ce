"""One stream: its two halves, the bytes of this read, and those that wait to be sent. And how the last ones ended.

States of RFC 9113 section 5.1, as the two flags of `Stream` say them:

    is_received   is_sent
    False         False     open
    True          False     half-closed (remote): the peer's message is complete
    False         True      half-closed (local): ours is complete
    True          True      closed: it is in ClosedStreams instead of the connection's table

An id that is in neither was never opened, or has been forgotten. Frames for a forgotten one are ignored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final

from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.heads import RequestHead, ResponseHead

NOT_RESET: Final = -1
ANY_LENGTH: Final = -1  # the peer has announced no length of its body
_REMEMBERED: Final = 256  # streams

# Kinds of streams that are not open.
IDLE: Final = 0  # never opened
ENDED_BY_PEER: Final = 1  # the peer has completed or reset it: it may send nothing more
ENDED_BY_US: Final = 2  # we have reset it: what comes is late, and ignored
FORGOTTEN: Final = 3

_NO_TRAILERS: Final[list[Field]] = []


class Stream:
    """One stream. The connection owns it; only `user` and `is_head` are the handler's.

    - `user`: the handler's object for this stream.
    - `is_head`: True if the request is a HEAD, whose response has no body; set before the response can come.
    - `queued`: bytes that wait for a window.
    """

    __slots__ = (
        "expected",
        "has_end",
        "has_head",
        "held",
        "id",
        "interim_count",
        "interims",
        "is_busy",
        "is_full",
        "is_head",
        "is_malformed",
        "is_paused",
        "is_received",
        "is_reported",
        "is_reset",
        "is_sent",
        "is_too_large",
        "is_touched",
        "is_unprocessed",
        "is_waiting",
        "pieces",
        "problem",
        "queue",
        "queued",
        "receive_window",
        "rejected_type",
        "rejection",
        "request",
        "reset_code",
        "response",
        "sends_end",
        "trailer_block",
        "trailers",
        "user",
        "window",
    )

    def __init__(self, stream_id: int, window: int, receive_window: int) -> None:
        self.id = stream_id
        self.user: object = None
        self.is_head = False
        # -- what the peer sends
        self.is_received = False  # True if it may send nothing more
        self.has_end = False  # True if its message is complete
        self.has_head = False  # True if the head of its message came (of a response: the final one)
        self.receive_window = receive_window  # bytes that it may send
        self.expected = ANY_LENGTH  # bytes of its body that are missing
        self.is_paused = False  # True if the handler takes no more of the body
        # -- what came and is not reported yet
        self.is_touched = False
        self.request: RequestHead | None = None
        self.response: ResponseHead | None = None
        self.interims: list[ResponseHead] | None = None
        self.interim_count: int = 0  # of all 1xx, those that were reported included
        self.pieces: list[bytes] = []
        self.held: int = 0  # bytes in `pieces`
        self.trailers: list[Field] = _NO_TRAILERS
        self.reset_code = NOT_RESET
        self.is_unprocessed = False
        self.rejection = 0  # the status for a request that is not reported because of its head
        self.rejected_type = b""
        self.problem = ""  # why the message is malformed
        self.is_too_large = False  # True if `problem` is that it has too many fields, or too large ones
        self.is_malformed = False  # True once that is reported: nothing more is taken
        self.is_reported = False  # True once the end, or the reset, is reported
        # -- what we send
        self.is_sent = False  # True if our message is written, or the stream was reset
        self.is_reset = False  # True if either side has reset it
        self.is_busy = False  # True while it counts for MAX_CONCURRENT_STREAMS
        self.window = window  # bytes that we may send; negative after the peer has lowered its setting
        self.queue: list[bytes] = []
        self.queued: int = 0
        self.is_waiting = False  # True if it stands in the sender's turns
        self.is_full = False  # True if `send_body` has returned False
        self.sends_end = False  # True if the end stands behind the queue
        self.trailer_block = b""

    @property
    def is_closed(self) -> bool:
        return self.is_received and self.is_sent

    def take_pieces(self) -> Sequence[bytes]:
        """Return the pieces of the body that are held, and hold them no more."""
        pieces = self.pieces
        if pieces:
            self.pieces = []
            self.held = 0
        return pieces

    def drop_queue(self) -> int:
        """Forget the pieces that wait to be sent; return the number of their bytes."""
        queued, self.queued = self.queued, 0
        if queued:
            self.queue = []
        self.sends_end = False
        return queued


def largest(streams: Iterable[Stream], most: int) -> Stream | None:
    """Return the stream that holds most of a body; None if none holds more than `most` bytes."""
    found: Stream | None = None
    for stream in streams:
        if stream.held > most:
            most = stream.held
            found = stream
    return found


class StreamBudget(ABC):
    """The streams of several connections, which have a limit together. Who accepts the connections owns it."""

    @abstractmethod
    def has_room(self) -> bool:
        """Return True if another stream may be opened."""

    @abstractmethod
    def count_streams(self, change: int) -> None:
        """Count so many streams more, or fewer."""


class ClosedStreams:
    """How the last streams ended, by their ids. The connection owns it.

    An id that has fallen out of it is forgotten: the peer's frames for it are late, and no error.
    """

    __slots__ = ("_forgotten", "_ids", "_kinds", "_next")

    def __init__(self) -> None:
        self._kinds: dict[int, int] = {}
        self._ids: list[int] = []  # a ring of the same ids, in the order in which they ended
        self._next: int = 0  # the place of the oldest one
        self._forgotten: int = 0  # the highest id that has fallen out

    def add(self, stream_id: int, kind: int) -> None:
        """Remember that this stream has ended: ENDED_BY_PEER or ENDED_BY_US."""
        ids, kinds, at = self._ids, self._kinds, self._next
        if len(ids) < _REMEMBERED:
            ids.append(stream_id)
        else:  # not the first one of the dict: to find it costs a step for each one that was deleted before
            oldest = ids[at]
            ids[at] = stream_id
            self._next = at + 1 if at + 1 < _REMEMBERED else 0
            if oldest in kinds:
                del kinds[oldest]
            self._forgotten = max(self._forgotten, oldest)
        kinds[stream_id] = kind

    def kind(self, stream_id: int) -> int:
        """Return how this stream ended, which is not open and not above the highest one: IDLE if it was skipped."""
        kind = self._kinds.get(stream_id, IDLE)
        if kind == IDLE and stream_id <= self._forgotten:
            return FORGOTTEN
        return kind

"""The positions of all sinks in one file, and the file's accounts in the ledgers.

For each sink there are two positions:

    file:  │ settled │ in flight │ unread, up to `state.size` │
           0      position   read_position

- `position`: the sink has decided on everything before it. It is in the saved state.
- `read_position`: chunks up to here were read for the sink; they are settled or in flight.

| event | `position` | `read_position` | ledger |
|---|---|---|---|
| the file grew | | | read |
| a chunk is sent | | its end | |
| the sink has decided on the oldest chunk in flight | its end | | delivered, dropped |
| the rest of the file is out of reach | `state.size` | `state.size` | dropped |

Invariant: `pending` is the ledger's `read - delivered - dropped` at all times. Chunks are settled in the order in which
they were sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import START, Fingerprint
from sidecars.logshipper.model.ledger import HOLE, LOST, ArrivalTimes, Ledger
from sidecars.logshipper.model.records import Dropped
from sidecars.logshipper.state.checkpoint import FileState


class SinkPositions:
    """Base of `Tail`: it changes `state.size` and `state.positions`, and nothing else does."""

    def __init__(self, state: FileState, ledgers: Mapping[str, Ledger]) -> None:
        self.state = state
        self._ledgers = ledgers
        self._arrival_times = ArrivalTimes()
        self._in_flight: dict[str, deque[Fingerprint]] = {}  # sink -> the ends of its chunks in flight, in order
        for sink, ledger in ledgers.items():
            ledger.open(state.generation)
            ledger.read(state.generation, self.pending(sink))  # seen by an earlier process, and not shipped

    def position(self, sink: str) -> Fingerprint:
        """Return the position up to which the sink has decided on everything."""
        return self.state.positions.get(sink, START)

    def read_position(self, sink: str) -> Fingerprint:
        """Return the position up to which chunks were read for the sink."""
        in_flight = self._in_flight.get(sink)
        return in_flight[-1] if in_flight else self.position(sink)

    def pending(self, sink: str) -> int:
        """Return the number of bytes that the sink has not decided on."""
        return self.state.size - self.position(sink).offset

    def unread(self, sink: str) -> int:
        """Return the number of bytes that were not read for the sink yet."""
        return self.state.size - self.read_position(sink).offset

    def is_unread(self) -> bool:
        """Return True if there are bytes that were not read for some sink yet."""
        return any(self.unread(sink) for sink in self._ledgers)

    def in_flight(self, sink: str) -> bool:
        """Return True if a chunk of the file is in flight to the sink."""
        return bool(self._in_flight.get(sink))

    def settled(self) -> bool:
        """Return True if nothing of the file is pending or in flight, for any sink."""
        return not any(self.in_flight(sink) or self.pending(sink) for sink in self._ledgers)

    # -- changes -----------------------------------------------------------------------------------------------------

    def count_growth(self, size: int, now: float) -> None:
        """Note that the file has grown to this size."""
        for ledger in self._ledgers.values():
            ledger.read(self.state.generation, size - self.state.size)
        self.state.size = size
        self._arrival_times.grew(size, now)

    def count_removed_nuls(self, size: int) -> None:
        """Note that the file has shrunk to this size, and that only NULs were cut off."""
        for ledger in self._ledgers.values():
            ledger.dropped(self.state.generation, HOLE, self.state.size - size)
        self.state.size = size

    def mark_in_flight(self, sink: str, chunk: Chunk) -> None:
        """Note that the chunk is sent: `read_position` moves to its end."""
        self._in_flight.setdefault(sink, deque()).append(chunk.next_position)

    def settle(self, sink: str, chunk: Chunk, dropped: Dropped) -> None:
        """Move `position` to the end of the chunk: the sink has accepted all of it except what was `dropped`."""
        generation, ledger = self.state.generation, self._ledgers[sink]
        size, lines = len(chunk.data), chunk.lines
        if chunk.start > chunk.position:
            ledger.dropped(generation, chunk.gap_reason, chunk.start - chunk.position)
        for reason, (bytes_dropped, lines_dropped) in dropped.items():
            ledger.dropped(generation, reason, bytes_dropped, lines_dropped)
            size, lines = size - bytes_dropped, lines - lines_dropped
        ledger.delivered(generation, size, lines)
        self._move_position(sink, chunk.next_position)

    def _move_position(self, sink: str, position: Fingerprint) -> None:
        self.state.positions[sink] = position
        if self.in_flight(sink):
            self._in_flight[sink].popleft()
        if not any(self.pending(name) for name in self._ledgers):
            self._arrival_times.forget_before(self.state.size)

    def give_up(self, sink: str, length: int) -> int:
        """Count everything that the sink has not decided on as dropped. Return the number of lost bytes.

        `length` is that of the file if it is open, else 0. What is still in it are NULs, which count as a hole.
        """
        pending = self.pending(sink)
        nuls = max(0, length - self.position(sink).offset)
        for reason, count in ((HOLE, nuls), (LOST, pending - nuls)):
            if count:
                self._ledgers[sink].dropped(self.state.generation, reason, count)
        if pending:
            self.state.positions[sink] = Fingerprint(self.state.size, 0, "")
        return pending - nuls

    def close_accounts(self) -> None:
        """End the file's accounts. Everything in it must have been delivered or dropped."""
        for ledger in self._ledgers.values():
            ledger.close(self.state.generation)

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

A sink that does not get the lines of the file's input (`INPUTS`) has no position and no account: nothing is pending.

Invariant: `pending` is the ledger's `read - delivered - dropped` at all times. Chunks are settled in the order in which
they were sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import START, Fingerprint
from sidecars.logshipper.model.ledger import HOLE, IGNORED, LOST, ArrivalTimes, Ledger
from sidecars.logshipper.model.records import Dropped
from sidecars.logshipper.state.file_state import FileState


class SinkPositions:
    """Base of `Tail`: it changes `state.size` and `state.positions`, and nothing else does."""

    __slots__ = ("_arrival_times", "_in_flight", "_ledgers", "state")

    def __init__(self, state: FileState, ledgers: Mapping[str, Ledger]) -> None:
        self.state = state
        self._ledgers = ledgers
        # Both are None while there is nothing to remember, since most of very many files are idle.
        self._arrival_times: ArrivalTimes | None = None
        self._in_flight: dict[str, deque[Fingerprint]] | None = None  # sink -> the ends of its chunks, in order
        for sink, ledger in ledgers.items():
            ledger.open(state.generation)
            ledger.read(state.generation, self.pending(sink))  # seen by an earlier process, and not shipped

    @property
    def sinks(self) -> Collection[str]:
        """The sinks that get the lines of this file: those of each input that it belonged to in this process."""
        return self._ledgers.keys()

    def add_sinks(self, ledgers: Mapping[str, Ledger], *, at_end: bool) -> None:
        """Let these sinks get the lines, too: the file was found in another input. `at_end`: only those from now on.

        No sink is taken away: earlier lines belong to the sinks of that time.
        """
        new = {sink: ledger for sink, ledger in ledgers.items() if sink not in self._ledgers}
        if new:
            self._ledgers = {**self._ledgers, **new}
        for sink, ledger in new.items():
            if at_end:
                self.state.set_position(sink, Fingerprint(self.state.size, 0, ""))
            ledger.open(self.state.generation)
            ledger.read(self.state.generation, self.pending(sink))

    def position(self, sink: str) -> Fingerprint:
        """Return the position up to which the sink has decided on everything; the end if it does not get the lines."""
        position = self.state.position(sink)
        if position is not None:
            return position
        return START if sink in self._ledgers else Fingerprint(self.state.size, 0, "")

    def read_position(self, sink: str) -> Fingerprint:
        """Return the position up to which chunks were read for the sink."""
        in_flight = self._in_flight.get(sink) if self._in_flight else None
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
        return self._in_flight is not None and bool(self._in_flight.get(sink))

    def settled(self) -> bool:
        """Return True if nothing of the file is pending or in flight, for any sink."""
        return not any(self.in_flight(sink) or self.pending(sink) for sink in self._ledgers)

    # -- changes -----------------------------------------------------------------------------------------------------

    def count_growth(self, size: int, now: float) -> None:
        """Note that the file has grown to this size."""
        for ledger in self._ledgers.values():
            ledger.read(self.state.generation, size - self.state.size)
        self.state.size = size
        if self._arrival_times is None:
            self._arrival_times = ArrivalTimes(size, now)
        else:
            self._arrival_times.grew(size, now)

    def note_size(self, size: int, now: float) -> None:
        """Note that the closed file had this size at the last look: the bytes by which it has grown are pending."""
        if size > self.state.size:
            self.count_growth(size, now)

    def count_removed_nuls(self, size: int) -> None:
        """Note that the file has shrunk to this size, and that only NULs were cut off."""
        for ledger in self._ledgers.values():
            ledger.dropped(self.state.generation, HOLE, self.state.size - size)
        self.state.size = size

    def mark_in_flight(self, sink: str, chunk: Chunk) -> None:
        """Note that the chunk is sent: `read_position` moves to its end."""
        if self._in_flight is None:
            self._in_flight = {}
        self._in_flight.setdefault(sink, deque()).append(chunk.next_position)

    def settle(self, sink: str, chunk: Chunk, dropped: Dropped) -> None:
        """Move `position` to the end of the chunk: the sink has accepted all of it except the bytes in `dropped`."""
        generation, ledger = self.state.generation, self._ledgers[sink]
        size, lines = chunk.size, chunk.lines
        if chunk.start > chunk.position:
            ledger.dropped(generation, chunk.gap_reason, chunk.start - chunk.position)
        for reason, (bytes_dropped, lines_dropped) in dropped.items():
            ledger.dropped(generation, reason, bytes_dropped, lines_dropped)
            size, lines = size - bytes_dropped, lines - lines_dropped
        ledger.delivered(generation, size, lines)
        self._move_position(sink, chunk.next_position)

    def _move_position(self, sink: str, position: Fingerprint) -> None:
        self.state.set_position(sink, position)
        if self._in_flight is not None and self._in_flight.get(sink):
            self._in_flight[sink].popleft()
            if not any(self._in_flight.values()):
                self._in_flight = None
        if not any(self.pending(name) for name in self._ledgers):
            self._arrival_times = None

    def ignore_all(self) -> None:
        """Count everything in the new file as dropped, since it is too old: the positions are at its end already."""
        for sink, ledger in self._ledgers.items():
            size = self.position(sink).offset
            ledger.read(self.state.generation, size)
            ledger.dropped(self.state.generation, IGNORED, size)

    def give_up(self, sink: str, length: int, why: str = LOST) -> int:
        """Count everything that the sink has not decided on as dropped. Return the number of lost bytes.

        `length` is that of the file if it is open, else 0. The rest of it is NULs, which count as a hole.
        """
        pending = self.pending(sink)
        nuls = max(0, length - self.position(sink).offset)
        for reason, count in ((HOLE, nuls), (why, pending - nuls)):
            if count:
                self._ledgers[sink].dropped(self.state.generation, reason, count)
        if pending:
            self.state.set_position(sink, Fingerprint(self.state.size, 0, ""))
        return pending - nuls

    def close_accounts(self) -> None:
        """End the file's accounts. Everything in it must have been delivered or dropped."""
        for ledger in self._ledgers.values():
            ledger.close(self.state.generation)

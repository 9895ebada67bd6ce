"""One file that is followed: its open descriptor, how far each sink has it, and the next part for a sink.

The descriptor is held from the moment the file is found, so that renaming or deleting it takes nothing away; where
there are more files than descriptors the file is *parked*: closed, and opened again when it changes or is read. A read
takes the bytes before the position along and compares them with what is remembered: a file that was cut and refilled
under us is noticed by the very read that would otherwise have gone on in the middle of a line.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping

from sidecars.logshipper.input import cutting_rules
from sidecars.logshipper.input.cutting_rules import CuttingRules
from sidecars.logshipper.model import fingerprint, line_cutting
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import (
    POSITION_LENGTH,
    PREFIX_LENGTH,
    START,
    Fingerprint,
    ReadAt,
    position_fingerprint,
    prefix_fingerprint,
)
from sidecars.logshipper.model.ledger import CUT, HOLE, LOST, ArrivalTimes, Ledger
from sidecars.logshipper.model.line_cutting import Ending
from sidecars.logshipper.model.records import Dropped
from sidecars.logshipper.state.checkpoint import ChunkRange, FileState

_TRAIL = 32  # earlier positions that are remembered
HEAD = 64  # bytes
LINE_ROOM = 32  # bytes of a batch's room that even an empty line takes: as a record it has a hundred

_Look = tuple[int, int, Ending, bool]


class FileTruncated(Exception):
    """The file is no longer what it was: it was truncated, or truncated and refilled."""


def first_bytes(read_at: ReadAt) -> bytes:
    """For telling most files apart without reading more of them."""
    return read_at(0, HEAD).partition(b"\0")[0]


class Tail:
    """A generation that is followed, with its books in the ledgers of all sinks."""

    def __init__(self, state: FileState, rules: CuttingRules, ledgers: Mapping[str, Ledger], now: float) -> None:
        self.state = state
        self.rules = rules
        self.descriptor: int | None = None
        self.arrival_times = ArrivalTimes()
        self.quiet_since = now
        self.ending = Ending.OPEN  # of its last line
        self.parked = False  # closed to save a descriptor, and to be opened again where it was
        self.dormant = False  # known from the state, and cannot be opened for now
        self.recent_fingerprints: deque[Fingerprint] = deque(maxlen=_TRAIL)
        self.head = b""
        self.beginning = b""  # more of it, where others have the same head
        self.folder = ""  # the directory that it is really in, whatever symlinks lead there
        self._modified = 0
        self._ledgers = ledgers
        self._length = 0  # of the file itself; a copy that we go on in may be shorter than what we have seen
        self._event_over = rules.boundary is None  # nothing more belongs to the last whole line
        self._waiting: dict[str, _Look] = {}  # sink -> how the file was when no whole event was left
        self._flying: dict[str, deque[Fingerprint]] = {}  # sink -> where the parts on their way end, in order
        for sink, ledger in ledgers.items():
            ledger.open(state.generation)
            ledger.read(state.generation, self.pending(sink))  # what an earlier process saw and did not ship

    # -- where things are --------------------------------------------------------------------------------------------

    def position(self, sink: str) -> Fingerprint:
        """Up to here the sink has decided."""
        return self.state.positions.get(sink, START)

    def read_position(self, sink: str) -> Fingerprint:
        """Up to here parts were given to the sink: they are settled or on their way."""
        flying = self._flying.get(sink)
        return flying[-1] if flying else self.position(sink)

    def pending(self, sink: str) -> int:
        return self.state.size - self.position(sink).offset

    def waiting(self, sink: str) -> int:
        """Bytes that were not given to the sink yet."""
        return self.state.size - self.read_position(sink).offset

    def idle(self, sink: str) -> bool:
        """Whether there is nothing that the sink could be given now: it was given all, or an event's end is missing."""
        if not self.waiting(sink) or not self.reachable:
            return True
        return self._waiting.get(sink) == self._look()

    def _look(self) -> _Look:
        return (self.state.size, self._modified, self.ending, self._event_over)

    def in_flight(self, sink: str) -> bool:
        return bool(self._flying.get(sink))

    def settled(self) -> bool:
        """Whether every sink has all of it, and nothing is on its way."""
        return not any(self.in_flight(sink) or self.pending(sink) for sink in self._ledgers)

    def oldest(self, sink: str) -> float | None:
        """Since when something has been waiting for the sink; an unfinished line does not wait for it."""
        if self.idle(sink) and not self.in_flight(sink):
            return None
        return self.arrival_times.since(self.position(sink).offset)

    # -- looking -----------------------------------------------------------------------------------------------------

    @property
    def reachable(self) -> bool:
        """True if the file is open, or can be opened again where it was."""
        return self.descriptor is not None or self.parked

    def hold(self, descriptor: int) -> None:
        """Follow this open file from now on."""
        self.release()
        self.descriptor = descriptor
        self.dormant = False
        self._length = 0
        self._waiting.clear()
        self.recent_fingerprints.clear()
        if self.state.seen.length and self.state.seen.matches_file(self.read_at):
            self.recent_fingerprints.append(self.state.seen)

    def release(self) -> None:
        self.parked = False
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def park(self) -> None:
        """Close the file for now. What is known of it stays."""
        self.release()
        self.parked = True

    def unpark(self, descriptor: int) -> None:
        """Go on with the file, opened again."""
        self.descriptor, self.parked = descriptor, False

    def looks_unchanged(self, status: os.stat_result) -> bool:
        """Return True if the status is that of the file as it was seen last."""
        return (
            (status.st_dev, status.st_ino) == (self.state.device, self.state.inode)
            and status.st_size == self._length
            and status.st_mtime_ns == self._modified
        )

    def rest(self, now: float) -> bool:
        """Note that a parked file did not change. Return True when this ends the last event of several lines."""
        return self._event_ends(now)

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self.descriptor, length, offset) if self.descriptor is not None else b""

    def poll(self, now: float) -> bool:
        """Look how large the file is. True when it grew or was written to; raises Changed when it was cut."""
        if self.descriptor is None:
            return False
        status = os.fstat(self.descriptor)
        if status.st_size < self.state.size:
            self._trim(status.st_size)
        if status.st_size < self._length:
            raise FileTruncated
        if status.st_size == self._length and status.st_mtime_ns == self._modified:
            return self._event_ends(now)
        self._check_content(status.st_size)
        self._length, self._modified = status.st_size, status.st_mtime_ns
        if len(self.head) < HEAD:
            self.head = first_bytes(self.read_at)
        self.quiet_since, self.ending = now, Ending.OPEN
        self._event_over = self.rules.boundary is None
        self._grew(status.st_size, now)
        return True

    def _event_ends(self, now: float) -> bool:
        """Nothing new: whether this is the moment from which on the last event of several lines is taken to be over."""
        if self._event_over or now < self.quiet_since + self.rules.patience:
            return False
        self._event_over = True
        return any(self.waiting(sink) for sink in self._ledgers)

    def event_due(self) -> float | None:
        """When the last event will be over unless it goes on; None when it is, or nobody waits for it."""
        if self._event_over or not any(self.waiting(sink) for sink in self._ledgers):
            return None
        return self.quiet_since + self.rules.patience

    def _trim(self, size: int) -> None:
        """The file ends earlier. If all that is remembered of it is still there, what went were NULs at its end.

        A writer that allocates beforehand cuts off the rest when it closes the file.
        """
        fingerprints = [self.state.prefix, self.state.seen, *self.state.positions.values()]
        if (
            not fingerprint.same_content(fingerprints, size, self.read_at)
            or max(mark.offset for mark in fingerprints) > size
        ):
            return
        for ledger in self._ledgers.values():
            ledger.dropped(self.state.generation, HOLE, self.state.size - size)
        self.state.size = size
        self._length = min(self._length, size)

    def _grew(self, size: int, now: float) -> None:
        if size > self.state.size:
            for ledger in self._ledgers.values():
                ledger.read(self.state.generation, size - self.state.size)
            self.state.size = size
            self.arrival_times.grew(size, now)
            self._remember_prefix(size)
            last = self.read_at(max(0, size - POSITION_LENGTH), min(size, POSITION_LENGTH))
            if b"\0" not in last:  # or it may change yet
                self.state.seen = position_fingerprint(size, last)
                self.recent_fingerprints.append(self.state.seen)

    def _remember_prefix(self, size: int) -> None:
        known = self.state.prefix.offset
        if known < min(size, PREFIX_LENGTH):
            first, _, _ = self.read_at(0, min(size, PREFIX_LENGTH)).partition(b"\0")
            if len(first) > known:
                self.state.prefix = prefix_fingerprint(first)

    def _check_content(self, size: int) -> None:
        """Notice a file that was cut and has grown beyond its old size since the last look."""
        fingerprints = [self.state.prefix, *list(self.recent_fingerprints)[-1:]]
        if not all(
            mark.matches_file(self.read_at) for mark in fingerprints if mark.offset <= size
        ):  # a copy may be shorter
            raise FileTruncated

    def fingerprints(self) -> list[Fingerprint]:
        """What is remembered of the content, for finding it again elsewhere."""
        return [self.state.prefix, *self.state.positions.values(), *self.recent_fingerprints]

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, sink: str, room: int, *, first: bool) -> Chunk | None:
        """The next part for the sink, of at most `room` bytes; a longer event only when it is the `first` of its batch.

        None when there is nothing (more) for this batch. A part may be a gap and nothing else. Raises Changed.
        """
        at = self.read_position(sink)
        if self.rules.cut and (
            rest := cutting_rules.rest_of_a_cut_line(self.read_at, at.offset, self._length, self.rules.limit)
        ):
            return self._chunk(at, b"", rest, CUT)
        block = self._block(at, room)
        cut = self._cut(block, at.offset, whole=at.offset + len(block) >= self._length)
        if not cut.end and not cut.hole and len(block) == room:  # the event is longer than the room
            if not first:
                return None
            block = self._block(at, max(room, self.rules.limit + PREFIX_LENGTH))
            cut = self._cut(block, at.offset, whole=at.offset + len(block) >= self._length)
        if not cut.end and not cut.hole:
            self._waiting[sink] = self._look()
            return None
        chunk = self._chunk(at, block[cut.hole : cut.end], cut.hole, HOLE, partial=cut.partial)
        most = max(1, room // LINE_ROOM)
        if self.rules.boundary is not None or chunk.lines <= most:
            return chunk
        return self._chunk(at, cutting_rules.first_lines(chunk.data, most), cut.hole, HOLE)

    def reread(self, sent: ChunkRange, sink: str) -> Chunk | None:
        """The very part that was being sent when the process before this one ended; None when it is not there."""
        _, position, start, end, partial = sent
        at = self.read_position(sink)
        if end > self._length or not position <= at.offset < end:
            return None
        self._block(at, 1)  # raises Changed
        gap = max(0, start - at.offset)  # it may be a hole of any size: it is not read
        data = self.read_at(at.offset + gap, end - at.offset - gap)
        if at.offset + gap + len(data) < end:
            return None
        reason = HOLE if self.read_at(at.offset, 1) == b"\0" else CUT
        return self._chunk(at, data, gap, reason, partial=partial)

    def _block(self, position: Fingerprint, length: int) -> bytes:
        """Up to `length` bytes from the position on, checked to follow what was there before."""
        length = min(length, self._length - position.offset)
        if self.descriptor is None or length <= 0:
            return b""
        if not position.length:
            self._check_content(self._length)
        data = os.pread(self.descriptor, position.length + length, position.offset - position.length)
        if position.length and not position.matches(data[: position.length]):
            raise FileTruncated
        return data[position.length :]

    def _cut(self, block: bytes, offset: int, *, whole: bool) -> line_cutting.Cut:
        limit = self.rules.limit
        cut = line_cutting.cut(block, limit, self.ending if whole else Ending.OPEN)
        if not cut.blank:
            if self.rules.boundary is None or cut.partial:
                return cut
            over = whole and (self._event_over or self.ending is not Ending.OPEN)
            return line_cutting.cut_at_events(block, cut, limit, self.rules.boundary, over=over)
        end = cutting_rules.data_after(self.descriptor or 0, offset + len(block), self._length)
        if end is None:  # the chunk ends all that was written
            return line_cutting.cut(block, limit, self.ending)
        if block.strip(b"\0"):
            return line_cutting.piece_before_hole(block)
        return line_cutting.Cut(hole=end - offset)  # however long: it need not be read

    def _chunk(self, at: Fingerprint, data: bytes, skipped: int, gap: str, *, partial: bool = False) -> Chunk:
        state, start = self.state, at.offset + skipped
        end = start + len(data)
        before = (
            data
            if len(data) >= POSITION_LENGTH
            else self.read_at(max(0, end - POSITION_LENGTH), min(end, POSITION_LENGTH))
        )
        mark = position_fingerprint(end, before)
        return Chunk(state.generation, state.first_path, at.offset, start, data, mark, partial, state.input, gap)

    # -- moving the position -----------------------------------------------------------------------------------------

    def sending(self, sink: str, chunk: Chunk) -> None:
        """The part is on its way. Parts are settled in the order in which they left."""
        self._flying.setdefault(sink, deque()).append(chunk.next_position)

    def settle(self, sink: str, chunk: Chunk, dropped: Dropped) -> None:
        """The sink has decided: all of the part is delivered, but for what was dropped."""
        ledger, size, count = self._ledgers[sink], len(chunk.data), chunk.lines
        if chunk.start > chunk.position:
            ledger.dropped(self.state.generation, chunk.gap_reason, chunk.start - chunk.position)
        for reason, (lost, lines_lost) in dropped.items():
            ledger.dropped(self.state.generation, reason, lost, lines_lost)
            size, count = size - lost, count - lines_lost
        ledger.delivered(self.state.generation, size, count)
        self._move(sink, chunk)

    def _move(self, sink: str, chunk: Chunk) -> None:
        self.state.positions[sink] = chunk.next_position
        if self.in_flight(sink):
            self._flying[sink].popleft()
        if not any(self.pending(name) for name in self._ledgers):
            self.arrival_times.forget_before(self.state.size)

    def give_up(self, sink: str) -> int:
        """Give up what the file can no longer give to the sink. How many bytes were lost, which are counted.

        What is there and was not given before the end are NULs.
        """
        gap = self.pending(sink)
        nuls = max(0, self._length - self.position(sink).offset) if self.descriptor is not None else 0
        for reason, count in ((HOLE, nuls), (LOST, gap - nuls)):
            if count:
                self._ledgers[sink].dropped(self.state.generation, reason, count)
        if gap:
            self.state.positions[sink] = Fingerprint(self.state.size, 0, "")
        return gap - nuls

    def close_accounts(self) -> None:
        """Followed no longer. Everything in it must have been accounted for."""
        self.release()
        for ledger in self._ledgers.values():
            ledger.close(self.state.generation)

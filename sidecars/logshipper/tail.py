"""One file that is followed: its open descriptor, how far each sink has it, and the next part for a sink.

The descriptor is held from the moment the file is found, so that renaming or deleting it takes nothing away. A read
takes the bytes before the position along and compares them with what is remembered: a file that was cut and refilled
under us is noticed by the very read that would otherwise have gone on in the middle of a line.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping

from sidecars.logshipper import identity, lines
from sidecars.logshipper.checkpoint import FileState, Range
from sidecars.logshipper.identity import PREFIX, START, TAIL, Mark, Sample, prefix_mark, tail_mark
from sidecars.logshipper.ledger import HOLE, LOST, Ages, Ledger
from sidecars.logshipper.lines import Ending
from sidecars.logshipper.part import Part
from sidecars.logshipper.records import Dropped

_TRAIL = 32  # earlier positions that are remembered
_HEAD = 64  # bytes
LINE_ROOM = 32  # bytes of a batch's room that even an empty line takes: as a record it has a hundred
_PROBE = 1024 * 1024  # bytes at a time, looking for the end of a hole


class Changed(Exception):
    """The file is no longer what it was: it was truncated, or truncated and refilled."""


def first_bytes(sample: Sample) -> bytes:
    """For telling most files apart without reading more of them."""
    return sample(0, _HEAD).partition(b"\0")[0]


def _first_lines(data: bytes, most: int) -> bytes:
    if data.count(b"\n") <= most:
        return data
    return data[: len(data) - len(data.split(b"\n", most)[-1])]


class Tail:
    """A generation that is followed, with its books in the ledgers of all sinks."""

    def __init__(self, state: FileState, limit: int, ledgers: Mapping[str, Ledger], now: float) -> None:
        self.state = state
        self.limit = limit  # bytes a line may have
        self.descriptor: int | None = None
        self.ages = Ages()
        self.quiet_since = now
        self.ending = Ending.OPEN  # of its last line
        self.dormant = False  # known from the state, and cannot be opened for now
        self.trail: deque[Mark] = deque(maxlen=_TRAIL)
        self.head = b""
        self._modified = 0
        self._ledgers = ledgers
        self._length = 0  # of the file itself; a copy that we go on in may be shorter than what we have seen
        self._waiting: dict[str, tuple[int, int, Ending]] = {}  # sink -> how the file was when no whole line was left
        self._sending: dict[str, int] = {}  # sink -> where the batch on its way ends
        for sink, ledger in ledgers.items():
            ledger.open(state.id)
            ledger.read(state.id, self.pending(sink))  # what an earlier process saw and did not ship

    # -- where things are --------------------------------------------------------------------------------------------

    def position(self, sink: str) -> Mark:
        return self.state.positions.get(sink, START)

    def pending(self, sink: str) -> int:
        return self.state.size - self.position(sink).offset

    def idle(self, sink: str) -> bool:
        """Whether there is nothing that the sink could be given now: all is shipped, or a line's end is missing."""
        if not self.pending(sink) or self.descriptor is None:
            return True
        return self._waiting.get(sink) == self._look()

    def _look(self) -> tuple[int, int, Ending]:
        return (self.state.size, self._modified, self.ending)

    def in_flight(self, sink: str) -> bool:
        return sink in self._sending

    def settled(self) -> bool:
        """Whether every sink has all of it, and nothing is on its way."""
        return not self._sending and not any(self.pending(sink) for sink in self._ledgers)

    def oldest(self, sink: str) -> float | None:
        """Since when something has been waiting for the sink; an unfinished line does not wait for it."""
        return None if self.idle(sink) else self.ages.since(self.position(sink).offset)

    # -- looking -----------------------------------------------------------------------------------------------------

    def hold(self, descriptor: int) -> None:
        """Follow this open file from now on."""
        self.release()
        self.descriptor = descriptor
        self.dormant = False
        self._length = 0
        self._waiting.clear()
        self.trail.clear()
        if self.state.seen.length and self.state.seen.holds(self.sample):
            self.trail.append(self.state.seen)

    def release(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def sample(self, offset: int, length: int) -> bytes:
        return os.pread(self.descriptor, length, offset) if self.descriptor is not None else b""

    def poll(self, now: float) -> bool:
        """Look how large the file is. True when it grew or was written to; raises Changed when it was cut."""
        if self.descriptor is None:
            return False
        status = os.fstat(self.descriptor)
        if status.st_size < self.state.size:
            self._trim(status.st_size)
        if status.st_size < self._length:
            raise Changed
        if status.st_size == self._length and status.st_mtime_ns == self._modified:
            return False
        self._check_content(status.st_size)
        self._length, self._modified = status.st_size, status.st_mtime_ns
        if len(self.head) < _HEAD:
            self.head = first_bytes(self.sample)
        self.quiet_since, self.ending = now, Ending.OPEN
        self._grew(status.st_size, now)
        return True

    def _trim(self, size: int) -> None:
        """The file ends earlier. If all that is remembered of it is still there, what went were NULs at its end.

        A writer that allocates beforehand cuts off the rest when it closes the file.
        """
        marks = [self.state.prefix, self.state.seen, *self.state.positions.values()]
        if not identity.same_content(marks, size, self.sample) or max(mark.offset for mark in marks) > size:
            return
        for ledger in self._ledgers.values():
            ledger.dropped(self.state.id, HOLE, self.state.size - size)
        self.state.size = size
        self._length = min(self._length, size)

    def _grew(self, size: int, now: float) -> None:
        if size > self.state.size:
            for ledger in self._ledgers.values():
                ledger.read(self.state.id, size - self.state.size)
            self.state.size = size
            self.ages.grew(size, now)
            self._remember_prefix(size)
            last = self.sample(max(0, size - TAIL), min(size, TAIL))
            if b"\0" not in last:  # or it may change yet
                self.state.seen = tail_mark(size, last)
                self.trail.append(self.state.seen)

    def _remember_prefix(self, size: int) -> None:
        known = self.state.prefix.offset
        if known < min(size, PREFIX):
            first, _, _ = self.sample(0, min(size, PREFIX)).partition(b"\0")
            if len(first) > known:
                self.state.prefix = prefix_mark(first)

    def _check_content(self, size: int) -> None:
        """Notice a file that was cut and has grown beyond its old size since the last look."""
        marks = [self.state.prefix, *list(self.trail)[-1:]]
        if not all(mark.holds(self.sample) for mark in marks if mark.offset <= size):  # a copy may be shorter
            raise Changed

    def marks(self) -> list[Mark]:
        """What is remembered of the content, for finding it again elsewhere."""
        return [self.state.prefix, *self.state.positions.values(), *self.trail]

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, sink: str, room: int, *, first: bool) -> Part | None:
        """The next part for the sink, of at most `room` bytes; a longer line only when it is the `first` of its batch.

        None when there is nothing (more) for this batch. Raises Changed.
        """
        position = self.position(sink)
        chunk = self._chunk(position, room)
        cut = self._cut(chunk, position.offset, whole=position.offset + len(chunk) >= self._length)
        if not cut.end and not cut.hole and len(chunk) == room:  # the line is longer than the room
            if not first:
                return None
            chunk = self._chunk(position, max(room, self.limit + PREFIX))
            cut = self._cut(chunk, position.offset, whole=position.offset + len(chunk) >= self._length)
        if not cut.end and not cut.hole:
            self._waiting[sink] = self._look()
            return None
        data = _first_lines(chunk[cut.hole : cut.end], max(1, room // LINE_ROOM))
        return self._part(position, data, cut.hole, partial=cut.partial)

    def read_again(self, sent: Range, sink: str) -> Part | None:
        """The very part that was being sent when the process before this one ended; None when it is not there."""
        _, position, start, end, partial = sent
        mark = self.position(sink)
        if end > self._length or not position <= mark.offset < end:
            return None
        chunk = self._chunk(mark, end - mark.offset)
        if len(chunk) < end - mark.offset:
            return None
        hole = max(0, start - mark.offset)
        return self._part(mark, chunk[hole:], hole, partial=partial)

    def _chunk(self, position: Mark, length: int) -> bytes:
        """Up to `length` bytes from the position on, checked to follow what was there before."""
        length = min(length, self._length - position.offset)
        if self.descriptor is None or length <= 0:
            return b""
        if not position.length:
            self._check_content(self._length)
        data = os.pread(self.descriptor, position.length + length, position.offset - position.length)
        if position.length and not position.matches(data[: position.length]):
            raise Changed
        return data[position.length :]

    def _cut(self, chunk: bytes, offset: int, *, whole: bool) -> lines.Cut:
        cut = lines.cut(chunk, self.limit, self.ending if whole else Ending.OPEN)
        if not cut.blank:
            return cut
        end = self._data_after(offset + len(chunk))
        if end is None:  # the chunk ends all that was written
            return lines.cut(chunk, self.limit, self.ending)
        if chunk.strip(b"\0"):
            return lines.piece_before_hole(chunk)
        return lines.Cut(hole=end - offset)  # however long: it need not be read

    def _data_after(self, offset: int) -> int | None:
        """Where the first byte that is not NUL comes, from the offset on; None when there is none."""
        while offset < self._length:
            try:
                offset = os.lseek(self.descriptor or 0, offset, os.SEEK_DATA)
            except OSError:
                return None  # a hole to the end
            data = self.sample(offset, _PROBE)
            if not data:
                return None
            found = data.lstrip(b"\0")
            if found:
                return offset + len(data) - len(found)
            offset += len(data)
        return None

    def _part(self, position: Mark, data: bytes, hole: int, *, partial: bool) -> Part:
        start = position.offset + hole
        end = start + len(data)
        before = data if len(data) >= TAIL else self.sample(max(0, end - TAIL), min(end, TAIL))
        state, mark = self.state, tail_mark(end, before)
        return Part(state.id, state.name, position.offset, start, data, mark, partial, state.input)

    # -- moving the position -----------------------------------------------------------------------------------------

    def sending(self, sink: str, end: int) -> None:
        self._sending[sink] = end

    def settle(self, sink: str, part: Part, dropped: Dropped) -> None:
        """The sink has decided: all of the part is delivered, but for what was dropped."""
        ledger, size, count = self._ledgers[sink], len(part.data), part.lines
        if part.start > part.position:
            ledger.dropped(self.state.id, part.gap, part.start - part.position)
        for reason, (lost, lines_lost) in dropped.items():
            ledger.dropped(self.state.id, reason, lost, lines_lost)
            size, count = size - lost, count - lines_lost
        ledger.delivered(self.state.id, size, count)
        self._move(sink, part)

    def _move(self, sink: str, part: Part) -> None:
        self.state.positions[sink] = part.tail
        if self._sending.get(sink, 0) <= part.end:
            self._sending.pop(sink, None)
        if not any(self.pending(name) for name in self._ledgers):
            self.ages.forget_before(self.state.size)

    def lose(self, sink: str) -> int:
        """Give up what the file can no longer give to the sink. How many bytes were lost, which are counted.

        What is there and was not given before the end are NULs.
        """
        gap = self.pending(sink)
        nuls = max(0, self._length - self.position(sink).offset) if self.descriptor is not None else 0
        for reason, count in ((HOLE, nuls), (LOST, gap - nuls)):
            if count:
                self._ledgers[sink].dropped(self.state.id, reason, count)
        if gap:
            self.state.positions[sink] = Mark(self.state.size, 0, "")
        return gap - nuls

    def let_go(self) -> None:
        """Followed no longer. Everything in it must have been accounted for."""
        self.release()
        for ledger in self._ledgers.values():
            ledger.close(self.state.id)

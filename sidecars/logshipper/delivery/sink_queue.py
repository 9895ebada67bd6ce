"""The queue of one sink: collects its next batch from all files, and moves its positions.

The files are the queue: nothing is held in memory but the ranges of the batches in flight.

The order of reading: names in turns, so that one loud file does not delay the others; of several generations with one
name the oldest one that has unread lines. With PATH_FIELDS the files of a Pod share one turn (see `turns`). While there
are more files than descriptors, the file whose oldest byte has waited longest comes first.

Positions move here and nowhere else, each time with an entry in the journal: `sending` before a batch is sent, `settle`
when the sink has decided on all of it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecars.logshipper.config.limits import LINE_ROOM
from sidecars.logshipper.delivery.delivery_times import DeliveryTimes
from sidecars.logshipper.delivery.turns.name_turns import NameTurns
from sidecars.logshipper.input.chunk_reader import FileTruncated
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model import steps
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.records import Dropped
from sidecars.logshipper.state.sent_batches import ChunkRange, SentBatch, chunk_range
from sidecars.logshipper.state.store import Store

if TYPE_CHECKING:
    from sidecars.logshipper.delivery.turns.file_groups import Groups
    from sidecars.logshipper.transform.reduction.sink_limits import SinkLimits

Shrink = Callable[[list[Chunk]], Awaitable[None]]
ShrinkAgain = Callable[["Resent"], Awaitable[None]]

_SLICE = 1024 * 1024  # bytes that are read in one turn of the loop: about 4 ms
_PACED = 128 * 1024  # bytes that are read of a file with a rate limit: what may not pass yet is read again
_QUANTUM = 64 * 1024  # bytes of a group in a round, at least: fewer would make many small chunks
_ROUNDS = 16  # groups that a batch has room for, if it is large enough
_FILES = 16  # files that are read in one turn of the loop: about 5 ms, if each has to be opened for it
_MOST_CHUNKS = 500  # of a batch: its positions move in one turn of the loop
_LOOKED_AT = 1000  # files that are looked at in one turn of the loop: about 2 ms
_TOO_LONG = 8  # a batch is full if the next events of so many files do not fit into it: more reads would be in vain


@dataclass(slots=True, eq=False)
class Resent:
    """A batch that is read again: its chunks, when it was collected, and the note of its sink."""

    chunks: list[Chunk]
    at: int
    note: Any
    is_whole: bool = True  # False once it is known that a part of the batch is gone


class SinkQueue:
    """The lines that one sink has not accepted yet. Owned by the app, used by the sink's shipper."""

    def __init__(
        self,
        sink: str,
        follower: Follower,
        store: Store,
        now: Callable[[], int] = time.time_ns,
        groups: Groups | None = None,
    ) -> None:
        self._sink = sink
        self._follower = follower
        self._store = store
        self._now = now
        self.times = DeliveryTimes()
        self._groups = groups
        self._limits: SinkLimits | None = None
        # Of the files that are read next, also if the last batch had too many of them.
        self._turns: NameTurns[Tail] = groups.turns(_input_and_path) if groups else NameTurns()
        self._has_later = False  # True if a name in the turns may have a later generation with unread lines
        self._in_flight: deque[SentBatch] = deque()  # the batches in flight, oldest first

    def limit_by(self, limits: SinkLimits) -> None:
        """Read as much as these rate limits allow."""
        self._limits = limits

    # -- measuring -----------------------------------------------------------------------------------------------------

    def waiting(self, enough: int) -> int:
        """Return the bytes of complete lines that the sink has not been sent, `enough` at most."""
        sink, found = self._sink, 0
        for tail in self._follower.unsettled.values():
            if self._wants(tail):
                found += tail.unread(sink)
                if found >= enough:
                    return enough
        return found

    def unsettled(self) -> int:
        """Return the bytes of complete lines that the sink has not decided on."""
        sink, tails = self._sink, self._follower.unsettled.values()
        return sum(tail.pending(sink) for tail in tails if tail.in_flight(sink) or tail.has_event_for(sink))

    def oldest(self) -> float | None:
        """Return the time since which the sink's oldest byte has been waiting; None if none is."""
        times = (tail.oldest(self._sink) for tail in self._follower.unsettled.values())
        return min((time for time in times if time is not None), default=None)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def collect_batch(self, room: int, shrink: Shrink | None = None) -> list[Chunk]:
        """Read the chunks of a batch as `collect` does. Many bytes or files are read in several turns of the loop.

        `shrink` is called after each of them, and may replace chunks by ones without data.
        """
        chunks: list[Chunk] = []
        for _ in self._collect_steps(room, chunks):
            await (asyncio.sleep(0) if shrink is None else shrink(chunks))
        if shrink is not None:
            await shrink(chunks)
        return chunks

    def collect(self, room: int) -> list[Chunk]:
        """Read the chunks of a batch of at most `room` bytes (or of one longer line), in turns over the names.

        They are in flight from now on. A large batch may have several chunks of one file.
        """
        return steps.run(self._collect_steps(room))

    def _collect_steps(self, room: int, chunks: list[Chunk] | None = None) -> Generator[None, None, list[Chunk]]:
        """Return the chunks of a batch. Between two steps `chunks` has those so far; the caller may shrink them.

        A round reads the oldest generation of each name. If it has read one to its end, the next round reads the one
        after it: a log that is rotated often would otherwise give one file to a batch, and fill none.
        """
        chunks = [] if chunks is None else chunks
        while room > 0 and (taken := (yield from self._read_round(room, chunks))):
            room -= taken
        return chunks

    def _read_round(self, room: int, chunks: list[Chunk]) -> Generator[None, None, int]:
        """Add chunks to the list. Return the room that they take, or 0 if no further round has anything to read."""
        before, is_at_an_end = room, False
        if not self._turns:
            yield from self._next_turns(self._quantum(room))
        reads, left, too_long = 0, _SLICE, 0  # too_long: events that do not fit into the rest of the batch
        while self._turns and room > 0 and too_long < _TOO_LONG and len(chunks) < _MOST_CHUNKS:
            tail, credit = self._turns.next()
            most = min(room, _SLICE, credit)
            chunk = self._read(tail, most, first=not chunks)
            if chunk is None and most < min(room, _SLICE) and self._wants(tail):
                chunk = self._read(tail, min(room, _SLICE), first=not chunks)  # the event is longer than the quantum
            reads += 1
            if chunk is not None:
                chunks.append(chunk)
                tail.mark_in_flight(self._sink, chunk)
                size = _room_of(chunk)
                is_at_an_end |= not tail.has_event_for(self._sink)
                self._turns.read(size, has_more=most < room and self._wants(tail))
                room -= size
                left -= size
            else:
                self._turns.skip()
                too_long += self._wants(tail)
            if reads == _FILES or left <= 0:
                reads, left = 0, _SLICE
                yield
        if len(chunks) < _MOST_CHUNKS:
            self._turns.clear()
        return before - room if is_at_an_end and self._has_later else 0

    def resend(self) -> list[tuple[list[Chunk], int]]:
        """Read the batches again that were in flight when an earlier process ended, as far as the files have them.

        Return the chunks of each, and the instant at which they were collected. They are in flight again. The caller
        sends them as they are, in this order.
        """
        batches: list[Resent] = []
        for _ in self._resend_steps(batches):
            pass
        return [(batch.chunks, batch.at) for batch in batches]

    async def resend_batches(self, shrink: ShrinkAgain) -> list[Resent]:
        """Read the batches again as `resend` does. `shrink` is called after each chunk, as in `collect_batch`."""
        batches: list[Resent] = []
        for batch in self._resend_steps(batches):
            await shrink(batch)
        return batches

    def _resend_steps(self, batches: list[Resent]) -> Iterator[Resent]:
        """Add the batches to the list. Yield a batch each time it got one more chunk."""
        for sent in self._store.sink(self._sink).sending:
            batch = Resent([], sent.at or self._now(), sent.note)  # an older version did not write the instant
            for item in sent.ranges:
                if (chunk := self._reread(item)) is not None:
                    batch.chunks.append(chunk)
                    yield batch
            if batch.chunks:
                ranges = list(map(chunk_range, batch.chunks))
                batch.is_whole = [found[:4] for found in ranges] == [item[:4] for item in sent.ranges]
                batches.append(batch)
                self._in_flight.append(SentBatch(ranges, batch.at, batch.note if batch.is_whole else None))
        self._write_ranges()

    def _reread(self, sent: ChunkRange) -> Chunk | None:
        tail = self._follower.tails.get(sent.generation)
        chunk: Chunk | None = None
        try:
            if tail is not None and self._sink in tail.sinks and self._follower.ensure_open(tail):
                chunk = tail.reread(sent, self._sink)
        except FileTruncated:
            pass  # the next poll or read notices it
        except OSError as error:
            if tail is not None:
                self._follower.handle_read_error(tail, error)
        finally:
            self._follower.trim_open_files()
        if tail is not None and chunk is not None:
            tail.mark_in_flight(self._sink, chunk)
        return chunk

    def _read(self, tail: Tail, room: int, *, first: bool) -> Chunk | None:
        limits = self._limits
        try:
            if not self._follower.ensure_open(tail):
                return None
            if limits is None or not limits.paces(tail.state.input):
                return tail.read(self._sink, room, first=first)
            chunk = tail.read(self._sink, min(room, _PACED), first=first)
            if chunk is None or (length := limits.admit(chunk)) == chunk.size:
                return chunk
            return tail.shorten(self._sink, chunk, length) if length else None
        except FileTruncated:
            self._follower.handle_truncation(tail)
        except OSError as error:
            self._follower.handle_read_error(tail, error)
        finally:
            self._follower.trim_open_files()
        return None

    def _wants(self, tail: Tail) -> bool:
        """Return True if the file has an event for the sink that may be read now."""
        return tail.has_event_for(self._sink) and not self.is_limited(tail)

    def is_limited(self, tail: Tail) -> bool:
        """Return True if RATE_LIMIT holds the file now."""
        return self._limits is not None and not self._limits.may_read(tail.state.input, tail.state.first_path)

    def _quantum(self, room: int) -> int:
        """Return the bytes of a group in one round, for a batch of this size."""
        return min(_SLICE, max(_QUANTUM, room // _ROUNDS)) if self._groups else _SLICE

    def _next_turns(self, quantum: int) -> Generator[None, None, None]:
        """Give the turns the oldest generation of each name with unread lines."""
        oldest: dict[str, Tail] = {}
        self._has_later = False
        tails = yield from steps.sort(list(self._follower.unsettled.values()), key=_number)
        for count, tail in enumerate(tails, 1):
            if tail.state.first_path in oldest:
                self._has_later = True
            elif self._wants(tail):
                oldest[tail.state.first_path] = tail
            if count % _LOOKED_AT == 0:
                yield
        if self._follower.open_files.is_short:  # else who is at the end of the list would wait for all who are before
            oldest = dict(sorted(oldest.items(), key=lambda one: self._waits_since(one[1])))
            self._turns.fill_by_age(oldest, quantum)
        else:
            self._turns.fill(oldest, quantum)

    def _waits_since(self, tail: Tail) -> float:
        since = tail.oldest(self._sink)
        return math.inf if since is None else since

    # -- moving positions ----------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the instant of a batch that is collected now, in nanoseconds since 1970."""
        return self._now()

    def sending(self, chunks: Iterable[Chunk], at: int | None = None, note: Any = None) -> int:
        """Write to the journal that a batch of exactly these chunks is sent: it is repeated as it is after kill -9.

        `note`: of the sink. Return the instant that the journal has for the batch: `at`, or else `now`.
        """
        at = self._now() if at is None else at
        self._in_flight.append(SentBatch(list(map(chunk_range, chunks)), at, note))
        self._write_ranges()
        return at

    def note_times(self, chunks: Iterable[Chunk]) -> None:
        """Write to the journal the knowledge about the times in the files of these chunks."""
        for chunk in chunks:
            if chunk.times is not None and chunk.times.is_new:
                chunk.times.is_new = False
                if tail := self._follower.tails.get(chunk.generation):
                    self._store.record_file(tail.state)

    def age_of(self, at: int) -> float:
        """Return the seconds since the instant of a batch; 0 if the clock was set back."""
        return max(0.0, (self._now() - at) / 1e9)

    def _write_ranges(self) -> None:
        self._store.record_sending(self._sink, list(self._in_flight))

    def settle(self, chunks: Sequence[Chunk], dropped: Sequence[Dropped], receipt: Any) -> None:
        """Move the positions past the oldest batch in flight: the sink has decided on all of it.

        `dropped`: for each chunk, the bytes and lines that were not delivered, by reason.
        """
        self._in_flight.popleft()
        positions, waited, delivered = {}, 0.0, 0
        for chunk, not_delivered in zip(chunks, dropped, strict=True):
            tail = self._follower.tails[chunk.generation]  # a file with a batch in flight is never forgotten
            waited = max(waited, self._follower.waited(tail, self._sink))
            delivered += chunk.size - sum(size for size, _ in not_delivered.values())
            tail.settle(self._sink, chunk, not_delivered)
            self._follower.note_settled(tail)
            positions[chunk.generation] = chunk.next_position
        if delivered > 0:
            self.times.record(waited)
        self._store.record_decision(self._sink, positions, receipt, list(self._in_flight))

    @property
    def receipt(self) -> Any:
        """The receipt that the sink gave with its last settled batch, or when it was opened."""
        return self._store.sink(self._sink).receipt


def _input_and_path(tail: Tail) -> tuple[str, str]:
    return tail.state.input, tail.state.first_path


def _number(tail: Tail) -> int:
    return tail.number


def _room_of(chunk: Chunk) -> int:
    """Return the room that a chunk takes in its batch."""
    return max(len(chunk.data), chunk.lines * LINE_ROOM)

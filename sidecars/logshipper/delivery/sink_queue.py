"""The queue of one sink: collects its next batch from all files, and moves its positions.

The files are the queue: nothing is held in memory but the ranges of the batches in flight.

The order of reading: names in turns, so that one loud file does not delay the others; of several generations with one
name the oldest one that has unread lines. Positions move here and nowhere else, each time with an entry in the journal:
`sending` before a batch is sent, `settle` when the sink has decided on all of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from sidecars.logshipper.delivery.delivery_times import DeliveryTimes
from sidecars.logshipper.input.chunk_reader import FileTruncated
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.input.tail import LINE_ROOM, Tail
from sidecars.logshipper.model import steps
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.records import Dropped
from sidecars.logshipper.state.checkpoint import ChunkRange, chunk_range
from sidecars.logshipper.state.store import Store

_SLICE = 1024 * 1024  # bytes that are read in one turn of the loop: about 4 ms
_FILES = 16  # files that are read in one turn of the loop: about 5 ms, if each has to be opened for it
_MOST_CHUNKS = 500  # of a batch: its positions move in one turn of the loop
_LOOKED_AT = 1000  # files that are looked at in one turn of the loop: about 2 ms
_TOO_LONG = 8  # a batch is full if the next events of so many files do not fit into it: more reads would be in vain


class SinkQueue:
    """The lines that one sink has not accepted yet. Owned by the app, used by the sink's shipper."""

    def __init__(self, sink: str, follower: Follower, store: Store) -> None:
        self._sink = sink
        self._follower = follower
        self._store = store
        self.times = DeliveryTimes()
        self._last_served = ""
        self._turns: deque[Tail] = deque()  # the files that are read next, if the last batch had too many of them
        self._in_flight: deque[list[ChunkRange]] = deque()  # the ranges of the batches in flight, oldest first

    # -- measuring -----------------------------------------------------------------------------------------------------

    def waiting(self, enough: int) -> int:
        """Return the bytes of complete lines that the sink has not been sent, `enough` at most."""
        sink, found = self._sink, 0
        for tail in self._follower.unsettled.values():
            if tail.has_event_for(sink):
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

    async def collect_batch(self, room: int) -> list[Chunk]:
        """Read the chunks of a batch as `collect` does. Many bytes or files are read in several turns of the loop."""
        return await steps.run_in_turns(self._collect_steps(room))

    def collect(self, room: int) -> list[Chunk]:
        """Read the chunks of a batch of at most `room` bytes (or of one longer line), in turns over the names.

        They are in flight from now on. A large batch may have several chunks of one file.
        """
        return steps.run(self._collect_steps(room))

    def _collect_steps(self, room: int) -> Generator[None, None, list[Chunk]]:
        chunks: list[Chunk] = []
        if not self._turns:
            self._turns.extend((yield from self._next_turns()))
        reads, left, too_long = 0, _SLICE, 0  # too_long: events that do not fit into the rest of the batch
        while self._turns and room > 0 and too_long < _TOO_LONG and len(chunks) < _MOST_CHUNKS:
            tail = self._turns.popleft()
            most = min(room, _SLICE)
            chunk = self._read(tail, most, first=not chunks)
            reads += 1
            if chunk is not None:
                chunks.append(chunk)
                tail.mark_in_flight(self._sink, chunk)
                room -= _room_of(chunk)
                left -= _room_of(chunk)
                self._last_served = chunk.first_path
                if most == _SLICE and tail.has_event_for(self._sink):
                    self._turns.append(tail)
            elif tail.has_event_for(self._sink):
                too_long += 1
            if reads == _FILES or left <= 0:
                reads, left = 0, _SLICE
                yield
        if len(chunks) < _MOST_CHUNKS:
            self._turns.clear()
        return chunks

    def resend(self) -> list[list[Chunk]]:
        """Read the batches again that were in flight when an earlier process ended, as far as the files have them.

        They are in flight again. The caller sends them as they are, in this order.
        """
        batches = []
        for sent in self._store.sink(self._sink).sending:
            chunks = [chunk for item in sent if (chunk := self._reread(item)) is not None]
            if chunks:
                batches.append(chunks)
                self._in_flight.append(list(map(chunk_range, chunks)))
        self._write_ranges()
        return batches

    def _reread(self, sent: ChunkRange) -> Chunk | None:
        tail = self._follower.tails.get(sent.generation)
        chunk: Chunk | None = None
        try:
            if tail is not None and self._follower.ensure_open(tail):
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
        try:
            return tail.read(self._sink, room, first=first) if self._follower.ensure_open(tail) else None
        except FileTruncated:
            self._follower.handle_truncation(tail)
        except OSError as error:
            self._follower.handle_read_error(tail, error)
        finally:
            self._follower.trim_open_files()
        return None

    def _next_turns(self) -> Generator[None, None, list[Tail]]:
        """Return the oldest generation of each name with unread lines. The name that was served last comes last."""
        oldest: dict[str, Tail] = {}
        tails = yield from steps.sort(list(self._follower.unsettled.values()), key=_number)
        for count, tail in enumerate(tails, 1):
            if tail.state.first_path not in oldest and tail.has_event_for(self._sink):
                oldest[tail.state.first_path] = tail
            if count % _LOOKED_AT == 0:
                yield
        names = list(oldest)
        turn = names.index(self._last_served) + 1 if self._last_served in oldest else 0
        return [oldest[name] for name in names[turn:] + names[:turn]]

    # -- moving positions ----------------------------------------------------------------------------------------------

    def sending(self, chunks: Iterable[Chunk]) -> None:
        """Write to the journal that a batch of exactly these chunks is sent: it is repeated as it is after kill -9."""
        self._in_flight.append(list(map(chunk_range, chunks)))
        self._write_ranges()

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
            delivered += len(chunk.data) - sum(size for size, _ in not_delivered.values())
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


def _number(tail: Tail) -> int:
    return tail.number


def _room_of(chunk: Chunk) -> int:
    """Return the room that a chunk takes in its batch."""
    return max(len(chunk.data), chunk.lines * LINE_ROOM)

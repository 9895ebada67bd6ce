"""What one sink is given: the next batch out of all files, and the note of what it has.

Whose turn it is: of several generations with one name the oldest that has something, and names in turns, so that one
loud file does not silence the others. Positions move here and nowhere else, each time with a line in the journal:
`sending` before a batch leaves, `settle` once the sink has decided on all of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.input.tail import LINE_ROOM, FileTruncated, Tail
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.records import Dropped
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.checkpoint import ChunkRange
from sidecars.logshipper.state.store import Store

_TOO_LONG = (
    8  # a batch is full when so many files have an event that does not fit into it: others would be read in vain
)


class SinkQueue:
    def __init__(self, sink: str, follower: Follower, store: Store) -> None:
        self._sink = sink
        self._follower = follower
        self._store = store
        self._last_served = ""
        self._flying: deque[list[ChunkRange]] = deque()  # the batches on their way, in order

    # -- what waits ----------------------------------------------------------------------------------------------------

    def waiting(self, enough: int) -> int:
        """Bytes that the sink could be given now, `enough` at most. An unfinished line does not count."""
        sink, found = self._sink, 0
        for tail in self._follower.tails.values():
            if not tail.idle(sink):
                found += tail.waiting(sink)
                if found >= enough:
                    return enough
        return found

    def unsettled(self) -> int:
        """Bytes that the sink could have been given by now, and has not decided on."""
        sink, tails = self._sink, self._follower.tails.values()
        return sum(tail.pending(sink) for tail in tails if tail.in_flight(sink) or not tail.idle(sink))

    def oldest(self) -> float | None:
        """Since when the sink's oldest byte has been waiting."""
        times = (tail.oldest(self._sink) for tail in self._follower.tails.values())
        return min((time for time in times if time is not None), default=None)

    # -- reading -------------------------------------------------------------------------------------------------------

    def collect(self, room: int) -> list[Chunk]:
        """Parts for a batch of at most `room` bytes (or one longer line), in turns over the names."""
        chunks: list[Chunk] = []
        too_long = 0  # events that do not fit into what is left
        for tail in self._turns():
            if room <= 0 or too_long >= _TOO_LONG:
                break
            chunk = self._read(tail, room, first=not chunks)
            if chunk is None:
                too_long += not tail.idle(self._sink)
                continue
            chunks.append(chunk)
            room -= max(len(chunk.data), chunk.lines * LINE_ROOM)
            self._last_served = chunk.first_path
        return chunks

    def take_up(self) -> list[list[Chunk]]:
        """The batches that were on their way when an earlier process was killed, as far as they are to be had.

        They are on their way again: send them as they are, in this order.
        """
        batches = []
        for sent in self._store.state.sinks[self._sink].sending:
            chunks = [chunk for item in sent if (chunk := self._reread(item)) is not None]
            if chunks:
                batches.append(chunks)
                self._leave(chunks)
        self._note()
        return batches

    def _reread(self, sent: ChunkRange) -> Chunk | None:
        tail = self._follower.tails.get(sent[0])
        try:
            return tail.reread(sent, self._sink) if tail and self._follower.opened(tail) else None
        except FileTruncated:
            return None  # the next poll or read finds out
        finally:
            self._follower.settle()

    def _read(self, tail: Tail, room: int, *, first: bool) -> Chunk | None:
        try:
            return tail.read(self._sink, room, first=first) if self._follower.opened(tail) else None
        except FileTruncated:
            self._follower.changed(tail)
        except OSError as error:
            self._follower.make_dormant(tail, error)
        finally:
            self._follower.settle()
        return None

    def _turns(self) -> Iterable[Tail]:
        """The oldest generation of each name that has something, beginning behind the name that was served last."""
        oldest: dict[str, Tail] = {}
        for tail in self._follower.tails.values():
            if tail.state.first_path not in oldest and not tail.idle(self._sink):
                oldest[tail.state.first_path] = tail
        names = list(oldest)
        turn = names.index(self._last_served) + 1 if self._last_served in oldest else 0
        return [oldest[name] for name in names[turn:] + names[:turn]]

    # -- moving positions ----------------------------------------------------------------------------------------------

    def sending(self, chunks: Iterable[Chunk]) -> None:
        """Note, so that it survives kill -9, that exactly this is about to be sent."""
        self._leave(chunks)
        self._note()

    def _leave(self, chunks: Iterable[Chunk]) -> None:
        ranges: list[ChunkRange] = []
        for chunk in chunks:
            ranges.append((chunk.generation, chunk.position, chunk.start, chunk.end, chunk.partial))
            self._follower.tails[chunk.generation].sending(self._sink, chunk)
        self._flying.append(ranges)

    def _note(self) -> None:
        flying = list(self._flying)
        self._store.state.sinks[self._sink].sending = flying
        self._store.append(checkpoint.send_entry(self._sink, flying))

    def settle(self, chunks: Sequence[Chunk], dropped: Sequence[Dropped], receipt: Any) -> None:
        """The sink has decided on the eldest batch on its way. `dropped`: what it did not take, for each part."""
        self._flying.popleft()
        positions = {}
        for chunk, lost in zip(chunks, dropped, strict=True):
            tail = self._follower.tails[chunk.generation]  # a file with something on its way is never let go
            tail.settle(self._sink, chunk, lost)
            positions[chunk.generation] = chunk.tail
        state = self._store.state.sinks[self._sink]
        state.receipt, state.sending = receipt, list(self._flying)
        self._store.append(checkpoint.done_entry(self._sink, positions, receipt))

    @property
    def receipt(self) -> Any:
        """What the sink wants to remember with its last yes."""
        return self._store.state.sinks[self._sink].receipt

"""A batch: events on their way to one sink. The sink accepts or rejects the whole batch, or single events of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, TypeVar

import orjson

from sidecars.logshipper.model.record_thread import CHUNK, beside_the_loop
from sidecars.logshipper.model.records import Records

T = TypeVar("T")


@dataclass
class Batch:
    """Events for one sink. They are numbered from 0 through all `records`: an `Outcome` names them by that index.

    A batch never changes, so that an attempt after a crash sends the same bytes under the same key.
    """

    sink: str
    records: tuple[Records, ...]
    at: int = 0  # when it was collected, in nanoseconds since 1970: the same in each attempt, also after kill -9
    _encoded: Any = field(default=None, repr=False, compare=False)

    @cached_property
    def events(self) -> int:
        """The number of events."""
        return sum(len(records.bodies) for records in self.records)

    @cached_property
    def size(self) -> int:
        """Bytes of the log files that the events are made from."""
        return sum(sum(records.file_sizes) for records in self.records)

    @cached_property
    def key(self) -> str:
        """The idempotency key. The same events of the same generations to the same sink always have the same key."""
        return self._key(by_range=False)

    @cached_property
    def range_key(self) -> str:
        """The key of the ranges in the files. It stays the same if other settings make other events of the same lines.

        But not with FORMAT=record, whose events have ranges in other files.
        """
        return self._key(by_range=True)

    @cached_property
    def events_key(self) -> str:
        """The key of the ranges and of the offsets of the events: the numbers of events mean the same ones."""
        offsets = [list(records.offsets) for records in self.records]
        return blake2b(orjson.dumps([self.range_key, offsets]), digest_size=16).hexdigest()

    def _key(self, *, by_range: bool) -> str:
        ranges: list[list[Any]] = []
        for records in self.records:
            chunk = records.read_from
            ranges.append([chunk.generation, chunk.start, chunk.end])
            if records.chosen:
                ranges[-1].append(list(records.offsets))
            if records.source is not None:
                ranges[-1].append(records.chunk.generation)
            if chunk.open and not by_range:
                ranges[-1].append(records.sized)
        return blake2b(orjson.dumps([self.sink, ranges]), digest_size=16).hexdigest()

    async def encoded(self, encode: Callable[[Batch], T]) -> T:
        """Return `encode(batch)`. It is called once: retries send the same body. One batch has one encoder.

        A large batch is encoded by a thread.
        """
        if self._encoded is None:
            self._encoded = await beside_the_loop(self.size + CHUNK * len(self.records), encode, self)
        body: T = self._encoded
        return body

    def ids(self) -> Iterator[str]:
        """Yield the id of each event. An event has the same id in each attempt, and no other event has it.

        `<generation>-<offset>` is the event that begins there, up to the end that the file itself shows: a newline, or
        the first line of the next event. Where time or the limit of a line has set the end, the same place may give a
        longer event one day. So the id of a piece of a line, and of an event of several lines that was over because
        nothing more came, has the number of its bytes, too: `<generation>-<offset>+<size>`.
        """
        for records in self.records:
            generation, sized = records.chunk.generation, len(records.bodies) - records.sized
            for offset in records.offsets[:sized]:
                yield f"{generation}-{offset}"
            for offset, size in zip(records.offsets[sized:], records.sizes[sized:], strict=True):
                yield f"{generation}-{offset}+{size}"

    def raw(self) -> Iterator[bytes]:
        """Yield the lines as they were written, or as filters and redaction left them.

        A piece of a line gets a newline, too, so that the lines of another file never join it.
        """
        for records in self.records:
            if records.raw is not None:
                yield records.raw
                if not records.raw.endswith(b"\n"):
                    yield b"\n"
            elif records.bodies:
                yield "\n".join((*records.bodies, "")).encode()

    def find(self, index: int) -> tuple[Records, int]:
        """Return the records that hold the event, and its index in them. Raises IndexError."""
        for records in self.records:
            if index < len(records.bodies):
                return records, index
            index -= len(records.bodies)
        raise IndexError(index)

    def select(self, indices: Sequence[int]) -> Batch:
        """Return a batch of these events. The indices must rise."""
        chosen: list[Records] = []
        first, rest = 0, list(indices)
        for records in self.records:
            after = first + len(records.bodies)
            mine = [index - first for index in rest if index < after]
            rest = rest[len(mine) :]
            first = after
            if mine:
                chosen.append(records if len(mine) == len(records.bodies) else records.select(mine))
        return Batch(self.sink, tuple(chosen), self.at)

    def halves(self) -> tuple[Batch, Batch] | None:
        """Return two batches that make up this one, always cut at the same place; None for a single event."""
        middle = self.events // 2
        if not middle:
            return None
        return self.select(range(middle)), self.select(range(middle, self.events))

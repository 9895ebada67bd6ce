"""A batch: events on their way to one sink, which it takes or refuses, as a whole or one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, TypeVar

import orjson

from sidecars.logshipper.model.records import Records

T = TypeVar("T")


@dataclass
class Batch:
    """Events are counted through all `records`, from 0: that is the index which an `Outcome` names."""

    sink: str
    records: tuple[Records, ...]
    _encoded: Any = field(default=None, repr=False, compare=False)

    @cached_property
    def events(self) -> int:
        return sum(len(records.bodies) for records in self.records)

    @cached_property
    def size(self) -> int:
        """Bytes of the log files that the events are made of."""
        return sum(sum(records.sizes) for records in self.records)

    @cached_property
    def key(self) -> str:
        """The same for the same events of the same generations to the same sink, also after kill -9."""
        ranges: list[list[Any]] = []
        for records in self.records:
            chunk = records.chunk
            ranges.append([chunk.generation, chunk.start, chunk.end])
            if records.chosen:
                ranges[-1].append(list(records.offsets))
        return blake2b(orjson.dumps([self.sink, ranges]), digest_size=16).hexdigest()

    def encoded(self, encode: Callable[[Batch], T]) -> T:
        """What the function makes of the batch: made once and kept with it, for as long as it is tried."""
        if self._encoded is None:
            self._encoded = encode(self)
        body: T = self._encoded
        return body

    def ids(self) -> Iterator[str]:
        """Of each event `<generation>-<offset>`: its name for ever."""
        for records in self.records:
            file = records.chunk.generation
            for offset in records.offsets:
                yield f"{file}-{offset}"

    def raw(self) -> Iterator[bytes]:
        """The lines, as they were written where nothing changed them.

        A piece of a line gets a newline as well, so that lines of others never join it.
        """
        for records in self.records:
            if records.raw is not None:
                yield records.raw
                if not records.raw.endswith(b"\n"):
                    yield b"\n"
            elif records.bodies:
                yield "\n".join((*records.bodies, "")).encode()

    def find(self, index: int) -> tuple[Records, int]:
        """The event of that index: where it is among its own."""
        for records in self.records:
            if index < len(records.bodies):
                return records, index
            index -= len(records.bodies)
        raise IndexError(index)

    def select(self, indices: Sequence[int]) -> Batch:
        """A batch of these events, in rising order."""
        chosen: list[Records] = []
        first, rest = 0, list(indices)
        for records in self.records:
            after = first + len(records.bodies)
            mine = [index - first for index in rest if index < after]
            rest = rest[len(mine) :]
            first = after
            if mine:
                chosen.append(records if len(mine) == len(records.bodies) else records.select(mine))
        return Batch(self.sink, tuple(chosen))

    def halves(self) -> tuple[Batch, Batch] | None:
        """Two batches that make this one, always cut at the same place; None when it is a single event."""
        middle = self.events // 2
        if not middle:
            return None
        return self.select(range(middle)), self.select(range(middle, self.events))

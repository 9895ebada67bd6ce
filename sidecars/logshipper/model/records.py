"""Records: the events of one chunk, in columns. The pipeline makes them, and the sinks encode them.

A chunk is processed as a whole, never line by line. Column `i` of each list belongs to the same event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.field_columns import JsonObjects, Table

Dropped = dict[str, tuple[int, int]]
"""Reason of the ledger -> (bytes, lines) of the source that were dropped for it."""


class Match(NamedTuple):
    """A counter of `COUNT`, with its label and the label's value; "" without one."""

    name: str
    label: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Records:
    """The events of one chunk that the filters kept."""

    chunk: Chunk
    labels: Mapping[str, str]  # the same for all events of the file: Pod fields, LABELS and PATH_FIELDS
    bodies: Sequence[str]  # the text of each event, without its last newline
    offsets: Sequence[int]  # offset in the file of each event's first byte
    sizes: Sequence[int]  # bytes of the file that each event is made from
    counts: Sequence[int] | None = None  # lines of the file that each event is made from; None: one each
    times: Sequence[int | None] | None = None  # nanoseconds since 1970; None: no event has a time
    levels: Sequence[str | None] | None = None  # as the app wrote them; see `severity` for their meaning
    fields: Sequence[Mapping[str, Any]] | None = None  # the parsed fields, never empty; the `message` is one of them
    partial: bool = False  # True if the last body is a piece: the next record of this generation continues its line
    sized: int = 0  # the ids of so many events, the last ones, have the event's size: see `Batch.ids`
    dropped: Dropped = field(default_factory=dict)  # by filters
    raw: bytes | None = None  # the bytes of the file, if nothing was removed or changed
    finds_levels: bool = False  # True if a sink with a place for levels may look for them (`known_levels`)
    read_at: int | None = None  # when the chunk was collected, in nanoseconds, for events that have no time
    misses: Mapping[str, int] = field(default_factory=dict)  # part (`delivery.unparsed_events`) -> events without it
    matches: Mapping[Match, int] = field(default_factory=dict)  # counter -> events in which it was found, of all events
    quota: Mapping[str, int] | None = None  # what a rate limit has let pass: see `transform.reduction.rate_limits`
    chosen: bool = False  # True if `select` made it: not all events that passed the filters are here
    source: Chunk | None = None  # the chunk that was read, where `chunk` is that of a record that is sent again
    read_sizes: Sequence[int] | None = None  # bytes of `source` for each event, where `sizes` are those of the ids

    def select(self, indices: Sequence[int]) -> Records:
        """Return these events alone. `dropped` (what the filters dropped) and `matches` are counted with the whole."""

        def pick(column: Sequence[Any] | None) -> Sequence[Any] | None:
            return None if column is None else [column[index] for index in indices]

        return replace(
            self,
            bodies=[self.bodies[index] for index in indices],
            offsets=[self.offsets[index] for index in indices],
            sizes=[self.sizes[index] for index in indices],
            counts=pick(self.counts),
            times=pick(self.times),
            levels=pick(self.levels),
            fields=self.fields.select(indices) if isinstance(self.fields, Table | JsonObjects) else pick(self.fields),
            partial=self.partial and len(self.bodies) - 1 in indices,
            sized=sum(index >= len(self.bodies) - self.sized for index in indices) if self.sized else 0,
            dropped={},
            matches={},
            raw=None,
            chosen=True,
            read_sizes=pick(self.read_sizes),
        )

    @property
    def read_from(self) -> Chunk:
        """The chunk of the file that the events were read from: they are counted there."""
        return self.source or self.chunk

    @property
    def file_sizes(self) -> Sequence[int]:
        """Bytes of that file that each event is made from."""
        return self.sizes if self.read_sizes is None else self.read_sizes

    def extent(self, index: int) -> tuple[int, int]:
        """Return the number of bytes and of lines of the file that the event is made from."""
        return self.file_sizes[index], 1 if self.counts is None else self.counts[index]

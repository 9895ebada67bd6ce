"""What sinks are given of a part: its events, in columns.

A part is shaped as a whole chunk, never line by line. Column `i` of each list is the same event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.field_columns import JsonObjects, Table

Dropped = dict[str, tuple[int, int]]
"""Reason -> (bytes, lines) of the source."""


@dataclass(frozen=True, slots=True)
class Records:
    """The events of one part, without those that a filter dropped."""

    chunk: Chunk
    labels: Mapping[str, str]  # what is the same for all events of the input: Pod fields and LABELS
    bodies: Sequence[str]  # what each says: the whole of its text, without its last newline
    offsets: Sequence[int]  # of each event's first byte in its file
    sizes: Sequence[int]  # bytes of the file that it is made of
    counts: Sequence[int] | None = None  # lines, likewise; None: one each
    times: Sequence[int | None] | None = None  # nanoseconds since 1970; None: no event has one
    levels: Sequence[str | None] | None = None  # as the app wrote them; `severity` knows what they mean
    fields: Sequence[Mapping[str, Any]] | None = None  # what was parsed, never empty; the `message` is one of them
    partial: bool = False  # the last body is a piece: its line goes on in the next record of this file
    dropped: Dropped = field(default_factory=dict)  # by filters
    raw: bytes | None = None  # all of it as it was in the file, where nothing was taken away or changed
    chosen: bool = False  # some of the part's events, not all that passed the filters

    def select(self, indices: Sequence[int]) -> Records:
        """These events alone. The books (`dropped`) stay with the whole."""

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
            dropped={},
            raw=None,
            chosen=True,
        )

    def extent(self, index: int) -> tuple[int, int]:
        """The bytes and lines of the file that the event is made of."""
        return self.sizes[index], 1 if self.counts is None else self.counts[index]

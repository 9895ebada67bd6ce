"""What sinks are given of a part: its events, in columns.

A part is shaped as a whole chunk, never line by line. Column `i` of each list is the same event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, count
from operator import add
from typing import Any

from sidecars.logshipper.part import Part
from sidecars.logshipper.settings import Input

Dropped = dict[str, tuple[int, int]]
"""Reason -> (bytes, lines) of the source."""


@dataclass(frozen=True, slots=True)
class Records:
    """The events of one part, without those that a filter dropped."""

    part: Part
    labels: Mapping[str, str]  # what is the same for all events of the input: Pod fields and LABELS
    bodies: Sequence[str]
    offsets: Sequence[int]  # of each event's first byte in its file
    times: Sequence[int | None] | None = None  # nanoseconds since 1970; None: no event has one
    levels: Sequence[str | None] | None = None
    fields: Sequence[Mapping[str, Any] | None] | None = None
    partial: bool = False  # the last body is a piece: its line goes on in the next record of this file
    dropped: Dropped = field(default_factory=dict)  # by filters
    raw: bytes | None = None  # all of it as it was in the file, where nothing was taken away or changed
    chosen: bool = False  # some of the part's events, not all that passed the filters

    def only(self, indices: Sequence[int]) -> Records:
        """These events alone. The books (`dropped`) stay with the whole."""

        def pick(column: Sequence[Any] | None) -> Sequence[Any] | None:
            return None if column is None else [column[index] for index in indices]

        return replace(
            self,
            bodies=[self.bodies[index] for index in indices],
            offsets=[self.offsets[index] for index in indices],
            times=pick(self.times),
            levels=pick(self.levels),
            fields=pick(self.fields),
            partial=self.partial and len(self.bodies) - 1 in indices,
            dropped={},
            raw=None,
            chosen=True,
        )

    def source(self, index: int) -> bytes:
        """The event as it was in the file."""
        data, start = self.part.data, self.offsets[index] - self.part.start
        return data[start : data.find(b"\n", start) + 1 or len(data)]


class Shaper:
    """Turns the parts of one input into records."""

    boundary: Callable[[bytes], int] | None = None
    """Where the last event of a chunk begins, which may go on; 0: all of it is one. None: each line is an event."""

    def __init__(self, _settings: Input, labels: Mapping[str, str]) -> None:
        self._labels = labels

    def records(self, part: Part) -> Records:
        data = part.data.removesuffix(b"\n")
        text = data.decode("utf-8", "replace")
        bodies = text.split("\n")
        lengths = map(len, bodies if text.isascii() else data.split(b"\n"))
        offsets = list(map(add, accumulate(lengths, initial=part.start), count()))  # each newline is one byte more
        del offsets[len(bodies) :]
        if "\r" in text:
            bodies = [line.removesuffix("\r") for line in bodies]
        return Records(part, self._labels, bodies, offsets, partial=part.partial, raw=part.data)

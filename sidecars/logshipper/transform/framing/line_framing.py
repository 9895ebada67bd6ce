"""Framing: the bytes of a chunk to events, each with its text, its offset, and its bytes and lines of the file.

Every byte and every line of the chunk belongs to exactly one event. The ledger relies on that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from sidecars.logshipper.transform.framing.multiline import Splitter


T = TypeVar("T")
Attributes = Sequence[Mapping[str, Any] | None] | None
"""Of Docker's entries, one for each event."""


@dataclass(frozen=True, slots=True)
class Events:
    """The events of a chunk, in columns.

    `sizes` and `counts`: the bytes (with newlines) and lines of the file that an event is made of. No counts: each
    event is one line.
    """

    bodies: list[str]
    offsets: Sequence[int]
    sizes: Sequence[int]
    counts: Sequence[int] | None = None
    times: Sequence[str] | None = None  # as the runtime wrote them
    streams: Sequence[str] | None = None
    attributes: Attributes = None

    @property
    def lines(self) -> int:
        return len(self.bodies) if self.counts is None else sum(self.counts)

    def select(self, wanted: Sequence[bool]) -> Events:
        """Return the events for which `wanted` is true."""

        def chosen(column: Sequence[T] | None) -> list[T] | None:
            return None if column is None else list(compress(column, wanted))

        return Events(
            list(compress(self.bodies, wanted)),
            list(compress(self.offsets, wanted)),
            list(compress(self.sizes, wanted)),
            chosen(self.counts),
            chosen(self.times),
            chosen(self.streams),
            chosen(self.attributes),
        )


class Framing(Protocol):
    """The way in which lines become events."""

    boundary: Callable[[bytes], int] | None
    """Returns the length of the complete events in a chunk of whole lines. The event after it may go on in the file.

    None: each line is a complete event.
    """

    def events(self, data: bytes, start: int) -> Events:
        """Return the events of whole lines, or of a piece of a line. `start`: the offset of `data` in the file."""


class LineFraming:
    """Makes each line an event."""

    boundary: Callable[[bytes], int] | None = None

    def events(self, data: bytes, start: int) -> Events:
        body = data.removesuffix(b"\n")
        text = body.decode("utf-8", "replace")
        bodies = text.split("\n")
        sizes = [len(line) + 1 for line in (bodies if text.isascii() else body.split(b"\n"))]
        sizes[-1] -= len(body) == len(data)
        if "\r" in text:
            bodies = [line.removesuffix("\r") for line in bodies]
        return Events(bodies, offsets(sizes, start), sizes)


class MultilineFraming:
    """Joins the lines of an event, which a splitter finds."""

    def __init__(self, splitter: Splitter) -> None:
        self._splitter = splitter
        self.boundary: Callable[[bytes], int] | None = splitter.boundary

    def events(self, data: bytes, start: int) -> Events:
        body = data.removesuffix(b"\n")
        text = body.decode("utf-8", "replace")
        bodies, sizes, counts = self._splitter.split(text, body)
        sizes[-1] -= len(body) == len(data)
        if "\r" in text:
            bodies = [line.replace("\r\n", "\n").removesuffix("\r") for line in bodies]
        return Events(bodies, offsets(sizes, start), sizes, counts)


def offsets(sizes: Sequence[int], start: int) -> list[int]:
    """Return the offset of each event, from the sizes of all."""
    found = list(accumulate(sizes, initial=start))
    del found[-1]
    return found

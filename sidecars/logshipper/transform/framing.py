"""From the bytes of a part to its events: what each says, where it begins, and how much of the file it is made of.

Every byte and line of the part belongs to exactly one event: the ledger rests on that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress
from typing import Protocol, TypeVar

from sidecars.logshipper.transform.multiline import Splitter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Events:
    """In columns. `sizes` and `counts` are bytes (with newlines) and lines of the file; no counts: one line each."""

    bodies: list[str]
    offsets: Sequence[int]
    sizes: Sequence[int]
    counts: Sequence[int] | None = None
    times: Sequence[str] | None = None  # as the runtime wrote them
    streams: Sequence[str] | None = None

    @property
    def lines(self) -> int:
        return len(self.bodies) if self.counts is None else sum(self.counts)

    def select(self, wanted: Sequence[bool]) -> Events:
        """Those for which it is true."""

        def chosen(column: Sequence[T] | None) -> list[T] | None:
            return None if column is None else list(compress(column, wanted))

        return Events(
            list(compress(self.bodies, wanted)),
            list(compress(self.offsets, wanted)),
            list(compress(self.sizes, wanted)),
            chosen(self.counts),
            chosen(self.times),
            chosen(self.streams),
        )


class Framing(Protocol):
    boundary: Callable[[bytes], int] | None
    """Up to where a chunk of whole lines has complete events; what follows is one that may go on, if it is any.

    None: each line is one.
    """

    def events(self, data: bytes, start: int) -> Events:
        """Of whole lines, or a piece of one, that begin at that offset of the file."""


class LineFraming:
    """Each line is an event."""

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
    """Lines are joined."""

    def __init__(self, splitter: Splitter) -> None:
        self._splitter = splitter
        self.boundary: Callable[[bytes], int] | None = splitter.boundary

    def events(self, data: bytes, start: int) -> Events:
        body = data.removesuffix(b"\n")
        text = body.decode("utf-8", "replace")
        bodies, sizes = self._splitter.split(text, body)
        sizes[-1] -= len(body) == len(data)
        counts = [body.count("\n") + 1 for body in bodies] if len(bodies) <= text.count("\n") else None
        if "\r" in text:
            bodies = [line.replace("\r\n", "\n").removesuffix("\r") for line in bodies]
        return Events(bodies, offsets(sizes, start), sizes, counts)


def offsets(sizes: Sequence[int], start: int) -> list[int]:
    found = list(accumulate(sizes, initial=start))
    del found[-1]
    return found

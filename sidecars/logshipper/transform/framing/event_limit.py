"""The largest size of an event of several lines: a larger one is cut into pieces of whole lines, from its beginning."""

from __future__ import annotations

from typing import NamedTuple


class Split(NamedTuple):
    """The events of a text, in columns.

    events  the text of each
    sizes   the bytes of each in the file, with its newline
    counts  the lines of each; None: one each
    """

    events: list[str]
    sizes: list[int]
    counts: list[int] | None = None


def limited(split: Split, data: bytes, limit: int) -> Split:
    """Return the events with those in pieces that have more bytes than the limit. `data`: the bytes of all."""
    if max(split.sizes) <= limit:
        return split
    cut = Split([], [])
    start = 0
    for event, size in zip(split.events, split.sizes, strict=True):
        end = start + size
        while (after := _piece_end(data, start, end, limit)) < end:
            cut.events.append(data[start : after - 1].decode("utf-8", "replace"))
            cut.sizes.append(after - start)
            start = after
        cut.events.append(event if end - start == size else data[start : end - 1].decode("utf-8", "replace"))
        cut.sizes.append(end - start)
        start = end
    counts = [event.count("\n") + 1 for event in cut.events]
    return cut._replace(counts=counts) if len(counts) < sum(counts) else cut


def _piece_end(data: bytes, start: int, end: int, limit: int) -> int:
    """Return the end of the first piece of an event: whole lines within the limit, one longer line, or all of it."""
    if end - start <= limit:
        return end
    return data.rfind(b"\n", start, start + limit) + 1 or data.find(b"\n", start, end) + 1 or end


def last_piece(block: bytes, start: int, end: int, limit: int) -> int:
    """Return where the last piece of the event begins that begins at `start`."""
    while (after := _piece_end(block, start, end, limit)) < end:
        start = after
    return start

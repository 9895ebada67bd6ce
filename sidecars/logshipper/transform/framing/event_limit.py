"""The largest size of an event of several lines: a larger one is cut into pieces of whole lines, from its beginning."""

from __future__ import annotations

Split = tuple[list[str], list[int]]
"""The events, and the bytes of each in the file, with its newline."""


def limited(events: list[str], sizes: list[int], data: bytes, limit: int) -> Split:
    """Return the events with those in pieces that have more bytes than the limit. `data`: the bytes of all."""
    if max(sizes) <= limit:
        return events, sizes
    cut: Split = ([], [])
    start = 0
    for event, size in zip(events, sizes, strict=True):
        end = start + size
        while (after := _piece_end(data, start, end, limit)) < end:
            cut[0].append(data[start : after - 1].decode("utf-8", "replace"))
            cut[1].append(after - start)
            start = after
        cut[0].append(event if end - start == size else data[start : end - 1].decode("utf-8", "replace"))
        cut[1].append(end - start)
        start = end
    return cut


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

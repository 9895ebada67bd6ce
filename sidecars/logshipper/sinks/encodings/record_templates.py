"""Slices of records that one template can format.

A template also works for formats with lengths inside (protobuf, MessagePack), if its constant text has the same length
for each event of the slice. The length of an id, `<generation>-<offset>`, changes with the digits of the offset. There
are few such places, since offsets rise. An id that has a size, too (see `Batch.ids`), is a slice of its own; there is
hardly ever more than one in a chunk.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator

from sidecars.logshipper.model.records import Records

BLOCK = 256  # events of a block: it fits into the processor's cache, and is below malloc's threshold for fresh pages


def blocks(records: Records) -> Iterator[tuple[int, int]]:
    """Yield for each slice its first event, and the event behind its last one. The ids may differ in their lengths."""
    whole = len(records.bodies) - records.sized
    for first in range(0, whole, BLOCK):
        yield first, min(first + BLOCK, whole)
    for index in range(whole, len(records.bodies)):
        yield index, index + 1


def size_in_id(records: Records, first: int) -> bytes:
    """Return what follows the offset in the ids of the slice that begins with this event: its size, or nothing."""
    return b"" if first < len(records.bodies) - records.sized else b"+%d" % records.sizes[first]


def template_slices(records: Records) -> Iterator[tuple[int, int]]:
    """Yield for each slice its first event, and the event behind its last one. The ids have one length."""
    for first, behind in blocks(records):
        start = first
        while start < behind:
            stop, digits = behind, len(str(records.offsets[start]))
            if len(str(records.offsets[stop - 1])) > digits:
                stop = bisect_left(records.offsets, 10**digits, start, stop)
            yield start, stop
            start = stop


def id_template(encode: Callable[[str], bytes], records: Records, first: int) -> tuple[bytes, int]:
    """Return the template of the ids of a slice, with a place for the offset, and the length of an encoded id.

    `encode` encodes an id; the id itself must stand at the end of the result. `first`: the first event of the slice.
    """
    end = size_in_id(records, first)
    placeholder = "x" * (len(records.chunk.generation) + 1 + len(str(records.offsets[first])) + len(end))
    encoded = encode(placeholder)
    head = encoded.removesuffix(placeholder.encode())
    return head.replace(b"%", b"%%") + records.chunk.generation.encode() + b"-%d" + end, len(encoded)


def file_name(records: Records) -> str:
    """Return the path of the records' file as text: a path may have any bytes."""
    return os.fsencode(records.chunk.first_path).decode("utf-8", "replace")

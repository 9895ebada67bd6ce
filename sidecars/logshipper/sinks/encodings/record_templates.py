"""Slices of records that one template can format.

A template also works for formats with lengths inside (protobuf, MessagePack), if its constant text has the same length
for each event of the slice. The length of an id, `<generation>-<offset>`, changes with the digits of the offset. There
are few such places, since offsets rise.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator

from sidecars.logshipper.model.records import Records

BLOCK = 256  # events of a block: it fits into the processor's cache, and is below malloc's threshold for fresh pages


def template_slices(records: Records) -> Iterator[tuple[int, int, int]]:
    """Yield for each slice its first event, the event behind its last one, and the length of its ids."""
    prefix, first, count = len(records.chunk.generation) + 1, 0, len(records.bodies)
    while first < count:
        digits = len(str(records.offsets[first]))
        stop = min(first + BLOCK, count)
        if len(str(records.offsets[stop - 1])) > digits:
            stop = bisect_left(records.offsets, 10**digits, first, stop)
        yield first, stop, prefix + digits
        first = stop


def id_template(encode: Callable[[str], bytes], records: Records, width: int) -> tuple[bytes, int]:
    """Return the template of an id of that width, with a place for the offset, and the length of the encoded id.

    `encode` encodes an id; the id itself must stand at the end of the result.
    """
    placeholder = "x" * width
    encoded = encode(placeholder)
    head = encoded.removesuffix(placeholder.encode())
    return head.replace(b"%", b"%%") + records.chunk.generation.encode() + b"-%d", len(encoded)


def file_name(records: Records) -> str:
    """Return the path of the records' file as text: a path may have any bytes."""
    return os.fsencode(records.chunk.first_path).decode("utf-8", "replace")

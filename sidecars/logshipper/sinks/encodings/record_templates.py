"""Slices of records that one template can format.

Formats with lengths inside (protobuf, MessagePack) can be filled in by a template as well as JSON can, where all that
the template holds has the same length for each event of the slice. Of an id, `<generation>-<offset>`, that is so as
long as the offset has as many digits; offsets rise, so there are few places where it changes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings.ndjson import BLOCK


def template_slices(records: Records) -> Iterator[tuple[int, int, int]]:
    """First event, the one behind the last, and the length of their ids."""
    prefix, first, count = len(records.chunk.generation) + 1, 0, len(records.bodies)
    while first < count:
        digits = len(str(records.offsets[first]))
        stop = min(first + BLOCK, count)
        if len(str(records.offsets[stop - 1])) > digits:
            stop = bisect_left(records.offsets, 10**digits, first, stop)
        yield first, stop, prefix + digits
        first = stop


def id_template(encode: Callable[[str], bytes], records: Records, width: int) -> tuple[bytes, int]:
    """The template of an id of that width, as `encode` encodes one, with a place for the offset; and its length.

    In the encoding the id itself stands at the end.
    """
    placeholder = "x" * width
    encoded = encode(placeholder)
    head = encoded.removesuffix(placeholder.encode())
    return head.replace(b"%", b"%%") + records.chunk.generation.encode() + b"-%d", len(encoded)

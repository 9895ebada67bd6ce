"""Records as NDJSON: a JSON object a line, with `id`, `file`, the labels, `message`, and `"partial":true` for a piece.

Encoding never loops over events in Python: a block of them is formatted by one template, all in C.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

import orjson

from sidecars.logshipper.batch import Batch
from sidecars.logshipper.records import Records

_BLOCK = 512  # events: what stays in the processor's cache, and below malloc's threshold for fresh pages


def encode(batch: Batch) -> list[bytes]:
    return [block for records in batch.records for block in _blocks(records)]


def _blocks(records: Records) -> Iterator[bytes]:
    template = _template(records, partial=False)
    whole = len(records.bodies) - records.partial
    for first in range(0, whole, _BLOCK):
        stop = min(first + _BLOCK, whole)
        texts = map(orjson.dumps, records.bodies[first:stop])
        pairs = zip(records.offsets[first:stop], texts, strict=True)
        yield (template * (stop - first)) % tuple(chain.from_iterable(pairs))
    if records.partial:
        yield _template(records, partial=True) % (records.offsets[-1], orjson.dumps(records.bodies[-1]))


def _template(records: Records, *, partial: bool) -> bytes:
    """A record with two places to fill: the offset, and the line as a JSON string."""
    part = records.part
    name = os.fsencode(part.name).decode("utf-8", "replace")  # a file's name may have any bytes
    head = orjson.dumps({"id": f"{part.file}-", "file": name, **records.labels}).replace(b"%", b"%%")
    ident = f'{{"id":"{part.file}-'.encode()
    piece = b',"partial":true' if partial else b""
    return ident + b"%d" + head.removeprefix(ident)[:-1] + piece + b',"message":%b}\n'

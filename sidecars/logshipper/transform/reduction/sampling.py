"""Sampling: of `SAMPLE` events one is kept, chosen by a hash. Pure.

The hash is that of the event's id without its size (`<generation>-<offset>`), or of the value of the first field of
`SAMPLE_KEY` that the event has. So the choice needs no memory, and is the same for each sink, in each attempt and after
kill -9. With a key all events of one value are kept or none, also those of other inputs, Pods and nodes: a trace is
whole. Of two rates the larger one keeps only events that the smaller one keeps, too.

Each kept event has the field `sample_rate`: the number of events for which it stands. The sum over all records is an
estimate of the number of events that were written. An event that `SAMPLE_EXCEPT` matches is always kept, and stands for
itself alone.

The hash is the first 8 bytes of BLAKE2b (RFC 7693), as a number; it is kept if it is less than 2^64 / `SAMPLE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import compress
from typing import Any, NamedTuple

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.field_columns import MESSAGE, FieldColumns, JsonObjects
from sidecars.logshipper.transform.framing.line_framing import Events
from sidecars.logshipper.transform.parsing import field_paths
from sidecars.logshipper.transform.parsing.field_paths import FieldPath
from sidecars.logshipper.transform.patterns.linear_regex import Finder

SAMPLE_RATE = "sample_rate"
_SIZE = 8  # bytes of a hash
_LARGE = 2**64  # an integer beyond it is none to all readers of JSON


class Sample(NamedTuple):
    """The choice among the events of a chunk: True for each that is kept, and the rates of the kept ones."""

    wanted: Sequence[bool]
    rates: Sequence[int]

    def select(self, wanted: Sequence[bool]) -> Sample:
        """Return the choice without the kept events for which `wanted` is false."""
        return Sample(wanted, list(compress(self.rates, wanted)))

    def add_rates(self, fields: FieldColumns | None, bodies: Sequence[str]) -> FieldColumns:
        """Return the fields of the kept events with their rates before them. None: the text is the message."""
        if isinstance(fields, JsonObjects):
            return fields.with_first_member([f'{{"{SAMPLE_RATE}":{rate},' for rate in self.rates])
        found = [{MESSAGE: body} for body in bodies] if fields is None else fields
        return [{SAMPLE_RATE: rate, **one} for rate, one in zip(self.rates, found, strict=True)]


class Sampler:
    """The sampling of one input. Owned by its pipeline. Has no state.

    `rate`: of so many events one is kept, 2 or more. `paths`: the candidates of SAMPLE_KEY; none: the id is hashed.
    `exempt`: the regex of SAMPLE_EXCEPT.
    """

    def __init__(self, rate: int, paths: Sequence[FieldPath], exempt: str | None) -> None:
        self.paths = paths
        self._rate = rate
        self._limit = (-(-(2 ** (8 * _SIZE)) // rate)).to_bytes(_SIZE, "big")  # digests below it are kept
        self._exempt = Finder(exempt) if exempt else None

    def sample(self, chunk: Chunk, events: Events, fields: FieldColumns | None = None) -> Sample:
        """Return the choice among events of the chunk, whose texts are as the app wrote them. A key needs `fields`."""
        limit = self._limit
        hashed = self._hashed([f"{chunk.generation}-{offset}".encode() for offset in events.offsets], fields)
        wanted = [blake2b(text, digest_size=_SIZE).digest() < limit for text in hashed]
        exempt = self._exempt.matching(events.bodies) if self._exempt else ()
        rates = [self._rate] * len(wanted)
        for index in exempt:
            wanted[index], rates[index] = True, 1
        return Sample(wanted, list(compress(rates, wanted)))

    def _hashed(self, ids: list[bytes], fields: FieldColumns | None) -> list[bytes]:
        """Return the bytes to hash of each event: its value, or its id."""
        found = ids
        for path in reversed(self.paths) if fields is not None else ():
            column = None if fields is None else field_paths.column(fields, path)
            if column is not None:
                found = list(map(_hashed_value, column, found))
        return found


def _hashed_value(value: Any, other: bytes) -> bytes:
    """Return the bytes to hash of a field's value: of a text, number or boolean its text; `other` of anything else."""
    if type(value) is str:
        return value.encode("utf-8", "surrogatepass")
    if type(value) is bool:
        return b"true" if value else b"false"
    if type(value) is float or (type(value) is int and abs(value) < _LARGE):
        return str(value).encode()
    return other

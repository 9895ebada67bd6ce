"""The batches in flight, as the state has them: enough to send exactly the same batch after kill -9. Pure.

A batch is its ranges of the files, and the instant at which it was collected. Values that depend on the clock are taken
from that instant and not from the time of an attempt: a resend after midnight must not differ from the first one.

The entry of a batch is written directly before its first attempt, so the instant is the beginning of its attempts, too:
its age does not begin anew with a restart.

A sink may add a note: any JSON value, from which it knows where it sends the batch, whatever its settings are by then.
`s3` has the keys of the objects in it.

A range has a quota, with which the same events are dropped again, if a rate limit has dropped some of it. Older
versions refuse such a state, and one with a note.

| form | written by |
|---|---|
| `[[range, …], at]` | this version |
| `[[range, …], at, note]` | a sink that adds a note |
| `[generation, position, start, end, kind]` | a range |
| `[generation, position, start, end, kind, quota]` | a range of which a rate limit has dropped events |
| `[range, …]` | the versions before: the instant is not known, and is 0 |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.state import saved_values

_LATEST = 2**63  # nanoseconds since 1970, exclusive


class ChunkRange(NamedTuple):
    """The range of one chunk of a batch: enough to read the chunk again. See `model.chunk.Chunk` for the fields."""

    generation: str
    position: int
    start: int
    end: int
    kind: int  # one of KINDS
    quota: Mapping[str, int] | None = None  # what a rate limit has let pass: see `transform.reduction.rate_limits`

    @property
    def partial(self) -> bool:
        return self.kind == _PIECE

    @property
    def open(self) -> bool:
        return self.kind == _OPEN


_WHOLE, _PIECE, _OPEN = KINDS = range(3)
"""Of a chunk: whole events; a piece of a line (`Chunk.partial`); the last event may go on (`Chunk.open`)."""


class SentBatch(NamedTuple):
    """A batch in flight: its ranges, and when it was collected, in nanoseconds since 1970; 0 if that is not known."""

    ranges: list[ChunkRange]
    at: int
    note: Any = None  # of the sink; None: it has none


def parse(items: list[Any]) -> list[SentBatch]:
    """Return the batches of a journal entry or a snapshot, in either form. Raises ValueError or TypeError."""
    return [_batch(item) for item in items]


def _batch(item: Any) -> SentBatch:
    match item:
        case [list(ranges), int(at), *note] if len(note) <= 1:
            return SentBatch([_range(each) for each in ranges], saved_values.number(at, _LATEST), *note)
        case list():
            return SentBatch([_range(each) for each in item], 0)
    raise TypeError("a batch is no list")


def _range(item: Any) -> ChunkRange:
    generation, position, start, end, kind, *quotas = item
    places = saved_values.chunk_range(position, start, end)
    kind, quota = saved_values.number(int(kind), len(KINDS)), None
    if quotas:
        (quota,) = map(saved_values.quota, quotas)
    return ChunkRange(saved_values.generation(generation), *places, kind, quota)


def as_saved(batches: Iterable[SentBatch]) -> list[Any]:
    """Return the batches as the state has them."""
    return [
        [
            [item[: None if item.quota else -1] for item in batch.ranges],
            batch.at,
            *([] if batch.note is None else [batch.note]),
        ]
        for batch in batches
    ]


def chunk_range(chunk: Chunk) -> ChunkRange:
    """Return the journal's entry for a chunk on its way."""
    kind = _OPEN if chunk.open else _PIECE if chunk.partial else _WHOLE
    return ChunkRange(chunk.generation, chunk.position, chunk.start, chunk.end, kind, chunk.quota)

"""Records of every sort, for the property tests of what encodes them."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import position_fingerprint
from sidecars.logshipper.model.records import Records

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.sampled_from(
    ["", "%d%s", 'a "quoted" \\ line', "one\ntwo", "\0", "x" * 20_000, "\u2028\U0001f600"]
)
_REPEATED = st.lists(st.text("a\u00fc%", max_size=3), min_size=1, max_size=3).map(lambda texts: texts * 200)
_TIMES = st.none() | st.integers(0, 2**61) | st.integers(0, 2**41).map(lambda milli: milli * 10**6)
_LABELS = [{}, {"pod": "shop-1", "app.kubernetes.io/name": 'sh"o\\p%d\n', "node": "n1%"}, {"team": "x" * 50}]
_MANY = 9  # events
_LEVELS = st.none() | st.sampled_from(["INFO", "warn", "%d", 'a"b'])


def _column(values: st.SearchStrategy[Any], length: int) -> st.SearchStrategy[list[Any] | None]:
    """None, or a value for each event; for very many of them, None."""
    return st.none() | st.lists(values, min_size=length, max_size=length) if length < _MANY else st.none()


@st.composite
def all_records(draw: st.DrawFn) -> Records:
    bodies = draw(st.lists(_TEXT, max_size=_MANY - 1) | _REPEATED)
    start = draw(st.integers(0, 2**40) | st.sampled_from([0, 9, 98, 9_990, 10**6 - 7]))
    offsets, sizes = [], [len(body.encode()) + 1 for body in bodies]
    for size in sizes:
        offsets.append(start)
        start += size
    data = "".join(body + "\n" for body in bodies).encode()
    first = offsets[0] if offsets else start
    chunk = Chunk(
        draw(st.sampled_from(["f00d", "beef"])), "/logs/a%d.log", first, first, data, position_fingerprint(start, data)
    )
    times = draw(_column(_TIMES, len(bodies)))
    levels = draw(_column(_LEVELS, len(bodies)))
    labels = draw(
        st.sampled_from(
            [{}, {"pod": "shop-1", "app.kubernetes.io/name": 'sh"o\\p%d\n', "node": "n1%"}, {"team": "x" * 50}]
        )
    )
    partial = bool(bodies) and draw(st.booleans())
    sized = draw(st.integers(int(partial), min(3, len(bodies))))
    return Records(chunk, labels, bodies, offsets, sizes, times=times, levels=levels, partial=partial, sized=sized)


def batches() -> st.SearchStrategy[Batch]:
    return st.lists(all_records(), min_size=1, max_size=3).map(lambda records: Batch("default", tuple(records)))


def with_columns(batch: Batch, **columns: Any) -> Batch:
    """The batch, each of its records with these columns."""
    records = tuple(dataclasses.replace(one, **columns) for one in batch.records)
    return Batch(batch.sink, records)

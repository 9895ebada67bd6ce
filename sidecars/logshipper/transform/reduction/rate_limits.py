"""Rate limits with `RATE_EXCESS=drop`: which events of a chunk pass, and the same choice again after kill -9. Pure.

The choice is made when a batch is made, by the tokens of that moment: of each key the first events pass, as many as it
has tokens. The journal keeps the *quota* of the chunk: the number of events that pass, by key. With it
the next process makes the same choice among the same events.

| a quota | means |
|---|---|
| None | all events pass |
| `{"a3…": 5}` | of this key 5 events pass, of all other keys all |
| `{"a3…": 5, "07…": -1, "": 9}` | of the first key 5, of the second one all, and 9 of all other keys together |

A key is the hash of the value of `RATE_LIMIT_KEY`: neither the memory nor the journal has texts of the app. Two values
with one hash of 48 bits share their tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from sidecars.chassis.config.rates import Rate
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.field_columns import FieldColumns
from sidecars.logshipper.transform.parsing import field_paths
from sidecars.logshipper.transform.parsing.field_paths import FieldPath
from sidecars.logshipper.transform.reduction.token_buckets import OTHERS, TokenBuckets

Quota = Mapping[str, int]
Limit = Callable[[Chunk, Sequence[str], Sequence[str]], tuple[Sequence[bool], Quota | None]]
"""Returns which events of a chunk pass, by their texts and keys, and the quota of the chunk."""

ALL = -1
"""In a quota: all events of the key pass."""

_SIZE = 6  # bytes of a hash


class RateLimit(NamedTuple):
    """The limit of one input: for each key, and for each sink. Beyond it events are dropped, or read later."""

    rate: Rate
    burst: int
    drops: bool


def hashed(value: str) -> str:
    """Return the key of a value."""
    return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=_SIZE).hexdigest()


_NO_KEY = hashed("")


def event_keys(
    paths: Sequence[FieldPath],
    chunk: Chunk,
    labels: Mapping[str, str],
    streams: Sequence[str] | None,
    fields: FieldColumns | None,
    count: int,
) -> list[str]:
    """Return the key of each event. The first path counts that the event has; all events without one share a key.

    A path is `file`, a label, the `stream` of a container, or a field. Paths that the app cannot choose come first.
    """
    for path in paths:
        if path.literal == "file" or path.literal in labels:
            value = chunk.first_path if path.literal == "file" else labels[path.literal]
            return [hashed(value)] * count
    columns: list[Sequence[Any]] = []
    for path in paths:
        if path.literal == "stream" and streams:
            columns.append(streams)
        elif fields is not None and (column := field_paths.column(fields, path)) is not None:
            columns.append(column)
    if not columns:
        return [_NO_KEY] * count
    known: dict[str, str] = {"": _NO_KEY}
    keys = []
    for values in zip(*columns, strict=True):
        text = next((text for text in map(_text, values) if text), "")
        key = known.get(text)
        if key is None:
            key = known[text] = hashed(text)
        keys.append(key)
    return keys


def _text(value: Any) -> str:
    """Return a text, number or boolean as text; "" for anything else."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return repr(value) if type(value) is float or (type(value) is int and abs(value) < 2**64) else ""


def decide(keys: Sequence[str], buckets: TokenBuckets, now: int) -> Quota | None:
    """Take tokens for events with these keys. Return the quota; None if all of them pass."""
    quota: dict[str, int] = {}
    others = 0
    for key, count in Counter(keys).items():
        place = buckets.place(key, now)
        if place == OTHERS:
            others += count
        else:
            taken = buckets.take(place, count, now)
            quota[key] = ALL if taken == count else taken
    shared = buckets.take(OTHERS, others, now) if others else 0
    if shared < others:
        return {**quota, OTHERS: shared}
    return {key: taken for key, taken in quota.items() if taken != ALL} or None


def passing(keys: Sequence[str], quota: Quota | None) -> list[bool]:
    """Return for each event with these keys whether the quota lets it pass."""
    if quota is None:
        return [True] * len(keys)
    left = dict(quota)
    passes = []
    for key in keys:
        place = key if key in left else OTHERS
        tokens = left.get(place, ALL)
        passes.append(tokens != 0)
        if tokens > 0:
            left[place] = tokens - 1
    return passes

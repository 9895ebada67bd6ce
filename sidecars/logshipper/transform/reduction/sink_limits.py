"""The rate limits of one sink: of each input with `RATE_LIMIT`, by key. Pure apart from the clock.

    wait   sink_queue reads a chunk ─► admit ─► the part of it that may pass now; its file is held until then
    drop   pipeline makes records   ─► decide ─► the events that pass, and the quota for the journal
    again  after kill -9            ─► repeat ─► the same events as in the journal; they take tokens, too

With `wait` events are dropped by no one: the position stays before the first event that may not pass, and with it all
that is behind it in its file. Where the pieces of an event lie between those of others (a container's two streams), a
chunk can be cut at some places only: a few events may pass early then, and the next ones wait longer for it.

An event that `SINK_KEEP` or `SINK_DROP` keeps from the sink takes no token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.transform.reduction import rate_limits
from sidecars.logshipper.transform.reduction.rate_limits import Quota, RateLimit
from sidecars.logshipper.transform.reduction.token_buckets import TokenBuckets

_PAUSE = 4  # of a second: a held file is read again when so large a part of a second's tokens is there
_TRIES = 4  # places, before and after the first event that may not pass, at which a cut is tried


class LimitedPipeline(Protocol):
    """A pipeline, as far as it is used here."""

    rate_limit: RateLimit | None
    has_rate_keys: bool

    def keyed_events(self, chunk: Chunk) -> tuple[Sequence[int], list[str], list[str]]: ...
    def may_cut(self, chunk: Chunk, length: int) -> bool: ...


class SinkLimits:
    """The limits of one sink. Owned by its shipper.

    `wanted_by_sink`: the filter of the sink: returns the indices of the texts that it gets. `clock`: seconds.
    """

    def __init__(
        self,
        pipelines: Mapping[str, LimitedPipeline],
        wanted_by_sink: Callable[[Sequence[str]], Sequence[int]] | None,
        clock: Callable[[], float],
    ) -> None:
        self._pipelines = {name: one for name, one in pipelines.items() if one.rate_limit is not None}
        self._limits = {name: one.rate_limit for name, one in self._pipelines.items() if one.rate_limit is not None}
        self._buckets = {name: TokenBuckets(limit.rate, limit.burst) for name, limit in self._limits.items()}
        self._wanted_by_sink = wanted_by_sink
        self._clock = clock
        self._held: dict[tuple[str, str], int] = {}  # input and file name, "" for all of them -> until when
        self._is_lifted = False

    def __bool__(self) -> bool:
        return bool(self._limits)

    def lift(self) -> None:
        """Let everything be read from now on: the process is to end, and what waits would be lost with the Pod."""
        self._is_lifted = True
        self._held.clear()

    # -- drop ----------------------------------------------------------------------------------------------------------

    def decide(self, chunk: Chunk, texts: Sequence[str], keys: Sequence[str]) -> tuple[Sequence[bool], Quota | None]:
        """Return which events of the chunk pass now, and the quota for the journal."""
        if not self._limits[chunk.input].drops:
            return [True] * len(keys), None
        counted = self._counted(texts)
        of_counted = [keys[index] for index in counted]
        quota = rate_limits.decide(of_counted, self._buckets[chunk.input], self._now())
        return _passing(keys, counted, rate_limits.passing(of_counted, quota)), quota

    def repeat(self, chunk: Chunk, texts: Sequence[str], keys: Sequence[str]) -> tuple[Sequence[bool], Quota | None]:
        """Return which events of the chunk passed in an earlier process, by the quota in the journal."""
        counted = self._counted(texts)
        of_counted = [keys[index] for index in counted]
        passes = rate_limits.passing(of_counted, chunk.quota)
        buckets, now = self._buckets[chunk.input], self._now()
        for key, count in Counter(key for key, passed in zip(of_counted, passes, strict=True) if passed).items():
            buckets.charge(buckets.place(key, now), count, now)
        return _passing(keys, counted, passes), chunk.quota

    def with_quotas(self, chunks: list[Chunk], made: Iterable[Records]) -> list[Chunk]:
        """Return the chunks of a batch with the number of events that have passed: the journal keeps it."""
        quotas = {(one.read_from.generation, one.read_from.start): one.quota for one in made}
        return [replace(chunk, quota=quotas.get((chunk.generation, chunk.start))) for chunk in chunks]

    # -- wait ----------------------------------------------------------------------------------------------------------

    def paces(self, name: str) -> bool:
        """Return True if lines of this input wait for tokens."""
        return name in self._limits and not self._limits[name].drops and not self._is_lifted

    def may_read(self, name: str, first_path: str) -> bool:
        """Return False while a file of this input and name is held, with all generations of that name."""
        if not self._held:
            return True
        now = self._now()
        return all(self._held.get((name, held), 0) <= now for held in (first_path, ""))

    def held_for(self) -> float | None:
        """Return the seconds until the next file may be read again; None if none is held."""
        now = self._now()
        self._held = {key: until for key, until in self._held.items() if until > now}
        return (min(self._held.values()) - now) / 1e9 if self._held else None

    def held_inputs(self) -> str:
        """Return which inputs have files that are held, as a sentence; "" if none has."""
        now = self._now()
        names = sorted({name for (name, _), until in self._held.items() if until > now})
        return f"lines wait for RATE_LIMIT of {', '.join(names)}" if names else ""

    def admit(self, chunk: Chunk) -> int:
        """Return how many bytes of the chunk may pass now. Its file is held if these are not all."""
        if not self.paces(chunk.input) or not chunk.data:
            return chunk.size
        pipeline, buckets, now = self._pipelines[chunk.input], self._buckets[chunk.input], self._now()
        offsets, texts, keys = pipeline.keyed_events(chunk)
        counted = self._counted(texts)
        for at, index in enumerate(counted):
            place = buckets.place(keys[index], now)
            if not buckets.take(place, 1, now):
                self._hold(chunk, place, now)
                return self._cut(chunk, [offsets[each] - chunk.start for each in counted], at, keys, counted)
        return chunk.size

    def _cut(self, chunk: Chunk, ends: Sequence[int], at: int, keys: Sequence[str], counted: Sequence[int]) -> int:
        """Return the length up to the counted event number `at`, or to one near it where the chunk may be cut."""
        pipeline, buckets, now = self._pipelines[chunk.input], self._buckets[chunk.input], self._now()
        if not at:
            return ends[0] if ends[0] and pipeline.may_cut(chunk, ends[0]) else 0
        before, behind = range(at, max(0, at - _TRIES), -1), range(at + 1, min(len(ends), at + _TRIES))
        found = next((one for one in (*before, *behind) if pipeline.may_cut(chunk, ends[one])), len(ends))
        for index in counted[found:at]:
            buckets.charge(buckets.place(keys[index], now), -1, now)
        for index in counted[at:found]:
            buckets.charge(buckets.place(keys[index], now), 1, now)
        return chunk.size if found == len(ends) else ends[found]

    def _hold(self, chunk: Chunk, place: str, now: int) -> None:
        limit = self._limits[chunk.input]
        tokens = max(1, limit.rate.events * 10**9 // limit.rate.period // _PAUSE)
        one_for_all = not self._pipelines[chunk.input].has_rate_keys
        held = (chunk.input, "" if one_for_all else chunk.first_path)
        self._held[held] = self._buckets[chunk.input].ready_at(place, tokens, now)

    def _counted(self, texts: Sequence[str]) -> Sequence[int]:
        """Return the indices of the events that the sink gets."""
        return range(len(texts)) if self._wanted_by_sink is None else self._wanted_by_sink(texts)

    def _now(self) -> int:
        return int(self._clock() * 1e9)


def _passing(keys: Sequence[str], counted: Sequence[int], passes: Sequence[bool]) -> list[bool]:
    """Return for each event whether it passes: events that do not count do, and are dropped later."""
    wanted = [True] * len(keys)
    for index, passed in zip(counted, passes, strict=True):
        wanted[index] = passed
    return wanted

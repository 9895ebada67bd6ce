"""The topic, key and partition of each event. Pure.

    Batch ─► topic template, key ─► murmur2 ─► the segments of each partition ─► record batches

The key is the generation of the file, unless `SINK_MESSAGE_KEY` says otherwise: then all lines of a file are in one
partition, in their order. Nothing is decided for single events then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sidecars.logshipper.config.sink_families.kafka_settings import GENERATION, NO_KEY
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.encodings.ndjson import Encode
from sidecars.logshipper.sinks.encodings.target_names import TargetTemplate
from sidecars.logshipper.sinks.kafka.protocol import record_batches
from sidecars.logshipper.sinks.kafka.protocol.error_codes import RECORDS, TIMESTAMPS, TOO_LARGE, describe, meaning
from sidecars.logshipper.sinks.kafka.protocol.murmur2 import partition_of
from sidecars.logshipper.sinks.kafka.protocol.record_batches import RecordBatch, Segment, encoded_key
from sidecars.logshipper.sinks.kafka.protocol.requests import Partition
from sidecars.logshipper.sinks.kafka.protocol.responses import Produced

_MILLISECOND = 1_000_000  # nanoseconds
_LATEST = 2**63 - 1  # milliseconds

Plan = dict[Partition, list[RecordBatch]]
"""The record batches of each partition, in the order in which they are sent."""


@dataclass(slots=True)
class Decisions:
    """Decisions of the brokers on the events of one batch, by their numbers.

    done       events that are there
    rejected   events that are never sent again, with the reason
    cuts       events that begin a record batch: the one before was refused as a whole
    late       events that get the batch's time: the broker does not accept their own
    """

    done: set[int] = field(default_factory=set)
    rejected: dict[int, str] = field(default_factory=dict)
    cuts: set[int] = field(default_factory=set)
    late: set[int] = field(default_factory=set)

    @property
    def is_partial(self) -> bool:
        """True if some events are not to be sent."""
        return bool(self.done or self.rejected)

    def is_open(self, number: int) -> bool:
        """True if the event is to be sent."""
        return number not in self.done and number not in self.rejected

    def learn(self, sent: RecordBatch, decision: Produced) -> bool:
        """Take a refusal of a record batch. Return False if it says nothing about single events."""
        means = meaning(decision.error)
        named = {at: text for at, text in decision.records if 0 <= at < len(sent.events)}
        if means == TIMESTAMPS:
            at_fault = {sent.events[at] for at in named} or set(sent.events)
            new = at_fault - self.late
            self.late |= new
            return bool(new)
        if means not in (RECORDS, TOO_LARGE):
            return False
        reason = decision.message or describe(decision.error)
        if named and means == RECORDS:
            self.rejected.update((sent.events[at], text or reason) for at, text in named.items())
        elif len(sent.events) > 1:
            self.cuts.add(sent.events[len(sent.events) // 2])
        else:
            self.rejected[sent.events[0]] = reason
        return True


class Router:
    """Chooses the partition of each event. Owned by the sink.

    `key`: `generation`, `none`, or a template of keys. `encode`: of values, see `ndjson.encoder`; None: the texts.
    """

    def __init__(
        self, topics: TargetTemplate, key: str, compression: str, encode: Encode | None = ndjson.encode
    ) -> None:
        self._encode = encode
        self.topics = topics
        self._compression = compression
        self._by_generation = key == GENERATION
        self._keys = None if key in (GENERATION, NO_KEY) else TargetTemplate(key, clean=str, most=None)

    def plan(
        self,
        batch: Batch,
        names: Sequence[str],
        partitions: Mapping[str, int],
        decisions: Decisions,
        most: int = record_batches.MAX_SIZE,
    ) -> Plan:
        """Return the record batches of a batch.

        `names`: the topic of each event. `partitions`: the number of partitions of each topic. `most`: bytes of one.
        """
        segments: dict[Partition, list[Segment]] = {}
        first = 0
        for records in batch.records:
            numbers = range(first, first + len(records.bodies))
            first = numbers.stop
            for partition, segment in self._segments(batch, records, numbers, names, partitions, decisions):
                segments.setdefault(partition, []).append(segment)
        cuts = frozenset(decisions.cuts)

        def values(records: Records) -> Iterator[list[bytes]]:
            if self._encode is None:
                return record_batches.texts_of(records)
            return record_batches.lines_of(self._encode(Batch(batch.sink, (records,), batch.at)))

        return {
            partition: record_batches.encode(found, self._compression, cuts=cuts, most=most, values=values)
            for partition, found in segments.items()
        }

    def _segments(
        self,
        batch: Batch,
        records: Records,
        numbers: range,
        names: Sequence[str],
        partitions: Mapping[str, int],
        decisions: Decisions,
    ) -> list[tuple[Partition, Segment]]:
        if not numbers:
            return []
        of_chunk = names[numbers.start : numbers.stop]
        is_plain = self._keys is None and not decisions.is_partial and of_chunk.count(of_chunk[0]) == len(of_chunk)
        if is_plain:
            key = self._constant_key(records)
            topic = of_chunk[0]
            where = (topic, self._partition(batch, key, partitions[topic]))
            return [(where, self._segment(batch, records, numbers, encoded_key(key), decisions))]
        return self._mixed(batch, records, numbers, of_chunk, partitions, decisions)

    def _mixed(
        self,
        batch: Batch,
        records: Records,
        numbers: range,
        of_chunk: Sequence[str],
        partitions: Mapping[str, int],
        decisions: Decisions,
    ) -> list[tuple[Partition, Segment]]:
        """Return segments of events whose topics or keys differ, or of which some are not sent."""
        constant = self._constant_key(records)
        keys: list[bytes | None] = [constant] * len(numbers)
        if self._keys is not None:
            alone = Batch(batch.sink, (records,), at=batch.at)
            keys = [name.encode() or None for name in self._keys.names(alone)]
        places: dict[Partition, list[int]] = {}
        for at, (topic, each) in enumerate(zip(of_chunk, keys, strict=True)):
            if decisions.is_open(numbers[at]):
                where = (topic, self._partition(batch, each, partitions[topic]))
                places.setdefault(where, []).append(at)
        found = []
        for where, chosen in places.items():
            part = records if len(chosen) == len(numbers) else records.select(chosen)
            theirs = [encoded_key(keys[at]) for at in chosen]
            key = encoded_key(constant) if self._keys is None else theirs
            segment = self._segment(batch, part, [numbers[at] for at in chosen], key, decisions)
            found.append((where, segment))
        return found

    def _constant_key(self, records: Records) -> bytes | None:
        return records.chunk.generation.encode() if self._by_generation else None

    def _partition(self, batch: Batch, key: bytes | None, partitions: int) -> int:
        """Return the partition of a key. Records without a key go to one partition for each batch."""
        return partition_of(key if key is not None else batch.key.encode(), partitions)

    @staticmethod
    def _segment(
        batch: Batch,
        records: Records,
        numbers: Sequence[int],
        keys: bytes | Sequence[bytes],
        decisions: Decisions,
    ) -> Segment:
        at = batch.at // _MILLISECOND
        if records.times is None:
            return Segment(records, numbers, keys, at)
        stamps = [at if time is None else min(max(time // _MILLISECOND, 0), _LATEST) for time in records.times]
        if decisions.late:
            stamps = [at if number in decisions.late else stamp for number, stamp in zip(numbers, stamps, strict=True)]
        return Segment(records, numbers, keys, stamps)

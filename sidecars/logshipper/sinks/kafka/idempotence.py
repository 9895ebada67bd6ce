"""Without transactions: each record batch has a sequence number, by which the brokers drop a repeat of this process.

With `SINK_ACKS=1` not even that: a record batch has no number, and a lost answer makes repeats.

One record batch of each partition is under way at a time. A record batch whose outcome is not known is sent again as
it is, with its number, before anything else of its partition. After a restart the producer has another id: a batch
that was in flight is there twice then, with the same `id` headers.

| the decision on a record batch | next |
|---|---|
| accepted, or a repeat of what is there | its events are done |
| refused for its size or its records | its number is free again; the rest of its partition is made anew |
| anything else, or no decision | it keeps its number, and the batch is sent again later |
| the producer's id is not known any more | a new id; everything that is not done is made anew |
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecars.logshipper.sinks.kafka import producing
from sidecars.logshipper.sinks.kafka.cluster import Cluster
from sidecars.logshipper.sinks.kafka.producing import Refusals
from sidecars.logshipper.sinks.kafka.protocol import requests, responses
from sidecars.logshipper.sinks.kafka.protocol.error_codes import (
    DUPLICATE_SEQUENCE,
    FENCED,
    NONE,
    RECORDS,
    SESSION,
    TIMESTAMPS,
    TOO_LARGE,
    BrokerError,
    meaning,
)
from sidecars.logshipper.sinks.kafka.protocol.record_batches import RecordBatch
from sidecars.logshipper.sinks.kafka.protocol.requests import NO_PRODUCER, Partition, Producer
from sidecars.logshipper.sinks.kafka.protocol.responses import Produced
from sidecars.logshipper.sinks.kafka.routing import Plan

_NO_SEQUENCE = -1


class IdempotentProducer:
    """Sends the batches of one sink, which owns it. `timeout`: milliseconds in which the replicas must have a batch.

    `acks`: `producing.ALL`, or `producing.LEADER` without sequence numbers.
    """

    def __init__(self, cluster: Cluster, acks: int, timeout: int) -> None:
        self._cluster = cluster
        self._acks = acks
        self._timeout = timeout
        self._producer = NO_PRODUCER if acks == producing.LEADER else None
        self._sequences: dict[Partition, int] = {}  # of the next record
        self._unknown: dict[Partition, tuple[RecordBatch, int]] = {}  # sent, with the sequence number
        self._key = ""  # of the batch that is being sent
        self._done: set[int] = set()  # the numbers of its events that are there

    async def resume(self, key: str) -> set[int]:
        """Begin a batch, or go on with it: records without a known outcome are sent again. Return its done events.

        Raises BrokerError or ConnectionFailed.
        """
        if self._key != key:
            if self._unknown:
                self.forget()
            self._key, self._done = key, set()
        if self._producer is None:
            self._producer = await self._new_id()
        if self._unknown:
            await self._send({partition: batch for partition, (batch, _) in self._unknown.items()})
        return self._done

    async def send(self, plan: Plan) -> Refusals:
        """Send the record batches of the batch. Return the refused ones; the rest is done unless it stands behind them.

        Raises BrokerError or ConnectionFailed.
        """
        refusals: Refusals = []
        stopped: set[Partition] = set()
        for number in range(max(map(len, plan.values()), default=0)):
            wave = {
                partition: batches[number]
                for partition, batches in plan.items()
                if number < len(batches) and partition not in stopped
            }
            refused = await self._send(wave)
            refusals += refused
            stopped |= wave.keys() - {partition for partition, batch in wave.items() if self._is_done(batch)}
        return refusals

    def forget(self) -> None:
        """Ask for a new producer id before the next record batch: the numbers of this one are of no use any more."""
        self._unknown.clear()
        self._sequences.clear()
        if self._acks == producing.ALL:
            self._producer = None

    def _is_done(self, batch: RecordBatch) -> bool:
        return batch.events[0] in self._done

    async def _send(self, wave: dict[Partition, RecordBatch]) -> Refusals:
        """Send a record batch to each partition. Return those that were refused."""
        if self._producer is None or not wave:
            return []
        sealed = {}
        for partition, batch in wave.items():
            _, sequence = self._unknown.setdefault(partition, (batch, self._sequences.get(partition, 0)))
            sealed[partition] = batch.sealed(self._producer, sequence if self._acks == producing.ALL else _NO_SEQUENCE)
        decisions = await producing.send_wave(self._cluster, self._producer, self._acks, self._timeout, sealed)
        self._note(wave, decisions)
        try:
            refusals = producing.refused(wave, decisions)
        except BrokerError as error:
            if error.meaning in (SESSION, FENCED):
                self.forget()
            raise
        return refusals

    def _note(self, wave: dict[Partition, RecordBatch], decisions: Mapping[Partition, Produced]) -> None:
        """Note the record batches that are done, and those whose sequence numbers are free again."""
        for partition, batch in wave.items():
            decision = decisions.get(partition)
            if decision is None:
                continue
            if decision.error in (NONE, DUPLICATE_SEQUENCE):
                _, sequence = self._unknown.pop(partition)
                self._sequences[partition] = producing.next_sequence(sequence, len(batch.events))
                self._done.update(batch.events)
            elif meaning(decision.error) in (TOO_LARGE, RECORDS, TIMESTAMPS):
                del self._unknown[partition]

    async def _new_id(self) -> Producer:
        broker = await self._cluster.any_broker()
        body = requests.init_producer_id(None, self._timeout)
        code, number, epoch = await broker.request(requests.INIT_PRODUCER_ID, body, responses.producer_id)
        if code != NONE:
            raise BrokerError(code, "InitProducerId")
        return Producer(None, number, epoch)

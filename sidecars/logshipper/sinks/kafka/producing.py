"""Produce requests: the record batches of a plan go to the leaders of their partitions, and each gets its decision.

A request has one record batch for each partition, as brokers demand it. Record batches of one partition are sent in
their order, in *waves*: the first one of each partition, then the second ones. Several waves are under way together
only in a transaction, which is aborted as a whole if one of them fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from sidecars.chassis.http.peer_text import sanitized
from sidecars.logshipper.sinks.kafka.cluster import Cluster
from sidecars.logshipper.sinks.kafka.connection import BrokerConnection
from sidecars.logshipper.sinks.kafka.protocol import requests, responses
from sidecars.logshipper.sinks.kafka.protocol.error_codes import (
    DUPLICATE_SEQUENCE,
    NONE,
    RECORDS,
    TIMESTAMPS,
    TOO_LARGE,
    BrokerError,
    meaning,
)
from sidecars.logshipper.sinks.kafka.protocol.record_batches import RecordBatch
from sidecars.logshipper.sinks.kafka.protocol.requests import Partition, Producer
from sidecars.logshipper.sinks.kafka.protocol.responses import Produced
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed

T = TypeVar("T")

ALL, LEADER = -1, 1
"""Values of `acks`: all replicas that are in sync, or the leader alone."""

Refusals = list[tuple[RecordBatch, Produced]]
"""Record batches that were refused for their size or their records, with the broker's decision on each."""

Sealed = Mapping[Partition, Sequence[bytes]]
"""One record batch for each partition, in blocks."""


async def send_wave(
    cluster: Cluster, producer: Producer, acks: int, milliseconds: int, wave: Sealed
) -> dict[Partition, Produced]:
    """Send one record batch to each partition. Return the decision on each; one that is missing has no known outcome.

    `milliseconds`: the time in which the replicas must have it. Raises BrokerError or ConnectionFailed if nothing was
    sent.
    """
    by_leader: dict[BrokerConnection, dict[Partition, Sequence[bytes]]] = {}
    for partition, blocks in wave.items():
        by_leader.setdefault(await cluster.leader(partition), {})[partition] = blocks
    calls = [_produce(leader, producer, acks, milliseconds, batches) for leader, batches in by_leader.items()]
    decisions: dict[Partition, Produced] = {}
    for found in await together(*calls):
        decisions |= found
    return decisions


async def _produce(
    leader: BrokerConnection, producer: Producer, acks: int, milliseconds: int, batches: Sealed
) -> dict[Partition, Produced]:
    version = leader.version(requests.PRODUCE)
    body = requests.produce(producer, acks, milliseconds, batches)
    try:
        return await leader.request(requests.PRODUCE, body, lambda reader: responses.produced(reader, version))
    except ConnectionFailed:
        return {}


def next_sequence(sequence: int, count: int) -> int:
    """Return the sequence number behind `count` records: after 2**31 - 1 comes 0."""
    return (sequence + count) & 0x7FFFFFFF


def refused(sent: Mapping[Partition, RecordBatch], decisions: Mapping[Partition, Produced]) -> Refusals:
    """Return the record batches that were refused for their size or their records.

    Raises BrokerError for any other error, and ConnectionFailed for a record batch without a decision.
    """
    found: Refusals = []
    for partition, batch in sent.items():
        decision = decisions.get(partition)
        if decision is None:
            raise ConnectionFailed("the connection broke before the broker's decision on the records")
        if decision.error in (NONE, DUPLICATE_SEQUENCE):
            continue
        if meaning(decision.error) not in (TOO_LARGE, RECORDS, TIMESTAMPS):
            topic, number = partition
            raise BrokerError(decision.error, f"topic {topic}, partition {number}", sanitized(decision.message))
        found.append((batch, decision))
    return found


async def together(*calls: Coroutine[Any, Any, T]) -> list[T]:
    """Return the results of calls that run at once. If one fails, the others are cancelled, and over when it raises."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise

"""The requests that the sink sends, and the versions of them that brokers from 2.1 to 4.x share. Pure.

https://kafka.apache.org/protocol#protocol_api_keys, KIP-35 (ApiVersions), KIP-896 (versions that 4.0 removed)

`OffsetFetch` 7 is the one that needs a broker of 2.5 or later, for `require_stable` (KIP-447): without it the metadata
of a transaction that is just being committed would be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sidecars.chassis.protobuf import varint
from sidecars.logshipper.sinks.kafka.protocol.wire import (
    NO_TAGS,
    array,
    byte_string,
    compact_string,
    int8,
    int16,
    int32,
    int64,
    string,
)

CLIENT = "logshipper"

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""


@dataclass(frozen=True, slots=True)
class Api:
    """One kind of request: its key, its name, and the versions that this module writes."""

    key: int
    name: str
    lowest: int
    highest: int
    flexible: bool = False  # True if its versions have tagged fields in the heads


PRODUCE = Api(0, "Produce", 7, 8)
METADATA = Api(3, "Metadata", 4, 7)
OFFSET_FETCH = Api(9, "OffsetFetch", 7, 7, flexible=True)
FIND_COORDINATOR = Api(10, "FindCoordinator", 1, 2)
SASL_HANDSHAKE = Api(17, "SaslHandshake", 1, 1)
API_VERSIONS = Api(18, "ApiVersions", 0, 0)
INIT_PRODUCER_ID = Api(22, "InitProducerId", 0, 1)
ADD_PARTITIONS_TO_TXN = Api(24, "AddPartitionsToTxn", 0, 2)
ADD_OFFSETS_TO_TXN = Api(25, "AddOffsetsToTxn", 0, 2)
END_TXN = Api(26, "EndTxn", 0, 2)
TXN_OFFSET_COMMIT = Api(28, "TxnOffsetCommit", 0, 2)
SASL_AUTHENTICATE = Api(36, "SaslAuthenticate", 0, 1)

GROUP, TRANSACTION = 0, 1
"""Types of the key of `find_coordinator`."""


@dataclass(frozen=True, slots=True)
class Producer:
    """The identity of a producer: each of its batches carries it. `transactional_id` is None without transactions."""

    transactional_id: str | None
    id: int
    epoch: int

    def encoded(self) -> bytes:
        return int64(self.id) + int16(self.epoch)


NO_PRODUCER = Producer(None, -1, -1)
"""For acks=1: the broker recognises no repeats."""


def framed(api: Api, version: int, correlation: int, body: Sequence[bytes]) -> list[bytes]:
    """Return a request with its head and its length, in blocks."""
    head = int16(api.key) + int16(version) + int32(correlation) + string(CLIENT)
    if api.flexible:
        head += NO_TAGS
    return [int32(len(head) + sum(map(len, body))) + head, *body]


def metadata(topics: Iterable[str]) -> list[bytes]:
    """Ask for the brokers, and for the leaders of the topics. No topic is created by it."""
    return [array([string(topic) for topic in topics]), b"\x00"]


def find_coordinator(key: str, kind: int) -> list[bytes]:
    return [string(key), int8(kind)]


def init_producer_id(transactional_id: str | None, timeout: int) -> list[bytes]:
    """Ask for a producer id and an epoch. `timeout`: milliseconds after which a transaction is aborted."""
    return [string(transactional_id), int32(timeout)]


def add_partitions_to_txn(producer: Producer, partitions: Iterable[Partition]) -> list[bytes]:
    by_topic: dict[str, list[bytes]] = {}
    for topic, partition in partitions:
        by_topic.setdefault(topic, []).append(int32(partition))
    topics = [string(topic) + array(numbers) for topic, numbers in by_topic.items()]
    return [string(producer.transactional_id), producer.encoded(), array(topics)]


def add_offsets_to_txn(producer: Producer, group: str) -> list[bytes]:
    return [string(producer.transactional_id), producer.encoded(), string(group)]


def txn_offset_commit(
    version: int, producer: Producer, group: str, topic: str, offset: int, metadata: str
) -> list[bytes]:
    """Commit one offset, of partition 0 of the topic, with its metadata."""
    leader_epoch = int32(-1) if version >= 2 else b""
    committed = int32(0) + int64(offset) + leader_epoch + string(metadata)
    topics = array([string(topic) + array([committed])])
    return [string(producer.transactional_id), string(group), producer.encoded(), topics]


def end_txn(producer: Producer, *, commit: bool) -> list[bytes]:
    return [string(producer.transactional_id), producer.encoded(), int8(commit)]


def offset_fetch(group: str) -> list[bytes]:
    """Ask for the offsets of all topics of the group; those of a transaction that is not over are an error."""
    return [compact_string(group), varint(0), b"\x01", NO_TAGS]


def produce(producer: Producer, acks: int, timeout: int, batches: Mapping[Partition, Sequence[bytes]]) -> list[bytes]:
    """Send one record batch, in blocks, to each partition. `timeout`: milliseconds in which the replicas have it."""
    by_topic: dict[str, list[tuple[int, Sequence[bytes]]]] = {}
    for (topic, partition), blocks in batches.items():
        by_topic.setdefault(topic, []).append((partition, blocks))
    body = [string(producer.transactional_id), int16(acks), int32(timeout), int32(len(by_topic))]
    for topic, partitions in by_topic.items():
        body += (string(topic), int32(len(partitions)))
        for partition, blocks in partitions:
            body += (int32(partition), int32(sum(map(len, blocks))), *blocks)
    return body


def sasl_handshake(mechanism: str) -> list[bytes]:
    return [string(mechanism)]


def sasl_authenticate(message: bytes) -> list[bytes]:
    return [byte_string(message)]

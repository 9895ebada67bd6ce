"""The responses to `requests`. Pure. A function raises MalformedResponse if the bytes are no such response.

Error codes are returned, not raised: the caller knows the request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from sidecars.logshipper.sinks.kafka.protocol.requests import Api, Partition
from sidecars.logshipper.sinks.kafka.protocol.wire import MalformedResponse, Reader

T = TypeVar("T")


def parse(api: Api, body: bytes, read: Callable[[Reader], T]) -> T:
    """Return the result of `read` on a response, behind its correlation id. Bytes that are left are ignored."""
    reader = Reader(body)
    if api.flexible:
        reader.skip_tags()
    return read(reader)


def body(frame: bytes, number: int) -> bytes:
    """Return the body of a response, behind the number of its request, which must be this one."""
    reader = Reader(frame)
    if reader.int32() != number:
        raise MalformedResponse("it has another number than the request")
    return reader.raw(reader.left)


def api_versions(reader: Reader) -> tuple[int, dict[int, tuple[int, int]]]:
    """Return the error code, and for each key of a request the lowest and the highest version."""
    code = reader.int16()
    found = reader.array(lambda: (reader.int16(), (reader.int16(), reader.int16())))
    return code, dict(found)


# -- the cluster -------------------------------------------------------------------------------------------------------


class Broker(NamedTuple):
    """One broker: its number, and the address that it advertises."""

    node: int
    host: str
    port: int


class TopicLeaders(NamedTuple):
    """The leader of each partition, in the partitions' order; -1 if there is none now. `error`: a code of the topic."""

    error: int
    leaders: list[int]


class ClusterMetadata(NamedTuple):
    brokers: list[Broker]
    topics: dict[str, TopicLeaders]


def metadata(reader: Reader, version: int) -> ClusterMetadata:
    reader.int32()  # throttle time

    def broker() -> Broker:
        found = Broker(reader.int32(), reader.string(), reader.int32())
        reader.string()  # rack
        return found

    def partition() -> tuple[int, int]:
        reader.int16()  # its error shows in the leader
        index, leader = reader.int32(), reader.int32()
        if version >= 7:
            reader.int32()  # epoch of the leader
        for _ in range(3 if version >= 5 else 2):  # replicas, those in sync, those offline
            reader.array(reader.int32)
        return index, leader

    def topic() -> tuple[str, TopicLeaders]:
        error, name = reader.int16(), reader.string()
        reader.int8()  # internal
        leaders = [leader for _, leader in sorted(reader.array(partition))]
        return name, TopicLeaders(error, leaders)

    brokers = reader.array(broker)
    reader.string()  # cluster
    reader.int32()  # controller
    return ClusterMetadata(brokers, dict(reader.array(topic)))


def coordinator(reader: Reader) -> tuple[int, str, Broker]:
    """Return the error code, the broker's message, and the coordinator."""
    reader.int32()  # throttle time
    code, message = reader.int16(), reader.string()
    return code, message, Broker(reader.int32(), reader.string(), reader.int32())


# -- transactions ------------------------------------------------------------------------------------------------------


def producer_id(reader: Reader) -> tuple[int, int, int]:
    """Return the error code, the producer's id and its epoch."""
    reader.int32()  # throttle time
    return reader.int16(), reader.int64(), reader.int16()


def error_alone(reader: Reader) -> int:
    """Return the error code of a response that has nothing else: AddOffsetsToTxn, EndTxn."""
    reader.int32()  # throttle time
    return reader.int16()


def errors_by_partition(reader: Reader) -> dict[Partition, int]:
    """Return the error code of each partition: AddPartitionsToTxn, TxnOffsetCommit."""
    reader.int32()  # throttle time
    found: dict[Partition, int] = {}

    def topic() -> None:
        name = reader.string()
        for index, code in reader.array(lambda: (reader.int32(), reader.int16())):
            found[name, index] = code

    reader.array(topic)
    return found


class CommittedOffset(NamedTuple):
    topic: str
    offset: int  # -1: none is committed
    metadata: str
    error: int


def committed_offsets(reader: Reader) -> tuple[int, list[CommittedOffset]]:
    """Return the error code of the group, and its offsets (OffsetFetch 7)."""
    reader.int32()  # throttle time
    found: list[CommittedOffset] = []

    def topic() -> None:
        name = reader.compact_string()

        def partition() -> None:
            reader.int32()  # its number
            offset = reader.int64()
            reader.int32()  # epoch of the leader
            found.append(CommittedOffset(name, offset, reader.compact_string(), reader.int16()))
            reader.skip_tags()

        reader.compact_array(partition)
        reader.skip_tags()

    reader.compact_array(topic)
    return reader.int16(), found


# -- records -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Produced:
    """The decision on one record batch. `records`: the records at fault by their place in it, with a reason each."""

    error: int
    records: tuple[tuple[int, str], ...] = ()
    message: str = ""


def produced(reader: Reader, version: int) -> dict[Partition, Produced]:
    found: dict[Partition, Produced] = {}

    def topic() -> None:
        name = reader.string()

        def partition() -> None:
            index, code = reader.int32(), reader.int16()
            reader.raw(24)  # base offset, time of the append, start of the log
            records: list[tuple[int, str]] = []
            message = ""
            if version >= 8:
                records = reader.array(lambda: (reader.int32(), reader.string()))
                message = reader.string()
            found[name, index] = Produced(code, tuple(records), message)

        reader.array(partition)

    reader.array(topic)
    return found


# -- SASL --------------------------------------------------------------------------------------------------------------


def sasl_handshake(reader: Reader) -> tuple[int, list[str]]:
    """Return the error code, and the mechanisms that the broker has."""
    return reader.int16(), reader.array(reader.string)


def sasl_authenticate(reader: Reader, version: int) -> tuple[int, str, bytes, int]:
    """Return the error code, the broker's message, its SASL message, and the life of the session in milliseconds.

    The last one is 0 if the session does not end.
    """
    code, message, response = reader.int16(), reader.string(), reader.byte_string()
    return code, message, response, reader.int64() if version >= 1 else 0

"""A Kafka broker, exact about what the sink may send: versions, epochs, sequence numbers, open transactions, SASL.

Written from the protocol guide and the KIPs that the sink names. Records are read by aiokafka's parser. It has one
node, and the topic `logs` with `partitions` of them.

Faults: `errors[key]` has error codes for the next requests of that key, 0 for none; `drops[key]` counts requests that
are obeyed and get no answer: the connection is closed. `max_message`, `poison` and `latest` refuse record batches.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiokafka.record.memory_records import MemoryRecords

from sidecars.logshipper.sinks.kafka.protocol.wire import Reader
from tests.logshipper.receivers.kafka_proxy import exactly
from tests.logshipper.receivers.kafka_sasl import Sasl
from tests.logshipper.receivers.stream import Stream

VERSIONS = {0: (3, 9), 3: (0, 12), 9: (1, 9), 10: (0, 4), 17: (0, 1), 18: (0, 4), 22: (0, 5), 24: (0, 3), 25: (0, 3)}
VERSIONS |= {26: (0, 4), 28: (0, 4), 36: (0, 2)}
FLEXIBLE = 9  # OffsetFetch: the one request with tagged fields
PRODUCE, METADATA, OFFSET_FETCH, FIND, HANDSHAKE, API_VERSIONS, INIT = 0, 3, 9, 10, 17, 18, 22
ADD_PARTITIONS, ADD_OFFSETS, END, COMMIT, SASL = 24, 25, 26, 28, 36


@dataclass
class Stored:
    """One record."""

    partition: int
    value: bytes
    key: bytes | None
    headers: dict[str, bytes]
    time: int


@dataclass
class Transaction:
    """The state of one transactional id."""

    id: int
    epoch: int = -1
    open: bool = False
    partitions: set[int] = field(default_factory=set)
    records: list[Stored] = field(default_factory=list)
    note: tuple[int, str] | None = None
    has_group: bool = False


class KafkaBroker(Stream):
    """`stored`: the committed records. `sasl`: who may connect."""

    def __init__(
        self, context: ssl.SSLContext | None = None, partitions: int = 2, mechanisms: tuple[str, ...] = ()
    ) -> None:
        self.partitions = partitions
        self.errors: dict[int, list[int]] = {}
        self.drops: Counter[int] = Counter()
        self.versions = dict(VERSIONS)
        self.max_message = 1 << 20
        self.poison = b""
        self.latest = 1 << 62
        self.names_records = True
        self.has_topic = True
        self.stored: list[Stored] = []
        self.requests: list[int] = []  # the keys of all requests, in order
        self.batches: list[int] = []  # records of each record batch that was accepted
        self.notes: dict[str, tuple[int, str]] = {}
        self.transactions: dict[str, Transaction] = {}
        self._sequences: dict[tuple[int, int, int], int] = {}
        self._ids = 100
        self._lock = threading.Lock()
        self.sasl = Sasl(mechanisms)
        super().__init__(context)

    # -- frames --------------------------------------------------------------------------------------------------------

    def converse(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session: dict[str, Any] = {"user": "" if self.sasl.mechanisms else "anybody"}
        while True:
            size = struct.unpack(">i", exactly(connection, 4))[0]
            reader = Reader(exactly(connection, size))
            key, version, correlation = reader.int16(), reader.int16(), reader.int32()
            assert reader.string() == "logshipper"
            if key == FLEXIBLE:
                reader.skip_tags()
            low, high = self.versions[key]
            assert low <= version <= high, (key, version)
            assert session["user"] or key in (API_VERSIONS, HANDSHAKE, SASL), f"request {key} before SASL"
            with self._lock:
                self.requests.append(key)
                queued = self.errors.get(key) or [0]
                body = self._ANSWERS[key](self, reader, version, queued.pop(0), session)
                assert reader.left == 0, f"request {key} has {reader.left} bytes too many"
                is_lost = self.drops[key] > 0
                self.drops[key] -= is_lost
            if is_lost:
                connection.shutdown(socket.SHUT_RDWR)
                return
            frame = struct.pack(">i", correlation) + (b"\x00" if key == FLEXIBLE else b"") + body
            connection.sendall(struct.pack(">i", len(frame)) + frame)

    def _api_versions(self, _reader: Reader, _version: int, error: int, _session: Any) -> bytes:
        known = b"".join(struct.pack(">hhh", key, *span) for key, span in self.versions.items())
        return struct.pack(">hi", error, len(self.versions)) + known

    def _metadata(self, reader: Reader, version: int, error: int, _session: Any) -> bytes:
        topics = reader.array(reader.string)
        assert reader.int8() == 0, "no topic may be created"
        node = struct.pack(">i", 0) + _string("127.0.0.1" if self._context is None else "localhost")
        brokers = struct.pack(">i", 1) + node + struct.pack(">i", self.port) + _string(None)
        answer = struct.pack(">i", 0) + brokers + _string("cluster") + struct.pack(">ii", 0, len(topics))
        for topic in topics:
            code = error or (0 if self.has_topic else 3)
            answer += struct.pack(">h", code) + _string(topic) + b"\x00"
            answer += struct.pack(">i", self.partitions if not code else 0)
            for number in range(self.partitions if not code else 0):
                answer += struct.pack(">hii", 0, number, 0)
                answer += struct.pack(">i", 0) if version >= 7 else b""
                answer += struct.pack(">ii", 1, 0) * 2 + (struct.pack(">i", 0) if version >= 5 else b"")
        return answer

    def _find(self, reader: Reader, _version: int, error: int, _session: Any) -> bytes:
        reader.string()
        assert reader.int8() in (0, 1)
        host = _string("127.0.0.1" if self._context is None else "localhost")
        node = struct.pack(">i", 0) + host + struct.pack(">i", self.port)
        return struct.pack(">ih", 0, error) + _string(None) + node

    # -- producers -----------------------------------------------------------------------------------------------------

    def _init(self, reader: Reader, _version: int, error: int, _session: Any) -> bytes:
        size = reader.int16()
        name = reader.raw(size).decode() if size >= 0 else None
        assert reader.int32() > 0
        if error:
            return struct.pack(">ihqh", 0, error, -1, -1)
        self._ids += 1
        if name is None:
            return struct.pack(">ihqh", 0, 0, self._ids, 0)
        found = self.transactions.setdefault(name, Transaction(self._ids))
        found.epoch += 1
        self._abort(found)
        return struct.pack(">ihqh", 0, 0, found.id, found.epoch)

    @staticmethod
    def _abort(found: Transaction) -> None:
        found.open, found.partitions, found.records, found.note, found.has_group = False, set(), [], None, False

    def _transaction(self, reader: Reader) -> tuple[Transaction, int]:
        """Return the transaction of a request, and 47 if its epoch is not the latest."""
        found = self.transactions[reader.string()]
        number, epoch = reader.int64(), reader.int16()
        return found, 0 if (number, epoch) == (found.id, found.epoch) else 47

    def _add_partitions(self, reader: Reader, _version: int, error: int, _session: Any) -> bytes:
        found, fenced = self._transaction(reader)
        topics = reader.array(lambda: (reader.string(), reader.array(reader.int32)))
        code = error or fenced
        if not code:
            found.open = True
            found.partitions.update(number for _, numbers in topics for number in numbers)
        codes = [(topic, number, code) for topic, numbers in topics for number in numbers]
        return struct.pack(">i", 0) + _by_partition(codes)

    def _add_offsets(self, reader: Reader, _version: int, error: int, _session: Any) -> bytes:
        found, fenced = self._transaction(reader)
        reader.string()
        if not (error or fenced):
            found.open = found.has_group = True
        return struct.pack(">ih", 0, error or fenced)

    def _commit(self, reader: Reader, version: int, error: int, _session: Any) -> bytes:
        name = reader.string()
        assert reader.string() == name, "the group has the name of the transactional id"
        found = self.transactions[name]
        current = (reader.int64(), reader.int16()) == (found.id, found.epoch)
        assert reader.int32() == 1
        topic = reader.string()
        assert (reader.int32(), reader.int32()) == (1, 0)
        offset = reader.int64()
        if version >= 2:
            reader.int32()
        note = reader.string()
        code = error or (0 if current else 47) or (0 if found.has_group else 48) or (12 if len(note) > 4096 else 0)
        if not code:
            found.note = (offset, note)
        return struct.pack(">i", 0) + _by_partition([(topic, 0, code)])

    def _end(self, reader: Reader, _version: int, error: int, _session: Any) -> bytes:
        found, fenced = self._transaction(reader)
        name = next(name for name, each in self.transactions.items() if each is found)
        commit = reader.int8()
        code = error or fenced or (0 if found.open else 48)
        if not code:
            if commit:
                self.stored += found.records
                if found.note is not None:
                    self.notes[name] = found.note
            self._abort(found)
        return struct.pack(">ih", 0, code)

    def _offset_fetch(self, reader: Reader, _version: int, error: int, _session: Any) -> bytes:
        group = reader.compact_string()
        assert reader.unsigned_varint() == 0, "all topics"
        assert reader.int8() == 1, "require_stable"
        reader.skip_tags()
        note = self.notes.get(group)
        topics = b"\x01"
        if note is not None:
            metadata = note[1].encode()
            text = _varint(len(metadata) + 1) + metadata
            partition = struct.pack(">iqi", 0, note[0], -1) + text + struct.pack(">h", 0) + b"\x00"
            topics = b"\x02" + _varint(5) + b"logs" + b"\x02" + partition + b"\x00"
        return struct.pack(">i", 0) + topics + struct.pack(">h", error) + b"\x00"

    # -- records -------------------------------------------------------------------------------------------------------

    def _produce(self, reader: Reader, version: int, error: int, _session: Any) -> bytes:
        size = reader.int16()
        name = reader.raw(size).decode() if size >= 0 else None
        acks = reader.int16()
        assert acks in (-1, 1)
        assert reader.int32() > 0
        answer: list[tuple[str, int, bytes]] = []

        def topic() -> None:
            named = reader.string()

            def partition() -> None:
                number, data = reader.int32(), reader.byte_string()
                code, errors = (error, []) if error else self._append(name, acks, number, data)
                body = struct.pack(">hqqq", code, 0, -1, 0)
                if version >= 8:
                    listed = errors if self.names_records else []
                    body += struct.pack(">i", len(listed))
                    body += b"".join(struct.pack(">i", at) + _string("it is poison") for at in listed) + _string(None)
                answer.append((named, number, struct.pack(">i", number) + body))

            reader.array(partition)

        reader.array(topic)
        topics = dict.fromkeys(named for named, _, _ in answer)
        out = struct.pack(">i", len(topics))
        for each in topics:
            mine = [body for named, _, body in answer if named == each]
            out += _string(each) + struct.pack(">i", len(mine)) + b"".join(mine)
        return out + struct.pack(">i", 0)

    def _append(self, name: str | None, acks: int, partition: int, data: bytes) -> tuple[int, list[int]]:
        """Return the error code, and the records at fault."""
        records = MemoryRecords(data)
        batch = records.next_batch()
        assert batch is not None
        assert records.next_batch() is None, "one record batch for each partition"
        assert batch.validate_crc()
        found = [Stored(partition, one.value, one.key, dict(one.headers), one.timestamp) for one in batch]
        code, at_fault = self._refusal(len(data), found)
        if not code:
            place = (batch.producer_id, batch.producer_epoch, partition)
            code = self._admit(name, acks, place, batch, found)
        return code, at_fault

    def _refusal(self, size: int, records: list[Stored]) -> tuple[int, list[int]]:
        if size > self.max_message:
            return 10, []
        if at_fault := [at for at, one in enumerate(records) if self.poison and self.poison in one.value]:
            return 87, at_fault
        at_fault = [at for at, one in enumerate(records) if one.time > self.latest]
        return (32 if at_fault else 0), at_fault

    def _admit(
        self, name: str | None, acks: int, place: tuple[int, int, int], batch: Any, records: list[Stored]
    ) -> int:
        """Store the records, unless they are there or must not come. Return the error code."""
        if acks == 1:
            assert place[:2] == (-1, -1)
        else:
            expected, end = self._sequences.get(place, 0), batch.base_sequence + len(records)
            if end == expected:
                return 0  # a repeat of the last one
            if batch.base_sequence != expected:
                return 45
            self._sequences[place] = end
        kept = self.stored
        if name is not None:
            found = self.transactions[name]
            if place[:2] != (found.id, found.epoch):
                return 47
            if not batch.is_transactional or place[2] not in found.partitions:
                return 48
            kept = found.records
        kept += records
        self.batches.append(len(records))
        return 0

    # -- SASL ----------------------------------------------------------------------------------------------------------

    def _handshake(self, reader: Reader, _version: int, error: int, session: Any) -> bytes:
        return self.sasl.handshake(reader, error, session)

    def _sasl(self, reader: Reader, version: int, error: int, session: Any) -> bytes:
        return self.sasl.authenticate(reader, version, error, session)

    _ANSWERS: ClassVar[dict[int, Any]] = {
        PRODUCE: _produce,
        METADATA: _metadata,
        OFFSET_FETCH: _offset_fetch,
        FIND: _find,
        HANDSHAKE: _handshake,
        API_VERSIONS: _api_versions,
        INIT: _init,
        ADD_PARTITIONS: _add_partitions,
        ADD_OFFSETS: _add_offsets,
        END: _end,
        COMMIT: _commit,
        SASL: _sasl,
    }


def _string(text: str | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text.encode())) + text.encode()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def _by_partition(codes: list[tuple[str, int, int]]) -> bytes:
    topics = dict.fromkeys(topic for topic, _, _ in codes)
    answer = struct.pack(">i", len(topics))
    for each in topics:
        mine = [(number, code) for topic, number, code in codes if topic == each]
        answer += _string(each) + struct.pack(">i", len(mine)) + b"".join(struct.pack(">ih", *one) for one in mine)
    return answer

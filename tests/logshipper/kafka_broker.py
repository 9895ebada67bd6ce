"""A real Kafka broker for tests (noida-db), and what its readers see.

Its own kill -9 loses records that it has acknowledged, so it is never killed while a test compares records.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import noida_db
import orjson
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Consumer, TopicPartition

from tests.support import PATIENCE, free_port

BINARY = Path(noida_db.__file__).with_name("noida-db")


class Record(NamedTuple):
    """One record as a reader sees it."""

    partition: int
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]
    time: int  # milliseconds

    @property
    def message(self) -> str:
        text: str = orjson.loads(self.value)["message"]
        return text


@contextlib.contextmanager
def running(folder: Path) -> Iterator[int]:
    """Run a broker with its data in the folder, and yield its port."""
    port = free_port()
    command = [str(BINARY), "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, "the broker has ended"
            assert time.monotonic() < deadline, "the broker does not listen"
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


async def create_topics(port: int, **partitions: int) -> None:
    """Create topics with so many partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, count, 1) for topic, count in partitions.items()])
    finally:
        await admin.close()


def create_topics_now(port: int, **partitions: int) -> None:
    asyncio.run(create_topics(port, **partitions))


def records(port: int, topic: str, partitions: int, *, committed: bool = True) -> list[Record]:
    """Return all records of a topic, by partition, as a reader with `read_committed` (or without) sees them."""
    consumer = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "group.id": "reader",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        found: list[Record] = []
        ends: set[int] = set()
        deadline = time.monotonic() + PATIENCE
        while len(ends) < partitions:
            assert time.monotonic() < deadline, f"{topic}: no end of {partitions - len(ends)} partitions"
            for message in consumer.consume(5000, 0.2):
                number = message.partition() or 0
                if message.error():
                    ends.add(number)
                    continue
                headers: Any = message.headers() or ()
                key: Any = message.key()
                value: Any = message.value()
                found.append(Record(number, key, value, dict(headers), message.timestamp()[1]))
        return sorted(found, key=lambda record: record.partition)
    finally:
        consumer.close()

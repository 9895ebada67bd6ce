"""The program and a real broker: exactly once through kill -9, lost answers and a zombie; read by two other clients.

`make chaos-kafka` is the long run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.conftest import Start
from tests.logshipper import kafka_broker
from tests.logshipper.kafka_chaos import KafkaChaos
from tests.logshipper.support import append, environ, metric
from tests.support import free_port, wait_until


def test_no_line_is_lost_or_repeated_through_kill_nine_lost_answers_and_a_zombie(tmp_path: Path) -> None:
    with kafka_broker.running(tmp_path / "broker") as port:
        outcome = KafkaChaos(tmp_path, 1, port, zombies=3).run(3)
    assert outcome.is_right, outcome
    assert outcome.zombies == outcome.fenced == 1


async def by_aiokafka(port: int, topic: str, partitions: int, count: int) -> list[str | None]:
    """Return the ids of the records as aiokafka reads them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{port}", isolation_level="read_committed")
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    await consumer.start()
    try:
        await consumer.seek_to_beginning()
        found: list[str | None] = []
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                found += [dict(record.headers)["id"].decode() for record in records]
        return found
    finally:
        await consumer.stop()


def test_two_other_clients_read_every_compression(tmp_path: Path, start: Start) -> None:
    algorithms = ["none", "gzip", "snappy", "lz4", "zstd"]
    (tmp_path / "logs").mkdir()
    append(tmp_path / "logs" / "app.log", "".join(f"line {number}\n" for number in range(500)))
    with kafka_broker.running(tmp_path / "broker") as port:
        kafka_broker.create_topics_now(port, **dict.fromkeys(algorithms, 2))
        admin = free_port()
        sinks = {}
        for name in algorithms:
            sinks[f"LOGSHIPPER_{name.upper()}_SINK"] = f"kafka://127.0.0.1:{port}/{name}"
            sinks[f"LOGSHIPPER_{name.upper()}_COMPRESSION"] = name
        program = start("logshipper", **{**environ(tmp_path, admin, **sinks), "LOGSHIPPER_REQUEST_TIMEOUT": "10s"})
        program.wait_ready(admin)
        for name in algorithms:
            wait_until(lambda: shipped(admin, name), f"everything is shipped with {name}")  # noqa: B023 - called at once
            seen = kafka_broker.records(port, name, 2)
            assert [record.message for record in seen] == [f"line {number}" for number in range(500)]
            assert len({record.partition for record in seen}) == 1
            ids = Counter(record.headers["id"].decode() for record in seen)
            assert Counter(asyncio.run(by_aiokafka(port, name, 2, 500))) == ids
            assert set(ids.values()) == {1}


def shipped(admin: int, sink: str) -> bool:
    return metric(admin, f'logshipper_pending_bytes{{sink="{sink}"}}') == 0


@pytest.mark.parametrize("transactions", ["true", "false"])
def test_topics_by_template_and_keys_by_field(tmp_path: Path, start: Start, transactions: str) -> None:
    (tmp_path / "logs").mkdir()
    lines = [f'{{"tenant":"{"ab"[number % 2]}","user":"u{number % 7}","message":"{number}"}}' for number in range(200)]
    append(tmp_path / "logs" / "app.log", "\n".join(lines) + "\n")
    with kafka_broker.running(tmp_path / "broker") as port:
        kafka_broker.create_topics_now(port, **{"logs-a": 3, "logs-b": 3})
        admin = free_port()
        variables = environ(
            tmp_path,
            admin,
            LOGSHIPPER_SINK=f"kafka://127.0.0.1:{port}/logs-{{tenant}}",
            LOGSHIPPER_FORMAT="json",
            LOGSHIPPER_SINK_MESSAGE_KEY="{user}",
            LOGSHIPPER_SINK_TRANSACTIONS=transactions,
        )
        start("logshipper", **{**variables, "LOGSHIPPER_REQUEST_TIMEOUT": "10s"}).wait_ready(admin)
        wait_until(lambda: shipped(admin, "default"), "everything is shipped")
        for at, topic in enumerate(["logs-a", "logs-b"]):
            seen = kafka_broker.records(port, topic, 3)
            assert sorted(int(record.message) for record in seen) == list(range(at, 200, 2))
            places = {(record.key, record.partition) for record in seen}
            assert len(places) == len({key for key, _ in places}) == 7

"""The Kafka client of the logshipper beside confluent-kafka and aiokafka, and the sink `kafka` itself.

    python -m benchmarks.kafka_clients [megabytes]

- What a client adds: bytes that are installed, the time and the memory of its import in a process of its own.
- CPU time from events to acknowledged records, at a broker (noida-db) in another process, in a process for each client.
  All send the same values with the same key and headers. The logshipper's client makes the values, too. aiokafka sends
  record by record, and by its batches.
- The program: CPU time of a run from a file to the committed transaction, and the time of transactions beside that of
  idempotent batches, with batches of 1 MiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import noida_db

from benchmarks.collectors import wait_for
from benchmarks.figures import Comparison, Figure, conclude
from benchmarks.javalogs import write_log
from benchmarks.logshipper import logshipper, usage
from benchmarks.starts import compile_code
from sidecars.logshipper.model.batch import Batch

ROOT = Path(__file__).resolve().parent.parent
TOPIC = "logs"
PACKAGES = {
    "own client": ("google-crc32c",),
    "aiokafka": ("aiokafka", "async-timeout"),
    "confluent-kafka": ("confluent-kafka",),
}
MODULES = {
    "own client": "sidecars.logshipper.sinks.kafka.kafka",
    "aiokafka": "aiokafka",
    "confluent-kafka": "confluent_kafka",
}
SENDERS = ("own client", "aiokafka, batches", "aiokafka, records", "confluent-kafka")
IMPORT = """
import sys, time, os
import asyncio, ssl, orjson, socket
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.over_http import elasticsearch, http
from sidecars.logshipper.sinks.encodings import target_names
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
before, began = resident(), time.process_time()
__import__(sys.argv[1])
print((time.process_time() - began) * 1e3, (resident() - before) / 2**20)
"""
_BATCH = 6_000  # events of about 1 MB
_ROUNDS = 3


# -- the broker ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def broker() -> Iterator[int]:
    """Run a broker with one topic of four partitions, and yield its port."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        command = [str(Path(noida_db.__file__).with_name("noida-db")), "start", "--only", "kafka"]
        command += ["--kafka-port", str(port), "--data-dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            asyncio.run(_create_topic(port))
            yield port
        finally:
            process.kill()
            process.wait()


async def _create_topic(port: int) -> None:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # noqa: PLC0415 - one of the contenders

    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 4, 1)])
    await admin.close()


# -- what a client adds ----------------------------------------------------------------------------------------------


def installed(name: str) -> float:
    """Return the bytes of a client's packages, in MB; of our own also its modules."""
    sizes = [
        Path(str(path.locate())).stat().st_size
        for package in PACKAGES[name]
        for path in importlib.metadata.files(package) or ()
        if Path(str(path.locate())).is_file() and path.suffix != ".pyc"
    ]
    if name == "own client":
        sizes += [path.stat().st_size for path in (ROOT / "sidecars/logshipper/sinks/kafka").rglob("*.py")]
    return sum(sizes) / 1e6


def import_cost(name: str) -> tuple[float, float]:
    """Return the CPU time in milliseconds and the memory in MiB of the import, the least of several."""
    found = []
    for _ in range(7):
        command = [sys.executable, "-c", IMPORT, MODULES[name]]
        output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
        found.append((float(output[0]), float(output[1])))
    return min(milliseconds for milliseconds, _ in found), min(size for _, size in found)


# -- sending ---------------------------------------------------------------------------------------------------------


def measure(sender: str, port: int, megabytes: int) -> float:
    """Return the MB of log lines for each CPU second, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kafka_clients", "send", sender, str(port), str(megabytes)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return float(output.split()[-1])


def send(sender: str, port: int, megabytes: int) -> None:
    """Send, and print the MB for each CPU second."""
    from tests.logshipper.support import a_batch, a_chunk  # noqa: PLC0415 - the child process alone needs it

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "app.log")
        write_log(path, 2_000_000)
        lines = path.read_bytes().splitlines(keepends=True)[:_BATCH]
    data = b"".join(lines)
    rounds = max(1, megabytes * 1_000_000 // len(data))
    batch = a_batch(a_chunk(data, generation="9f2c61d07a3be845"), pod="shop-7d4b9", namespace="prod")
    batch.at = time.time_ns()
    asyncio.run(_SENDERS[sender](batch, f"127.0.0.1:{port}", rounds, len(data)))


async def _own(batch: Batch, address: str, rounds: int, size: int) -> None:
    from dataclasses import replace  # noqa: PLC0415 - the other clients are measured without it

    from tests.logshipper.opened_sinks import opened  # noqa: PLC0415 - the other clients do without the sinks

    settings = {"sink_transactions": "false", "request_timeout": "60s"}
    async with opened(f"kafka://{address}/{TOPIC}", **settings) as sink:
        await sink.deliver(replace(batch, sink="first"))
        began = time.process_time()
        for number in range(rounds):
            await sink.deliver(replace(batch, sink=f"{number}"))
        print(rounds * size / (time.process_time() - began) / 1e6)


def _values(batch: Batch) -> list[tuple[bytes, list[tuple[str, Any]]]]:
    from sidecars.logshipper.sinks.encodings import ndjson  # noqa: PLC0415 - see above

    values = b"".join(ndjson.encode(batch)).split(b"\n")[:-1]
    file: list[tuple[str, Any]] = [("file", b"/logs/app.log"), ("input", b"default")]
    return [(value, [*file, ("id", ident.encode())]) for value, ident in zip(values, batch.ids(), strict=True)]


async def _aiokafka(batch: Batch, address: str, rounds: int, size: int, *, by_batches: bool = False) -> None:
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415 - each process loads one client

    producer = AIOKafkaProducer(
        bootstrap_servers=address, enable_idempotence=True, linger_ms=5, max_batch_size=1_000_000
    )
    await producer.start()
    values, key = _values(batch), b"9f2c61d07a3be845"
    try:
        began = time.process_time()
        for _ in range(rounds):
            if not by_batches:
                waiting = [await producer.send(TOPIC, value, key, headers=headers) for value, headers in values]
                await asyncio.gather(*waiting)
                continue
            waiting = []
            builder = producer.create_batch()
            for value, headers in values:
                if builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
                    waiting.append(await producer.send_batch(builder, TOPIC, partition=0))
                    builder = producer.create_batch()
                    builder.append(key=key, value=value, timestamp=None, headers=headers)
            waiting.append(await producer.send_batch(builder, TOPIC, partition=0))
            await asyncio.gather(*waiting)
        print(rounds * size / (time.process_time() - began) / 1e6)
    finally:
        await producer.stop()


async def _aiokafka_batches(batch: Batch, address: str, rounds: int, size: int) -> None:
    await _aiokafka(batch, address, rounds, size, by_batches=True)


async def _confluent(batch: Batch, address: str, rounds: int, size: int) -> None:
    from confluent_kafka import Producer  # noqa: PLC0415 - each process loads one client

    producer = Producer(
        {"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 5, "queue.buffering.max.kbytes": 65536}
    )
    values, key = _values(batch), b"9f2c61d07a3be845"
    began = time.process_time()
    for _ in range(rounds):
        for value, headers in values:
            producer.produce(TOPIC, value, key, headers=headers)
        producer.flush(60)
    print(rounds * size / (time.process_time() - began) / 1e6)


_SENDERS = {
    "own client": _own,
    "aiokafka, records": _aiokafka,
    "aiokafka, batches": _aiokafka_batches,
    "confluent-kafka": _confluent,
}


# -- the program -----------------------------------------------------------------------------------------------------


def ship(path: Path, port: int, **settings: str) -> tuple[float, float, float]:
    """Return the MB for each CPU second, the wall time and the largest memory in MB of a run that ships the file."""
    with tempfile.TemporaryDirectory() as state:
        began = time.monotonic()
        sink = f"kafka://127.0.0.1:{port}/{TOPIC}"
        patient = {"DRAIN_TIMEOUT": "10m", "GIVE_UP_AFTER": "1m", "BATCH_SIZE": "1MiB"}
        with logshipper(str(path), sink, state, **patient, **settings) as process:
            wait_for((Path(state) / "admin").exists)
            process.send_signal(signal.SIGTERM)  # a drain ends exactly when everything is shipped
            cpu, memory = usage(process)
        if process.returncode != 0:
            raise SystemExit((Path(state) / "stderr").read_text())
        return path.stat().st_size / 1e6 / cpu, time.monotonic() - began, memory / 1e6


def program_figures(megabytes: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, broker() as port:
        path = Path(folder, "app.log")
        write_log(path, megabytes * 1_000_000)
        committed, idempotent = [], []
        for _ in range(_ROUNDS):
            committed.append(ship(path, port))
            idempotent.append(ship(path, port, SINK_TRANSACTIONS="false"))
    speed = max(speed for speed, _, _ in committed)
    slower = min(wall for _, wall, _ in committed) / min(wall for _, wall, _ in idempotent) - 1
    memory = max(memory for _, _, memory in committed)
    return [
        Figure("from file to transaction", speed, 60, "MB/CPU s", at_least=True, note="the program, start included"),
        Figure("transactions slower by", 100 * slower, 10, "%", note="wall time, batches of 1 MiB"),
        Figure("memory, batches of 1 MiB", memory, 80, "MB"),
    ]


def main(megabytes: int = 100) -> int:
    size: dict[str, float] = {}
    costs: dict[str, tuple[float, float]] = {}
    speeds: dict[str, float] = {}
    compile_code(ROOT)
    for name in MODULES:
        size[name], costs[name] = installed(name), import_cost(name)
        print(f"{name:<20} {size[name]:6.2f} MB   import {costs[name][0]:6.1f} ms, {costs[name][1]:5.1f} MiB")
    with broker() as port:
        for sender in SENDERS:
            speeds[sender] = max(measure(sender, port, megabytes) for _ in range(_ROUNDS))
            print(f"{sender:<20} {speeds[sender]:6.1f} MB/CPU s")
    figures = [
        Figure("import", costs["own client"][0], 20, "ms", note="CPU time, beyond a logshipper with an HTTP sink"),
        Figure("beside confluent-kafka", speeds["own client"] / speeds["confluent-kafka"], 1, at_least=True),
        *program_figures(megabytes),
    ]
    return conclude(
        "kafka_clients",
        figures,
        [
            Comparison("installed", "MB", size),
            Comparison("import", "ms", {name: cost for name, (cost, _) in costs.items()}),
            Comparison("events to acknowledged records", "MB/CPU s", speeds),
        ],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main(*map(int, sys.argv[1:])))

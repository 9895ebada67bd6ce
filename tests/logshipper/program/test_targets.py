"""The program with an index or a label for each event: over kill -9 each line is once where it belongs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.receivers.loki import Loki
from tests.logshipper.support import append, environ, metric
from tests.support import Program, free_port, wait_until

LINES = 160
TENANTS = 160
FULL = 120  # the first lines whose tenants find no place, in each receiver


@pytest.fixture
def elasticsearch() -> Iterator[Elasticsearch]:
    with closing(Elasticsearch()) as running:
        yield running


@pytest.fixture
def loki() -> Iterator[Loki]:
    with closing(Loki()) as running:
        yield running


def write(path: Path, first: int, count: int) -> None:
    """Write lines of hostile tenants, more than there may be targets, from several days."""
    lines = []
    for number in range(first, first + count):
        event = {
            "msg": f"line {number}",
            "tenant": f"../T{number % TENANTS}",
            "ts": f"2026-11-{1 + number % 28:02}T10:00:00.5Z",
        }
        lines.append(json.dumps(event) + "\n")
    append(path, "".join(lines))


def settings_of(folder: Path, url: str, **more: str) -> dict[str, str]:
    return environ(
        folder,
        free_port(),
        LOGSHIPPER_SINK=url,
        LOGSHIPPER_FORMAT="json",
        LOGSHIPPER_TIME_KEY="ts",
        **{"LOGSHIPPER_BATCH_SIZE": "4KiB", **more},
    )


class Hours:
    """The hours of the clock in which a test runs: a table is that of an hour."""

    def __init__(self) -> None:
        self._first = self._now()

    def count(self) -> int:
        return self._now() - self._first + 1

    @staticmethod
    def _now() -> int:
        return int(time.time()) // 3600


@pytest.fixture
def hours() -> Hours:
    return Hours()


def over_kill_nine(receiver: Elasticsearch | Loki, folder: Path, start: Start, url: str, **more: str) -> Program:
    """Ship lines until the table is full; kill the program with lines of further tenants stored, and not settled."""
    settings = settings_of(folder, url, **more)
    log = folder / "logs" / "app.log"
    write(log, 0, LINES)
    first = start("logshipper", **settings)
    wait_until(lambda: count(receiver) == LINES, "the first lines")
    receiver.mode = "lost"  # it stores, and closes the connection without a response
    before = len(receiver.requests)
    write(log, FULL, LINES)
    wait_until(lambda: len(receiver.requests) > before + 1, "lines that are stored")
    first.kill()
    receiver.mode = "ok"
    second = start("logshipper", **settings)
    wait_until(lambda: count(receiver) >= 2 * LINES, "every line")
    assert first.stderr.count('"code":"too-many-') == 1
    return second


def count(receiver: Elasticsearch | Loki) -> int:
    return len(receiver.indexes if isinstance(receiver, Elasticsearch) else receiver.entries)


@pytest.mark.parametrize("in_flight", ["1", "4"])
def test_each_line_is_in_one_index(
    tmp_path: Path, start: Start, elasticsearch: Elasticsearch, in_flight: str, hours: Hours
) -> None:
    url = f"elasticsearch+http://127.0.0.1:{elasticsearch.port}/logs-{{tenant}}-%Y.%m"
    shipper = over_kill_nine(elasticsearch, tmp_path, start, url, LOGSHIPPER_IN_FLIGHT=in_flight)
    assert shipper.stop() == 0
    assert len(elasticsearch.documents) == len(elasticsearch.indexes) == 2 * LINES  # no line is in two indexes
    names = {index for index, _ in elasticsearch.indexes}
    assert 100 <= len(names) <= 100 * hours.count()
    assert all(name.startswith("logs-") for name in names)


def test_each_line_is_in_one_stream(tmp_path: Path, start: Start, loki: Loki, hours: Hours) -> None:
    shipper = over_kill_nine(loki, tmp_path, start, loki.url, LOGSHIPPER_SINK_LABELS="level,{tenant}")
    assert shipper.stop() == 0
    assert len(loki.entries) == len({entry.metadata["id"] for entry in loki.entries}) == 2 * LINES
    assert 21 <= len({entry.labels.get("tenant") for entry in loki.entries}) <= 21 * hours.count()


def test_what_has_no_target_of_its_own_is_counted(tmp_path: Path, start: Start, elasticsearch: Elasticsearch) -> None:
    url = f"elasticsearch+http://127.0.0.1:{elasticsearch.port}/logs-{{tenant}}"
    settings = settings_of(tmp_path, url, LOGSHIPPER_BATCH_SIZE="1MiB")
    write(tmp_path / "logs" / "app.log", 0, LINES)
    shipper = start("logshipper", **settings)
    admin = int(settings["LOGSHIPPER_ADMIN_LISTEN"].rpartition(":")[2])
    wait_until(lambda: count(elasticsearch) == LINES, "the lines")
    assert metric(admin, 'logshipper_target_overflows_total{sink="default"}') == LINES - 99
    assert shipper.stop() == 0

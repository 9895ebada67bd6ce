"""Elasticsearch with an index for each event, by a template: a second real server has an opinion, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from sidecars.chassis.config.settings import SettingsError
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused
from tests.logshipper.opened_sinks import create, opened
from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.support import a_batch, a_chunk
from tests.support import PATIENCE, free_port, responds, wait_until

SECOND = 10**9
AT = 1_796_000_400 * SECOND  # 2026-11-30T01:00:00Z
DAY = 86_400 * SECOND


def batch(*tenants: str, times: list[int | None] | None = None) -> Batch:
    made = a_batch(a_chunk("".join(f"line {number}\n" for number in range(len(tenants))).encode()))
    fields = [{"message": f"line {number}", "tenant": tenant} for number, tenant in enumerate(tenants)]
    return Batch("default", (replace(made.records[0], fields=fields, times=times),), at=AT)


@pytest.fixture
def elasticsearch() -> Iterator[Elasticsearch]:
    made = Elasticsearch()
    yield made
    made.close()


def root(elasticsearch: Elasticsearch) -> str:
    return f"elasticsearch+http://127.0.0.1:{elasticsearch.port}"


async def test_each_event_goes_to_the_index_of_its_own_day_and_tenant(elasticsearch: Elasticsearch) -> None:
    events = batch("Blue", "red", "Blue", times=[AT, None, AT - 3 * DAY])
    async with opened(f"{root(elasticsearch)}/logs-{{tenant}}-%Y.%m.%d?pipeline=x", compression="gzip") as sink:
        outcome = await sink.deliver(events)
        again = await sink.deliver(Batch("default", events.records, at=AT))
    assert outcome.rejected == again.rejected == ()
    assert elasticsearch.indexes == {
        ("logs-blue-2026.11.30", "f00d-0"),
        ("logs-red-2026.11.30", "f00d-7"),
        ("logs-blue-2026.11.27", "f00d-14"),
    }
    assert elasticsearch.queries["pipeline"] == ["x"]
    messages = {ident: document["message"] for ident, document in elasticsearch.documents.items()}
    assert messages == {"f00d-0": "line 0", "f00d-7": "line 1", "f00d-14": "line 2"}


async def test_results_are_those_of_the_events_in_the_order_of_the_batch(elasticsearch: Elasticsearch) -> None:
    elasticsearch.verdicts = {"line 1": [400], "line 2": [429], "line 4": [503]}
    async with opened(f"{root(elasticsearch)}/logs-{{tenant}}") as sink:
        outcome = await sink.deliver(batch("b", "a", "b", "a", "b"))
        assert [index for index, _ in outcome.rejected] == [1]
        assert outcome.retry == [2, 4]
        elasticsearch.verdicts = {f"line {number}": [status] for number, status in enumerate((400, 402, 406, 411, 412))}
        with pytest.raises(BatchRefused) as error:
            await sink.deliver(batch("d", "c", "d", "c", "e"))
    assert error.value.event_reasons is not None
    assert [reason[:3] for reason in error.value.event_reasons] == ["400", "402", "406", "411", "412"]


async def test_hostile_values_make_a_hundred_indexes_and_the_receipt_has_them(elasticsearch: Elasticsearch) -> None:
    tenants = [f"../{number}%22,*" for number in range(400)]
    async with opened(f"{root(elasticsearch)}/logs-{{tenant}}") as sink:
        outcome = await sink.deliver(batch(*tenants[:200]))
        receipt = dict(outcome.receipt)
        first = {index for index, _ in elasticsearch.indexes}
        await sink.deliver(batch(*tenants[200:]))
        assert sink.targets.overflowed == 301
    assert len(first) == 100
    assert {index for index, _ in elasticsearch.indexes} == first
    documents = set(elasticsearch.indexes)
    sink = create(f"{root(elasticsearch)}/logs-{{tenant}}")
    await sink.open(receipt)
    await sink.deliver(batch(*tenants[:200]))  # as after kill -9
    await sink.close()
    assert elasticsearch.indexes == documents


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        ("Logs-%Y", "expected elasticsearch"),
        ("-logs-%Y", "expected elasticsearch"),
        ("logs-%Q", "expected a template with %Y"),
        ("logs-{tenant", "names of fields in {braces}"),
        ("logs-{id}", "each event would have a name of its own"),
        ("logs-%2a-%Y", "expected elasticsearch"),
    ],
)
def test_a_template_that_makes_no_index_is_told_at_the_start(index: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        create(f"elasticsearch+http://localhost/{index}")


# -- a second server -------------------------------------------------------------------------------------------------


@contextmanager
def noida(folder: Path) -> Iterator[int]:
    """Run the server, which is installed beside this Python."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("noida-db")), "start", "--only", "elasticsearch"]
    command += ["--elasticsearch-port", str(port), "--data-dir", str(folder / "data")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: responds(port) or process.poll() is not None, "noida-db listening")
        assert process.poll() is None, (folder / "log").read_text()
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the command starts the server as a process of its own
        process.wait(30)


@pytest.mark.processes
async def test_noida_keeps_each_line_once_in_the_index_of_its_day(tmp_path: Path) -> None:
    events = batch("blue", "red", "blue", times=[AT, None, AT - 3 * DAY])
    found = {}
    with noida(tmp_path) as port:
        address = f"http://127.0.0.1:{port}"
        async with opened(f"elasticsearch+{address}/logs-{{tenant}}-%Y.%m.%d", compression="gzip") as sink:
            for _ in range(3):
                assert (await sink.deliver(Batch("default", events.records, at=AT))).rejected == ()
        async with httpx.AsyncClient(trust_env=False, base_url=address, timeout=PATIENCE) as client:
            await client.post("/_refresh")
            for index in ("logs-blue-2026.11.30", "logs-red-2026.11.30", "logs-blue-2026.11.27"):
                answer = (await client.get(f"/{index}/_search")).json()
                found[index] = [hit["_id"] for hit in answer["hits"]["hits"]]
    assert found == {
        "logs-blue-2026.11.30": ["f00d-0"],
        "logs-red-2026.11.30": ["f00d-7"],
        "logs-blue-2026.11.27": ["f00d-14"],
    }

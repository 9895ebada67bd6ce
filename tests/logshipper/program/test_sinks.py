"""The program with each of its sinks: no line is lost in an outage, with a lost response, or after kill -9."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Start
from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.receivers.forward import Forward
from tests.logshipper.receivers.gelf import GelfHttp, GelfTcp
from tests.logshipper.receivers.loki import Loki
from tests.logshipper.receivers.otlp import Otlp
from tests.logshipper.receivers.relp import Relp
from tests.logshipper.receivers.splunk import TOKEN, Splunk
from tests.logshipper.receivers.syslog import Syslog
from tests.logshipper.support import Receiver, append, environ, metric
from tests.support import free_port, wait_until

Seen = Callable[[Any], list[tuple[str, str]]]
"""Returns the id and the text of each event that a receiver has."""


def ndjson(receiver: Receiver) -> list[tuple[str, str]]:
    return [(record["id"], record["message"]) for record in receiver.records()]


def documents(receiver: Elasticsearch) -> list[tuple[str, str]]:
    return [(ident, document["message"]) for ident, document in list(receiver.documents.items())]


def entries(receiver: Loki) -> list[tuple[str, str]]:
    return [(entry.metadata["id"], entry.line) for entry in list(receiver.entries)]


def records(receiver: Otlp) -> list[tuple[str, str]]:
    scopes = [
        scope for message in list(receiver.received) for logs in message.resource_logs for scope in logs.scope_logs
    ]
    return [(_uid(record), record.body.string_value) for scope in scopes for record in scope.log_records]


def _uid(record: Any) -> str:
    found: str = next(pair.value.string_value for pair in record.attributes if pair.key == "log.record.uid")
    return found


def events(receiver: Forward) -> list[tuple[str, str]]:
    return [(event.record["id"], event.record["message"]) for event in list(receiver.events)]


def indexed(receiver: Splunk) -> list[tuple[str, str]]:
    return [(event.fields["id"], event.text) for event in list(receiver.events)]


def gelf(receiver: GelfHttp | GelfTcp) -> list[tuple[str, str]]:
    return [(event.fields["event_id"], event.text) for event in list(receiver.events)]


def messages(receiver: Syslog | Relp) -> list[tuple[str, str]]:
    return [(message.data["id"], message.text) for message in list(receiver.messages)]


@pytest.fixture
def elasticsearch() -> Iterator[Elasticsearch]:
    with closing(Elasticsearch()) as running:
        yield running


@pytest.mark.parametrize(
    ("kind", "seen", "fault", "coding"),
    [
        (Receiver, ndjson, "lost", "none"),
        (Receiver, ndjson, "503", "none"),
        (Elasticsearch, documents, "lost", "none"),
        (Elasticsearch, documents, "429", "gzip"),
        (Loki, entries, "lost", "snappy"),
        (Loki, entries, "500", "none"),
        (Otlp, records, "lost", "gzip"),
        (Forward, events, "silent", "zstd"),
        (Splunk, indexed, "lost", "gzip"),
        (GelfHttp, gelf, "503", "gzip"),
        (GelfTcp, gelf, "cut:1", "none"),
        (Relp, messages, "silent", "none"),
        (Syslog, messages, "cut:1", "none"),
    ],
)
def test_every_line_arrives_through_an_outage_and_kill_nine(
    tmp_path: Path, start: Start, kind: Any, seen: Seen, fault: str, coding: str
) -> None:
    with closing(kind()) as receiver:
        _outage(tmp_path, start, receiver, seen, fault, coding)


def _outage(tmp_path: Path, start: Start, receiver: Any, seen: Seen, fault: str, coding: str) -> None:
    admin = free_port()
    more = {"LOGSHIPPER_SINK_TOKEN": TOKEN} if isinstance(receiver, Splunk) else {}
    if fault == "silent":
        more["LOGSHIPPER_REQUEST_TIMEOUT"] = "1s"
    variables = environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_COMPRESSION=coding, **more)
    log = tmp_path / "logs" / "app.log"
    append(log, "".join(f"before {number}\n" for number in range(100)))
    first = start("logshipper", **variables)
    wait_until(lambda: len(seen(receiver)) >= 100, "what was there before")
    receiver.mode = fault
    if isinstance(receiver, Syslog | GelfTcp):
        receiver.hang_up()
    append(log, "".join(f"in the outage {number}\n" for number in range(100)))
    first.wait_logged("delivery failed; it is retried")
    first.kill()
    receiver.mode = "ok"
    append(log, "".join(f"while it was down {number}\n" for number in range(100)))
    second = start("logshipper", **variables)
    second.wait_ready(admin)
    wait_until(lambda: metric(admin, 'logshipper_pending_bytes{sink="default"}') == 0, "all of it")
    assert second.stop() == 0
    expected = [
        f"{when} {number}" for when in ("before", "in the outage", "while it was down") for number in range(100)
    ]
    wait_until(lambda: {text for _, text in seen(receiver)} >= set(expected), "the last of it")
    assert sorted(text for _, text in set(seen(receiver))) == sorted(expected), (
        "repeats have the id of what they repeat"
    )
    if isinstance(receiver, Elasticsearch):
        assert Counter(text for _, text in seen(receiver)) == Counter(expected), "exactly once, by itself"


def test_what_a_sink_refuses_is_in_the_dead_letters_and_the_rest_arrives(
    tmp_path: Path, start: Start, elasticsearch: Elasticsearch
) -> None:
    receiver = elasticsearch
    receiver.verdicts = {"bad": [400], "busy": [429, 503]}
    admin = free_port()
    letters = tmp_path / "dead"
    settings = environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_ON_REJECT=str(letters))
    append(tmp_path / "logs" / "app.log", "good\nbad\nbusy\nlast\n")
    shipper = start("logshipper", **settings)
    wait_until(lambda: len(receiver.documents) == 3, "the three that are taken")
    shipper.wait_ready(admin)
    wait_until(
        lambda: metric(admin, 'logshipper_dropped_lines_total{reason="dead_letter",sink="default"}') == 1,
        "one put aside",
    )
    assert shipper.stop() == 0
    assert sorted(text for _, text in documents(receiver)) == ["busy", "good", "last"]
    (letter,) = (letters / "default.ndjson").read_text().splitlines()
    assert '"message":"bad"' in letter
    assert "400 some_exception" in letter


@pytest.mark.parametrize(("kind", "fault"), [(Syslog, "deaf"), (Relp, "deaf"), (Forward, "silent")])
def test_a_receiver_that_never_says_anything_does_not_hold_up_the_end(
    tmp_path: Path, start: Start, kind: Any, fault: str
) -> None:
    with closing(kind()) as receiver:
        receiver.mode = fault
        admin = free_port()
        more = {"LOGSHIPPER_REQUEST_TIMEOUT": "10m", "LOGSHIPPER_BATCH_SIZE": "16MiB"}
        settings = environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, **more)
        append(tmp_path / "logs" / "app.log", f"{'x' * 1000}\n" * 8000)  # more than a connection's buffers hold
        shipper = start("logshipper", **settings)
        wait_until(lambda: receiver.connections, "the connection")
        assert shipper.stop() == 69
        assert "stopped before all was shipped: 8008000 bytes for LOGSHIPPER_SINK" in shipper.stderr

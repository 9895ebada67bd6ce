"""Dead letters are sent again by an input with FORMAT=record: each line is delivered once, under its first id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.support import Receiver, append, environ, status
from tests.support import free_port, wait_until


@pytest.fixture
def search() -> Iterator[Elasticsearch]:
    with closing(Elasticsearch()) as running:
        yield running


def replaying(tmp_path: Path, sink: str, number: int) -> dict[str, str]:
    """Return the settings of a Job that sends the dead letters to the sink, with a state of its own."""
    return environ(
        tmp_path,
        free_port(),
        LOGSHIPPER_PATHS=f"{tmp_path}/dead/*.ndjson",
        LOGSHIPPER_FORMAT="record",
        LOGSHIPPER_LABELS="app=replay",
        LOGSHIPPER_SINK=sink,
        LOGSHIPPER_STATE_DIR=f"{tmp_path}/replay-{number}",
        LOGSHIPPER_EXIT_WHEN_IDLE="200ms",
    )


def test_a_rejected_document_is_created_once_by_the_replay_with_its_first_id_and_labels(
    tmp_path: Path, start: Start, search: Elasticsearch
) -> None:
    admin = free_port()
    search.verdicts["bad"] = [400]
    variables = environ(
        tmp_path,
        admin,
        LOGSHIPPER_SINK=search.url,
        LOGSHIPPER_LABELS="app=shop",
        LOGSHIPPER_ON_REJECT=f"{tmp_path}/dead",
    )
    append(tmp_path / "logs" / "app.log", "1\nbad\n3\n")
    shipper = start("logshipper", **variables)
    wait_until(lambda: len(search.documents) == 2, "two documents are created")
    letters = tmp_path / "dead" / "default.ndjson"
    wait_until(lambda: letters.exists() and letters.read_bytes().endswith(b"}\n"), "one is a dead letter")
    assert shipper.stop() == 0
    letter = json.loads(letters.read_text())

    for number in (1, 2):  # the second Job has no state of the first: the index knows the id
        assert start("logshipper", **replaying(tmp_path, search.url, number)).wait() == 0
        assert sorted(document["message"] for document in search.documents.values()) == ["1", "3", "bad"]
    replayed = search.documents[letter["id"]]
    assert (replayed["message"], replayed["app"], replayed["file"]) == ("bad", "shop", letter["file"])
    assert not {"sink", "reason", "rejected", "labels"} & replayed.keys()
    assert search.asked[letter["id"]] == 3


def test_a_record_that_is_refused_again_is_a_letter_again_and_a_forged_line_is_no_record(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    receiver.mode = "poison:bad"
    (tmp_path / "dead").mkdir()
    record = '{"id":"f00d-7","file":"/logs/a.log","message":"bad"}'
    forged = '{"id":"../etc-1","file":"/logs/a.log","message":"forged"}'
    append(tmp_path / "dead" / "default.ndjson", f"{record}\n{forged}\n")
    variables = replaying(tmp_path, receiver.url, 1) | {
        "LOGSHIPPER_ON_REJECT": f"{tmp_path}/again",
        "LOGSHIPPER_DRAIN_QUIET": "0",
    }
    assert start("logshipper", **variables).wait() == 0
    (letter,) = (tmp_path / "again" / "default.ndjson").read_text().splitlines()
    assert json.loads(letter)["id"] == "f00d-7"
    (shipped,) = receiver.records()
    assert (shipped["message"], shipped["parse_error"], shipped["app"]) == (forged, "record", "replay")
    assert shipped["id"].endswith(f"-{len(record) + 1}")


def test_a_replay_into_its_own_dead_letters_is_refused(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    variables = replaying(tmp_path, receiver.url, 1) | {"LOGSHIPPER_ON_REJECT": f"{tmp_path}/dead"}
    program = start("logshipper", **variables)
    assert program.wait() == 78
    assert "its lines would be shipped for ever" in program.stderr


def test_the_ledger_counts_the_bytes_of_the_letters_and_not_those_of_the_first_files(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    (tmp_path / "dead").mkdir()
    letters = tmp_path / "dead" / "loki.ndjson"
    records = [f'{{"id":"f00d-{at}+2","file":"/logs/{at % 2}.log","message":"{at}"}}\n' for at in range(0, 40, 4)]
    append(letters, "".join(records))
    variables = replaying(tmp_path, receiver.url, 1)
    del variables["LOGSHIPPER_EXIT_WHEN_IDLE"]
    program = start("logshipper", **variables)
    wait_until(lambda: len(receiver.records()) == 10, "all are sent")
    assert [record["id"] for record in receiver.records()] == [json.loads(record)["id"] for record in records]
    port = int(variables["LOGSHIPPER_ADMIN_LISTEN"].rpartition(":")[2])
    wait_until(lambda: status(port)["sinks"]["default"]["pending_bytes"] == 0, "all is settled")
    sink = status(port)["sinks"]["default"]
    assert (sink["delivered_bytes"], sink["delivered_lines"]) == (letters.stat().st_size, 10)
    assert sink["balanced"]
    assert program.stop() == 0

"""FORMAT=record: a record of ours is sent again as it was, and what we cannot have written is an event of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.delivery.dead_letters import DeadLetters
from sidecars.logshipper.delivery.in_flight import InFlightBatch
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.ledger import FILTERED
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.transform.parsing import own_records
from sidecars.logshipper.transform.sink_filter import SinkFilter
from tests.logshipper.pipelines import make_pipeline
from tests.logshipper.strategies import batches
from tests.logshipper.support import a_chunk
from tests.support import examples

RECORD = '{"id":"f00d-7","file":"/logs/a.log","pod":"p-1","app":"shop","message":"hello"}'
LETTER = '{"sink":"loki","reason":"\\"400\\"","rejected":"2026-01-01T00:00:00Z","labels":["pod","app"],' + RECORD[1:]


def again(data: bytes, **settings: str) -> Batch:
    return Batch("default", tuple(make_pipeline(FORMAT="record", **settings).records(a_chunk(data, 0, "beef"))), 1)


def written(batch: Batch) -> bytes:
    return b"".join(ndjson.encode(batch))


@examples(40)
@given(batches().filter(lambda batch: batch.events > 0))
def test_records_of_any_kind_are_written_again_byte_for_byte_and_have_their_ids(batch: Batch) -> None:
    lines = written(batch)
    repeated = again(lines)
    assert written(repeated) == lines
    assert list(repeated.ids()) == list(batch.ids())


@examples(40)
@given(batches().filter(lambda batch: batch.events > 0))
def test_dead_letters_become_the_records_that_they_were_with_their_labels(batch: Batch) -> None:
    letters = DeadLetters(Path("/nowhere"), "loki")
    reasons = [(index, 'say "no"') for index in range(batch.events)]
    repeated = again(b"".join(letters._encode(batch, reasons)))
    assert written(repeated) == written(batch)
    before = [dict(records.labels) for records in batch.records for _ in records.bodies]
    assert [dict(records.labels) for records in repeated.records for _ in records.bodies] == before


def test_the_input_adds_no_label_and_the_sink_sees_the_first_file() -> None:
    (records,) = again(LETTER.encode() + b"\n", LABELS="env=prod").records
    assert dict(records.labels) == {"pod": "p-1", "app": "shop"}
    assert records.chunk.first_path == "/logs/a.log"
    assert records.bodies == ["hello"]
    assert records.fields is None


def test_without_a_list_the_fields_of_the_pod_are_labels() -> None:
    (records,) = again(RECORD.encode() + b"\n").records
    assert dict(records.labels) == {"pod": "p-1"}
    assert json.loads(records.bodies[0]) == {"app": "shop", "message": "hello"}


def test_the_apps_own_members_called_as_those_of_a_letter_stay() -> None:
    record = RECORD[:-1] + ',"reason":"mine","sink":1,"labels":["x"]}'
    letter = LETTER[: LETTER.index('"id"')] + record[1:]
    assert written(again(letter.encode() + b"\n")).decode() == record + "\n"


def test_a_number_that_no_float_holds_keeps_its_digits() -> None:
    record = RECORD[:-1] + ',"n":1e999,"big":123456789012345678901234567890,"f":1.00}'
    assert written(again(record.encode() + b"\n")).decode() == record + "\n"


def test_a_level_and_a_time_of_the_app_stay_fields_in_their_own_form() -> None:
    record = '{"id":"f00d-7","file":"/a","time":"10:00","level":"info","message":"x"}'
    assert written(again(record.encode() + b"\n")).decode() == record + "\n"
    ours = '{"id":"f00d-7","file":"/a","time":"2026-01-01T00:00:00Z","level":"info","severity":"INFO","message":"x"}'
    repeated = again(ours.encode() + b"\n")
    (records,) = repeated.records
    assert (records.times, records.levels, records.bodies) == ([1767225600 * 10**9], ["info"], ["x"])
    assert written(repeated).decode() == ours + "\n"


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "",
        "[1]",
        "{}",
        RECORD.replace("f00d-7", "f00d"),
        RECORD.replace("f00d-7", "f00d-07"),
        RECORD.replace("f00d-7", "f00d-7+0"),
        RECORD.replace("f00d-7", "f00d-" + "9" * 30),
        RECORD.replace("f00d-7", "a/../b-7"),
        RECORD.replace("f00d-7", 'a\\"b-7'),
        RECORD.replace("f00d-7", "x" * 65 + "-7"),
        RECORD.replace("/logs/a.log", ""),
        RECORD.replace("/logs/a.log", "\\u0000"),
        RECORD.replace("/logs/a.log", "\\ud800"),
        RECORD.replace("/logs/a.log", "/" * 4097),
        RECORD.replace('"file":"/logs/a.log"', '"file":true'),
        LETTER.replace('["pod","app"]', "[1]"),
        LETTER.replace('["pod","app"]', json.dumps([f"l{number}" for number in range(33)], separators=(",", ":"))),
        LETTER[:60],
        '{"id":"f00d-7",' + '"a":[' * 100_000,
    ],
)
def test_a_line_that_we_cannot_have_written_is_an_event_of_the_input_itself(line: str) -> None:
    batch = again(line.encode() + b"\n")
    assert list(batch.ids()) == ["beef-0"]
    (record,) = map(json.loads, written(batch).splitlines())
    assert (record["message"], record["parse_error"], record["file"]) == (line, "record", "/logs/a%d.log")


def test_a_label_is_never_one_of_the_members_that_we_set() -> None:
    letter = LETTER.replace('["pod","app"]', '["id","file","message"]')
    (records,) = again(letter.encode() + b"\n").records
    assert records.labels == {}


def test_a_piece_of_a_letter_is_no_record() -> None:
    chunk = a_chunk(LETTER.encode(), partial=True)
    (records,) = make_pipeline(FORMAT="record").records(chunk)
    assert list(Batch("default", (records,)).ids()) == [f"f00d-0+{len(LETTER)}"]


@given(
    st.lists(
        st.sampled_from([LETTER, RECORD, RECORD.replace("-7", "-9"), RECORD.replace("-7", "-8+3"), "torn"]), min_size=1
    )
)
def test_each_byte_and_line_is_counted_in_the_file_that_was_read(lines: list[str]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    batch = again(data)
    assert batch.size == len(data)
    assert batch.events == len(lines)
    chunk = a_chunk(data, 0, "beef")
    in_flight = InFlightBatch("default", [chunk], batch.records)
    in_flight.drop(batch, range(batch.events), "rejected")
    assert in_flight.dropped == [{"rejected": (len(data), len(lines))}]


def test_what_both_filters_drop_is_counted_once_each() -> None:
    data = "".join(f"{line}\n" for line in (RECORD, "TRACE", LETTER, RECORD.replace("hello", "bye"))).encode()
    records = tuple(map(SinkFilter("hello|torn", None).apply, again(data, DROP="TRACE").records))
    in_flight = InFlightBatch("default", [a_chunk(data, 0, "beef")], records)
    gone = len("TRACE\n") + len(RECORD.replace("hello", "bye")) + 1
    assert in_flight.dropped == [{FILTERED: (gone, 2)}]


def test_halves_of_replayed_records_have_keys_of_their_own_and_the_same_ones_each_time() -> None:
    data = f"{RECORD}\n{RECORD.replace('-7', '-9')}\n{RECORD.replace('f00d', 'cafe')}\n".encode()
    whole, repeated = again(data), again(data)
    halves = whole.halves()
    assert halves
    assert whole.key == repeated.key
    assert len({whole.key, *(half.key for half in halves)}) == 3


def test_redaction_reaches_records_too() -> None:
    batch = again(RECORD.replace("hello", "bob@example.com").encode() + b"\n", REDACT="email")
    assert b"bob@" not in written(batch)
    assert list(batch.ids()) == ["f00d-7"]


async def test_letters_of_replayed_records_are_the_same_letters_again(tmp_path: Path) -> None:
    batch = again(LETTER.encode() + b"\n")
    await DeadLetters(tmp_path, "loki").append(batch, [(0, '"400"')])
    (letter,) = (tmp_path / "loki.ndjson").read_text().splitlines()
    assert letter[letter.index('"labels"') :] == LETTER[LETTER.index('"labels"') :]
    assert own_records.parse(letter) == own_records.parse(LETTER)


def test_half_of_a_surrogate_pair_stays_as_it_is_written() -> None:
    forged = b'{"id":"f00d-7","file":"/logs/a.log","message":"\\ud800"}\n'
    assert written(again(forged)) == forged

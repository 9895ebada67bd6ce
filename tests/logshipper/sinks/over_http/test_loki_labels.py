"""Loki's labels from events: each set of values is a stream, and the app cannot make very many of them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import SettingsError
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused
from sidecars.logshipper.sinks.encodings.loki_push import encode_json, encode_protobuf
from sidecars.logshipper.sinks.encodings.loki_streams import StreamLabels
from sidecars.logshipper.transform.parsing.label_sources import parse, show
from tests.logshipper.opened_sinks import create, opened
from tests.logshipper.receivers.loki import Entry, Loki, from_json, from_protobuf
from tests.logshipper.support import a_batch, a_chunk

SECOND = 10**9
AT = 1_796_000_400 * SECOND
SETTING = "level,{tenant},team={user.team}"


@pytest.fixture
def loki() -> Iterator[Loki]:
    running = Loki()
    yield running
    running.close()


def batch(events: list[dict[str, Any]], levels: list[str | None] | None = None, at: int = AT) -> Batch:
    lines = "".join(f"line {number}\n" for number in range(len(events)))
    records = a_batch(a_chunk(lines.encode()), pod="shop-1").records[0]
    times = [AT + number * SECOND for number in range(len(events))]
    return Batch("default", (replace(records, fields=events, levels=levels, times=times),), at=at)


def entries_of(labels: StreamLabels, made: Batch) -> list[Entry]:
    entries = from_json(b"".join(encode_json(made, made.at, labels.streams(made))))
    again = StreamLabels(parse(SETTING))
    again.restore(dict(labels.receipt))
    assert from_protobuf(b"".join(encode_protobuf(made, made.at, again.streams(made)))) == entries
    return entries


def own_labels(entry: Entry) -> dict[str, str]:
    return {name: value for name, value in entry.labels.items() if name not in ("pod", "filename")}


def test_each_set_of_values_is_a_stream_of_the_file() -> None:
    events: list[dict[str, Any]]
    events = [{"tenant": "a", "user": {"team": "x"}}, {"tenant": "a"}, {"tenant": "a", "user": {"team": "x"}}, {"n": 1}]
    entries = entries_of(StreamLabels(parse(SETTING)), batch(events, ["INFO", "warn", "info", "unheard-of"]))
    found = {entry.line: (own_labels(entry), entry.metadata.get("level")) for entry in entries}
    assert found == {
        "line 0": ({"level": "info", "tenant": "a", "team": "x"}, None),
        "line 1": ({"level": "warn", "tenant": "a"}, None),
        "line 2": ({"level": "info", "tenant": "a", "team": "x"}, None),
        "line 3": ({}, "unheard-of"),
    }
    assert all(entry.labels["filename"] == "/logs/a%d.log" for entry in entries)
    assert {entry.line: entry.time for entry in entries}["line 2"] == AT + 2 * SECOND + 14


def test_values_beyond_twenty_are_metadata_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    labels = StreamLabels(parse("{tenant}"))
    made = batch([{"tenant": f"t{number % 30}"} for number in range(300)])
    entries = from_json(b"".join(encode_json(made, AT, labels.streams(made))))
    assert len({entry.labels.get("tenant") for entry in entries}) == 21
    for entry in entries:
        assert (entry.labels.get("tenant") or entry.metadata["tenant"]) == f"t{int(entry.line[5:]) % 30}"
    assert labels.overflowed == 100
    labels.streams(made)
    assert [record.message[:21] for record in caplog.records] == ["fields of SINK_LABELS"]


def test_a_file_has_a_hundred_streams_at_most() -> None:
    labels = StreamLabels(parse("{a},{b}"))
    made = batch([{"a": f"{number % 20}", "b": f"{number // 20}"} for number in range(400)])
    entries = from_json(b"".join(encode_json(made, AT, labels.streams(made))))
    streams = Counter(tuple(sorted(own_labels(entry).items())) for entry in entries)
    assert len(streams) == 101  # one of them has no labels of events
    assert streams[()] == 300
    assert sum(entry.metadata.get("a") is not None for entry in entries) == 300


HOSTILE = st.one_of(
    st.none(), st.integers(), st.booleans(), st.text(max_size=200), st.lists(st.text(max_size=2), max_size=2)
)
EVENTS = st.lists(st.fixed_dictionaries({}, optional={"tenant": HOSTILE, "user": HOSTILE}), min_size=1, max_size=8)


@given(events=EVENTS, level=st.sampled_from(["INFO", "x", "\0"]))
def test_no_value_costs_a_line(events: list[dict[str, Any]], level: str) -> None:
    made = batch(events or [{}], [level] * len(events))
    entries = entries_of(StreamLabels(parse(SETTING)), made)
    assert sorted(entry.metadata["id"] for entry in entries) == sorted(made.ids())
    for entry in entries:
        event = events[int(entry.line[5:])]
        if isinstance(event.get("tenant"), str) and event["tenant"]:
            seen = entry.labels.get("tenant") or entry.metadata["tenant"]
            assert seen == event["tenant"].replace("\0", "\ufffd")


@given(
    batches=st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=30), min_size=1, max_size=5),
    cut=st.integers(0, 4),
)
def test_a_batch_that_is_sent_again_has_the_same_streams(batches: list[list[int]], cut: int) -> None:
    made = [batch([{"tenant": f"t{value}"} for value in values]) for values in batches]
    first, sent, receipts = StreamLabels(parse("{tenant}")), [], []
    for one in made:
        receipts.append(dict(first.receipt))
        sent.append([(part.labels, part.records.offsets) for part in first.streams(one)])
    cut = min(cut, len(made) - 1)
    again = StreamLabels(parse("{tenant}"))
    again.restore(receipts[cut])
    assert [[(part.labels, part.records.offsets) for part in again.streams(one)] for one in made[cut:]] == sent[cut:]


async def test_loki_keeps_each_entry_once_when_a_batch_is_sent_again(loki: Loki) -> None:
    events = [{"tenant": f"t{number % 30}"} for number in range(60)]
    async with opened(loki.url, format="json", sink_labels="level,{tenant}", compression="snappy") as sink:
        outcome = await sink.deliver(batch(events, ["INFO"] * 60))
    again = create(loki.url, format="json", sink_labels="level,{tenant}")
    await again.open(dict(outcome.receipt))
    await again.deliver(batch(events, ["INFO"] * 60))
    await again.close()
    assert len(loki.entries) == 60
    by_stream: dict[str | None, int] = defaultdict(int)
    for entry in loki.entries:
        by_stream[entry.labels.get("tenant")] += 1
    assert len(by_stream) == 21


async def test_a_refusal_of_several_streams_halves_the_batch(loki: Loki) -> None:
    loki.mode = f"late:{AT + 3600 * SECOND}"
    async with opened(loki.url, format="json", sink_labels="{tenant}") as sink:
        with pytest.raises(BatchRefused):
            await sink.deliver(batch([{"tenant": "a"}, {"tenant": "b"}]))
        assert [index for index, _ in (await sink.deliver(batch([{"tenant": "a"}] * 2))).rejected] == [0, 1]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("tenant", "expected level, {field} or name={field}"),
        ("{a},{a}", "expected each label once"),
        ("{pod}", "expected another label than pod"),
        ("__x={a}", "expected another label than __x"),
        ("{1a}", "expected another label than 1a"),
        (r"{a\b}", "a backslash comes before"),
        (",".join(f"{{l{number}}}" for number in range(13)), "expected 12 labels at most"),
    ],
)
def test_labels_that_loki_would_not_take_are_told_at_the_start(setting: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)):
        create("loki+http://localhost", sink_labels=setting)


def test_labels_of_inputs_and_events_together_are_bounded() -> None:
    labels = ",".join(f"l{number}=x" for number in range(11))
    create("loki+http://localhost", labels=labels, sink_labels="level")
    with pytest.raises(SettingsError, match="has more than 12 labels with those of LOGSHIPPER_SINK_LABELS"):
        create("loki+http://localhost", labels=labels, sink_labels="level,{tenant}")


@pytest.mark.parametrize("setting", [SETTING, "a_b={a.b}", r"x={a\.b.c\,d\\e}"])
def test_the_setting_is_shown_as_it_is_read(setting: str) -> None:
    assert parse(show(parse(setting))) == parse(setting)

"""The sinks loki+http:// and loki+https://: requests and responses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, RetryLater
from sidecars.logshipper.sinks.encodings.loki_push import encode_json, encode_protobuf
from sidecars.logshipper.sinks.encodings.unique_timestamps import unique_timestamps
from sidecars.logshipper.sinks.protocols.loki_refusal import parse_go_time, refused_entries
from tests.logshipper.opened_sinks import opened
from tests.logshipper.receivers.loki import Entry, Loki, from_json, from_protobuf
from tests.logshipper.strategies import batches, with_columns
from tests.logshipper.support import a_batch, a_chunk

NOW = 1_790_000_000_123_456_789
TIMES = [NOW - 3, NOW - 2, NOW - 1]


@pytest.fixture
def loki() -> Iterator[Loki]:
    running = Loki()
    yield running
    running.close()


def batch(text: str = "1\n2\n3\n") -> Batch:
    return a_batch(a_chunk(text.encode()), pod="shop-1")


# -- requests ------------------------------------------------------------------------------------------------------


@given(batches())
def test_both_forms_say_the_same_of_every_event(batch: Batch) -> None:
    entries = from_json(b"".join(encode_json(batch, NOW)))
    assert from_protobuf(b"".join(encode_protobuf(batch, NOW))) == entries
    assert [entry.line for entry in entries] == [body for records in batch.records for body in records.bodies]
    assert [entry.metadata["id"] for entry in entries] == list(batch.ids())
    levels = [level for records in batch.records for level in records.levels or [None] * len(records.bodies)]
    assert [entry.metadata.get("level") for entry in entries] == levels
    partial = [records.partial and body is records.bodies[-1] for records in batch.records for body in records.bodies]
    assert sum(entry.metadata.get("partial") == "true" for entry in entries) <= sum(partial)
    for entry in entries:
        assert entry.labels["filename"] == "/logs/a%d.log"
        assert entry.labels.get("app_kubernetes_io_name", 'sh"o\\p%d\n') == 'sh"o\\p%d\n'
        assert "node" not in entry.labels


@given(batches())
def test_two_events_of_a_batch_never_have_one_time_unless_the_log_gave_it_in_nanoseconds(batch: Batch) -> None:
    for records in batch.records:
        times = unique_timestamps(records, NOW)
        coarse = [time for time, own in zip(times, records.times or [None] * len(times), strict=True) if own is None]
        assert len(set(coarse)) == len(coarse)


def test_equal_lines_of_one_millisecond_have_times_that_differ_and_are_the_same_when_sent_again() -> None:
    twice = with_columns(batch("tick\ntick\n"), times=[1_790_000_000_123_000_000] * 2)
    first, second = from_json(b"".join(encode_json(twice, NOW)))
    assert (first.time, second.time) == (1_790_000_000_123_000_000, 1_790_000_000_123_000_005)
    assert from_json(b"".join(encode_json(twice, NOW + 1))) == [first, second]


@pytest.mark.parametrize("coding", ["none", "gzip", "snappy"])
async def test_a_batch_is_one_push(loki: Loki, coding: str) -> None:
    async with opened(loki.url, compression=coding, sink_headers="X-Scope-OrgID=shop") as sink:
        await sink.deliver(with_columns(batch(), times=TIMES))
    labels = {"pod": "shop-1", "filename": "/logs/a%d.log"}
    assert loki.entries == [
        Entry(labels, time, str(number), {"id": f"f00d-{(number - 1) * 2}"}) for number, time in enumerate(TIMES, 1)
    ]
    assert loki.requests[0]["X-Scope-OrgID"] == "shop"


async def test_a_path_of_ones_own_is_kept(loki: Loki) -> None:
    async with opened(f"{loki.url}/gateway/push") as sink:
        with pytest.raises(RetryLater, match="responded with 404"):
            await sink.deliver(batch())


# -- responses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["none", "snappy"])
async def test_what_a_400_names_is_rejected_and_the_rest_has_the_yes(loki: Loki, coding: str) -> None:
    loki.mode = f"late:{TIMES[1] + 1}"
    async with opened(loki.url, compression=coding) as sink:
        outcome = await sink.deliver(with_columns(batch(), times=TIMES))
    assert outcome.rejected == [
        (0, "the receiver responded with 400: too far behind"),
        (1, "the receiver responded with 400: too far behind"),
    ]
    assert outcome.retry == ()
    assert [entry.line for entry in loki.entries] == ["3"]


async def test_a_400_that_does_not_name_all_it_ignored_is_counted_as_it_says(loki: Loki) -> None:
    loki.mode, loki.shown = f"late:{TIMES[1] + 1}", 1
    async with opened(loki.url) as sink:
        outcome = await sink.deliver(with_columns(batch(), times=TIMES))
    reason = "the receiver responded with 400, and does not name the 2 of 3 lines: too far behind"
    assert outcome.unnamed_rejections == (2, reason)


async def test_a_400_about_lines_of_several_files_refuses_the_batch_whose_halves_tell_more(loki: Loki) -> None:
    loki.mode = f"late:{2**62}"
    whole = a_batch(a_chunk(b"1\n"), a_chunk(b"2\n", 0, "beef"))
    async with opened(loki.url) as sink:
        with pytest.raises(BatchRefused, match="the receiver responded with 400: too far behind"):
            await sink.deliver(whole)
        for half in whole.halves() or ():
            outcome = await sink.deliver(half)
            assert outcome.rejected == [(0, "the receiver responded with 400: too far behind")]


@pytest.mark.parametrize(
    "text",
    [
        f"total ignored: {'9' * 5000} out of 3 for stream: {{}}",
        f"max entry size '{'9' * 5000}' bytes exceeded for stream '{{}}' while adding an entry with length '5' bytes",
        "entry with timestamp 0001-01-01 00:00:00 +0000 UTC ignored, reason: total ignored: 1 out of 3 for stream: {}",
        "entry for stream '{}' has timestamp too old: x, oldest acceptable y is: 9999-12-31T23:59:59.999999999-99:99",
        "entry for stream '{}' has timestamp too old: " + "x, oldest acceptable  is: " * 600,
        "entry with timestamp " * 800,
    ],
    ids=lambda text: text[:60],
)
async def test_whatever_a_400_says_the_batch_is_decided_or_refused(loki: Loki, text: str) -> None:
    loki.mode, loki.error_body = "400", text.encode()
    async with opened(loki.url) as sink:
        with contextlib.suppress(BatchRefused):
            await sink.deliver(with_columns(batch(), times=TIMES))


async def test_a_repeat_of_events_with_times_is_recognised_by_loki(loki: Loki) -> None:
    loki.mode = "lost"
    async with opened(loki.url) as sink:
        with pytest.raises(RetryLater):
            await sink.deliver(with_columns(batch(), times=TIMES))
        loki.mode = "ok"
        await sink.deliver(with_columns(batch(), times=TIMES))
    assert [entry.line for entry in loki.entries] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("status", "outcome"), [("429", RetryLater), ("500", RetryLater), ("413", BatchTooLarge), ("401", RetryLater)]
)
async def test_what_an_answer_means(loki: Loki, status: str, outcome: type[Exception]) -> None:
    loki.mode = status
    async with opened(loki.url) as sink:
        with pytest.raises(outcome):
            await sink.deliver(batch())


async def test_what_people_have_to_mend_in_loki_is_tried_again(loki: Loki) -> None:
    async with opened(loki.url) as sink:
        loki.mode = "blocked"
        with pytest.raises(RetryLater, match="responded with 260: ingestion is blocked"):
            await sink.deliver(batch())
        loki.mode = "old"
        with pytest.raises(RetryLater, match="set allow_structured_metadata in its limits_config"):
            await sink.deliver(batch())


_LONG = "Max entry size '5' bytes exceeded for stream '{pod=\"shop-1\"}' while adding an entry with length '6' bytes"
_OLD = (
    "entry for stream '{pod=\"shop-1\"}' has timestamp too old: 1970-01-01T00:00:01Z, "
    "oldest acceptable timestamp is: 1970-01-01T00:00:02.5Z"
)


@pytest.mark.parametrize(
    ("response", "indices"),
    [
        (_LONG, [1]),
        (_LONG.lower().replace("shop", "s"), [1]),
        (f"1 errors like: {_LONG}\n", [1]),
        (f"1 errors like: {_LONG}; 1 errors like: {_OLD}", None),
        (_OLD, [0]),
        (_OLD.replace("02.5Z", "02.5+00:00"), [0]),
        ("user 'fake', total ignored: 1 out of 3 for stream: {}", None),
        ("error at least one label pair is required per stream", None),
        ("", None),
    ],
)
def test_what_the_text_of_a_400_says(response: str, indices: list[int] | None) -> None:
    assert refused_entries(response, ["a", "\u00fc\u00fc\u00fc", "12345"], [10**9, 3 * 10**9, 3 * 10**9]) == indices


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01 00:00:01 +0000", 10**9),
        ("1970-01-01 02:00:01.000000007 +0200", 10**9 + 7),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("yesterday", None),
        ("1970-13-01T00:00:01.5Z", None),
    ],
)
def test_times_as_go_writes_them(text: str, expected: int | None) -> None:
    assert parse_go_time(text) == expected

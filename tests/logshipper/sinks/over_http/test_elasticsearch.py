"""The sinks elasticsearch+http:// and elasticsearch+https://: documents by their ids, and a result for each."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import SettingsError
from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.over_http import elasticsearch as elasticsearch_module
from sidecars.logshipper.sinks.over_http.elasticsearch import _CREATE, _outcome
from tests.logshipper.opened_sinks import create, opened
from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.strategies import batches, with_columns
from tests.logshipper.support import a_batch, a_chunk

NOW = 1_790_000_000_123_456_789


@pytest.fixture
def elasticsearch() -> Iterator[Elasticsearch]:
    running = Elasticsearch()
    yield running
    running.close()


def batch(text: str = "1\n2\n3\n") -> Batch:
    return a_batch(a_chunk(text.encode()), pod="shop-1")


def messages(elasticsearch: Elasticsearch) -> list[Any]:
    return [document["message"] for document in elasticsearch.documents.values()]


# -- requests ------------------------------------------------------------------------------------------------------


@given(batches())
def test_every_event_is_an_action_and_the_record_that_other_sinks_get(batch: Batch) -> None:
    lines = b"".join(ndjson.encode(batch, ndjson.Layout(_CREATE, "@timestamp", NOW))).split(b"\n")[:-1]
    actions, documents = map(json.loads, lines[::2]), [json.loads(line) for line in lines[1::2]]
    assert [action["create"]["_id"] for action in actions] == list(batch.ids())
    records = [json.loads(line) for line in b"".join(ndjson.encode(batch)).split(b"\n")[:-1]]
    for document, record in zip(documents, records, strict=True):
        assert document.pop("@timestamp") == record.pop("time", "2026-09-21T14:13:20.123456789Z")
        assert document == record


@pytest.mark.parametrize("coding", ["none", "gzip"])
async def test_a_batch_is_one_bulk_request(elasticsearch: Elasticsearch, coding: str) -> None:
    async with opened(
        f"{elasticsearch.url}?pipeline=mine", compression=coding, sink_headers="Authorization=ApiKey abc"
    ) as sink:
        assert (await sink.deliver(with_columns(batch(), times=[NOW] * 3))).rejected == ()
    assert elasticsearch.documents["f00d-2"] == {
        "id": "f00d-2",
        "file": "/logs/a%d.log",
        "pod": "shop-1",
        "@timestamp": "2026-09-21T14:13:20.123456789Z",
        "message": "2",
    }
    assert elasticsearch.requests[0]["Authorization"] == "ApiKey abc"
    assert elasticsearch.queries["pipeline"] == ["mine"]


async def test_a_document_may_have_the_names_of_a_schema(elasticsearch: Elasticsearch) -> None:
    async with opened(elasticsearch.url, sink_schema="ecs") as sink:
        assert (await sink.deliver(with_columns(batch(), times=[NOW] * 3))).rejected == ()
    assert elasticsearch.documents["f00d-2"] == {
        "event.id": "f00d-2",
        "log.file.path": "/logs/a%d.log",
        "ecs.version": "8.17.0",
        "log.offset": 2,
        "kubernetes.pod.name": "shop-1",
        "@timestamp": "2026-09-21T14:13:20.123456789Z",
        "message": "2",
    }


@pytest.mark.parametrize("path", ["", "/", "/Logs", "/_all", "/a,b", "/a*", "/-a", "/logs/"])
def test_an_index_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match=r"expected elasticsearch\+http\(s\)://host\[:port\]/index"):
        create(f"elasticsearch+http://localhost:9200{path}")


# -- results of documents ------------------------------------------------------------------------------------------


async def test_a_document_that_is_there_already_has_its_yes(elasticsearch: Elasticsearch) -> None:
    async with opened(elasticsearch.url) as sink:
        elasticsearch.mode = "lost"
        with pytest.raises(RetryLater):
            await sink.deliver(batch())
        elasticsearch.mode = "ok"
        outcome = await sink.deliver(batch())
    assert outcome == Outcome()
    assert messages(elasticsearch) == ["1", "2", "3"]


async def test_what_was_too_much_is_sent_again_alone_and_what_is_wrong_is_rejected(
    elasticsearch: Elasticsearch,
) -> None:
    elasticsearch.verdicts = {"1": [429], "2": [400], "4": [503]}
    whole = batch("1\n2\n3\n4\n")
    async with opened(elasticsearch.url) as sink:
        outcome = await sink.deliver(whole)
        assert outcome.retry == [0, 3]
        what = "some_exception: failed to parse field [n] of type [long] in document with id '…'"
        assert outcome.retry_reason == f"2 of 4 documents: 429 {what}"
        assert outcome.rejected == [(1, f"400 {what}")]
        assert (await sink.deliver(whole.select(outcome.retry))).retry == ()
    assert messages(elasticsearch) == ["3", "1", "4"]
    assert elasticsearch.asked["f00d-4"] == 1


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_missing_or_blocked_index_is_no_reason_to_drop_lines(elasticsearch: Elasticsearch, status: int) -> None:
    elasticsearch.verdicts = {"2": [status]}
    async with opened(elasticsearch.url) as sink:
        outcome = await sink.deliver(batch())
    assert (outcome.retry, outcome.rejected) == ([1], [])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not that of a bulk request"),
        (b"<html>", "not that of a bulk request"),
        (b"{}", "not that of a bulk request"),
        (b"[]", "not that of a bulk request"),
        (b'{"errors":true,"items":[{}]}', "not that of a bulk request"),
        (b'{"errors":true,"items":[{"create":{"status":null}}]}', "not that of a bulk request"),
        (b'{"errors":true,"items":[{"create":{"status":201}}]}', "responded about 1 of 2 documents"),
    ],
)
def test_an_answer_that_is_none_decides_nothing(body: bytes, reason: str) -> None:
    with pytest.raises(RetryLater, match=reason):
        _outcome(ClientResponse(200, {}, body, early=False), 2)


def test_an_error_that_is_only_a_text_is_a_reason_as_well() -> None:
    body = b'{"errors":true,"items":[{"index":{"status":400,"error":"MapperParsingException[nope]"}}]}'
    with pytest.raises(BatchRefused) as error:
        _outcome(ClientResponse(200, {}, body, early=False), 1)
    assert error.value.event_reasons == ["400 MapperParsingException[nope]"]


def test_where_no_document_is_taken_the_batch_is_refused_with_the_reason_of_each() -> None:
    """The mapping may be wrong then, and not the lines."""
    verdict = '{"create":{"status":400,"error":{"type":"strict_dynamic_mapping_exception","reason":"not allowed"}}}'
    body = f'{{"errors":true,"items":[{verdict},{verdict}]}}'.encode()
    with pytest.raises(
        BatchRefused, match="refused every document: 400 strict_dynamic_mapping_exception: not"
    ) as error:
        _outcome(ClientResponse(200, {}, body, early=False), 2)
    assert error.value.event_reasons == ["400 strict_dynamic_mapping_exception: not allowed"] * 2


@pytest.mark.parametrize("status", ["200", 200.5, True, None, [], 10**400])
def test_a_status_that_is_no_number_is_no_verdict(status: object) -> None:
    body = json.dumps({"errors": True, "items": [{"create": {"status": status}}]}).encode()
    with pytest.raises(RetryLater, match="not that of a bulk request"):
        _outcome(ClientResponse(200, {}, body, early=False), 1)


@pytest.mark.parametrize("status", [-1, 0, 100, 302, 408, 425, 600, 2**63 - 1])
def test_a_status_that_says_no_final_no_is_tried_again(status: int) -> None:
    body = json.dumps({"errors": True, "items": [{"create": {"status": status}}]}).encode()
    assert _outcome(ClientResponse(200, {}, body, early=False), 1).retry == [0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["errors", "items", "create", "status", "error", "type", "reason"]), inner)
    ),
    max_leaves=20,
)


@given(JSON.map(lambda page: json.dumps(page).encode()) | st.binary(max_size=60), st.integers(1, 3))
def test_whatever_a_bulk_answer_says_it_is_an_outcome_or_a_sentence(body: bytes, events: int) -> None:
    with contextlib.suppress(RetryLater, BatchRefused):
        outcome = _outcome(ClientResponse(200, {}, body, early=False), events)
        assert all(reason.isprintable() for _, reason in outcome.rejected)
        assert {index for index, _ in outcome.rejected} | set(outcome.retry) <= set(range(events))


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[]" * 50_000, b'{"errors":true,"items":[' + b"[]," * 50_000 + b"[]]}", b'{"a":' * 9999]
)
def test_deep_and_hollow_answers_are_none(body: bytes) -> None:
    with pytest.raises(RetryLater):
        _outcome(ClientResponse(200, {}, body, early=False), 1)


def test_a_response_of_very_many_small_objects_is_none_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object of Python has two hundred bytes, and `{},` has three."""
    monkeypatch.setattr(elasticsearch_module, "_results", lambda _: pytest.fail("it is read"))
    for flood in (b'{"items":[' + b"{}," * 1000 + b"{}]}", b'{"items":[' + b"[]," * 100_000 + b"[]]}"):
        with pytest.raises(RetryLater, match="not that of a bulk request"):
            _outcome(ClientResponse(200, {}, flood, early=False), 3)


async def test_an_answer_that_is_longer_than_so_many_verdicts_halves_the_batch(
    elasticsearch: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch, "take", lambda *_: (200, b'{"items":[' + b"[]," * 100_000 + b"[]]}"))
    async with opened(elasticsearch.url) as sink:
        with pytest.raises(BatchTooLarge):
            await sink.deliver(batch("1\n2\n"))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("400", BatchRefused),
        ("429", RetryLater),
        ("502", RetryLater),
        ("503", RetryLater),
        ("413", BatchTooLarge),
        ("401", RetryLater),
    ],
)
async def test_what_an_answer_to_the_whole_means(
    elasticsearch: Elasticsearch, status: str, outcome: type[Exception]
) -> None:
    elasticsearch.mode = status
    async with opened(elasticsearch.url) as sink:
        with pytest.raises(outcome):
            await sink.deliver(batch())

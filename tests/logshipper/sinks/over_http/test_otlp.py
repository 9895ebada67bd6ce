"""The sinks otlp+http:// and otlp+https://: requests, read by the official messages, and responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from sidecars.chassis.config.settings import SettingsError
from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, RetryLater
from sidecars.logshipper.sinks.encodings.otlp_logs import any_value, encode
from sidecars.logshipper.sinks.over_http.otlp import partial_success
from tests.logshipper.opened_sinks import create, opened
from tests.logshipper.receivers.otlp import Otlp
from tests.logshipper.strategies import batches, with_columns
from tests.logshipper.support import Receiver, a_batch, a_chunk

NOW = 1_790_000_000_123_456_789


@pytest.fixture
def otlp() -> Iterator[Otlp]:
    running = Otlp()
    yield running
    running.close()


def batch(text: str = "1\n2\n3\n", **labels: str) -> Batch:
    return a_batch(a_chunk(text.encode()), **labels)


def plain(value: Any) -> Any:
    """Return the value of JSON for an AnyValue."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return getattr(value, kind) if kind else None


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: plain(pair.value) for pair in pairs}


def records(message: Any) -> list[Any]:
    return [record for logs in message.resource_logs for scope in logs.scope_logs for record in scope.log_records]


def only_record(batch: Batch) -> Any:
    (record,) = records(ExportLogsServiceRequest.FromString(b"".join(encode(batch, {}, NOW))))
    return record


# -- requests ------------------------------------------------------------------------------------------------------


@given(batches())
def test_every_event_is_a_record(batch: Batch) -> None:
    message = ExportLogsServiceRequest.FromString(b"".join(encode(batch, {"service.name": "shop"}, NOW)))
    got = records(message)
    assert [record.body.string_value for record in got] == [body for one in batch.records for body in one.bodies]
    assert [attributes(record.attributes)["log.record.uid"] for record in got] == list(batch.ids())
    assert {record.observed_time_unix_nano for record in got} <= {NOW}
    times = [time or 0 for one in batch.records for time in one.times or [0] * len(one.bodies)]
    assert [record.time_unix_nano for record in got] == times
    levels = [level or "" for one in batch.records for level in one.levels or [""] * len(one.bodies)]
    assert [record.severity_text for record in got] == levels
    assert [record.severity_number for record in got] == [severity.of(level).otlp for level in levels]
    for resource in message.resource_logs:
        found = attributes(resource.resource.attributes)
        assert found["service.name"] == "shop"
        assert "pod" not in found
        assert resource.scope_logs[0].scope.name == "logshipper"
    for record in got:
        assert attributes(record.attributes)["log.file.path"] == "/logs/a%d.log"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
def test_any_json_is_a_value(value: Any) -> None:
    assert plain(AnyValue.FromString(any_value(value))) == value


def test_a_number_that_64_bits_cannot_hold_is_text() -> None:
    assert plain(AnyValue.FromString(any_value(2**64 - 1))) == str(2**64 - 1)


def test_fields_are_attributes_and_their_message_is_the_body() -> None:
    fields = {
        "message": "hello",
        "n": 1,
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "span_id": "eee19b7ec3c1b174",
        "deep": {"list": [1.5, None]},
    }
    record = only_record(with_columns(batch('{"message":"hello"}\n'), fields=[fields]))
    assert record.body.string_value == "hello"
    found = attributes(record.attributes)
    assert {"n": 1, "deep": {"list": [1.5, None]}}.items() <= found.items()
    assert {"message", "trace_id", "span_id"}.isdisjoint(found)
    assert (record.trace_id.hex(), record.span_id.hex()) == (fields["trace_id"], fields["span_id"])


def test_fields_that_are_no_trace_stay_attributes_and_a_message_that_is_no_text_too() -> None:
    fields = {"message": {"a": 1}, "trace_id": "none", "span_id": 7}
    record = only_record(with_columns(batch("the text\n"), fields=[fields]))
    assert record.body.string_value == "the text"
    assert fields.items() <= attributes(record.attributes).items()


def test_a_piece_of_a_line_is_marked() -> None:
    record = only_record(a_batch(a_chunk(b"half", partial=True)))
    assert attributes(record.attributes)["logshipper.partial"] is True


async def test_the_resource_is_made_of_the_pod_the_labels_and_the_environment(otlp: Otlp) -> None:
    environ = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,team=a%2Cb,k8s.node.name=mine",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=k%201,x-tenant=theirs",
    }
    async with opened(otlp.url, environ, sink_headers="X-Tenant=ours", compression="gzip") as sink:
        await sink.deliver(batch(pod="shop-1", namespace="prod", node="n1", app="shop"))
    (message,) = otlp.received
    assert attributes(message.resource_logs[0].resource.attributes) == {
        "k8s.pod.name": "shop-1",
        "k8s.namespace.name": "prod",
        "k8s.node.name": "mine",
        "app": "shop",
        "service.name": "shop",
        "team": "a,b",
    }
    (headers,) = otlp.requests
    assert (headers["api-key"], headers["X-Tenant"]) == ("k 1", "ours")


def test_attributes_that_are_none_are_refused() -> None:
    with pytest.raises(SettingsError, match="OTEL_RESOURCE_ATTRIBUTES=nonsense: expected name=value pairs"):
        create("otlp+http://localhost", {"OTEL_RESOURCE_ATTRIBUTES": "nonsense"})


# -- responses -----------------------------------------------------------------------------------------------------


async def test_a_partial_success_is_counted_and_never_sent_again(otlp: Otlp) -> None:
    otlp.mode = "refuse:2"
    async with opened(otlp.url) as sink:
        outcome = await sink.deliver(batch())
    assert outcome.unnamed_rejections == (2, "the receiver refused 2 of 3 records: too old: '…'")
    assert outcome.rejected == ()
    assert outcome.retry == ()
    assert len(otlp.received) == 1


@pytest.mark.parametrize(
    ("answer", "unnamed"),
    [
        (b"{}", None),
        (b'{"partialSuccess":null}', None),
        (b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}', (2, ": too old")),
        (b'{"partialSuccess":{"rejectedLogRecords":1}}', (1, "")),
    ],
)
async def test_an_answer_in_json_is_read_too(receiver: Receiver, answer: bytes, unnamed: Any) -> None:
    """CloudWatch's documents show such answers."""
    receiver.headers = {"Content-Type": "application/json"}
    receiver.take = lambda *_: (200, answer)  # type: ignore[method-assign] # the one answer of this test
    async with opened(f"otlp+http://127.0.0.1:{receiver.port}") as sink:
        found = (await sink.deliver(batch())).unnamed_rejections
    count, words = unnamed or (0, "")
    assert found == ((count, f"the receiver refused {count} of 3 records{words}") if unnamed else None)


@pytest.mark.parametrize("answer", [b"", b"[]", b"<html>", b'{"partialSuccess":[]}x', b'{"partialSuccess":5}'])
async def test_an_answer_in_json_that_says_nothing_is_no_yes(receiver: Receiver, answer: bytes) -> None:
    receiver.headers = {"Content-Type": "application/json"}
    receiver.take = lambda *_: (200, answer)  # type: ignore[method-assign] # the one answer of this test
    async with opened(f"otlp+http://127.0.0.1:{receiver.port}") as sink:
        with pytest.raises(RetryLater, match="is not OTLP"):
            await sink.deliver(batch())


async def test_a_warning_without_refused_records_is_a_yes(otlp: Otlp) -> None:
    otlp.mode = "refuse:0"
    async with opened(otlp.url) as sink:
        assert (await sink.deliver(batch())).unnamed_rejections is None


@pytest.mark.parametrize("body", [b"<html>signed in?", b"\x0a", b"\x0a\x05ab", b"\xff" * 20])
def test_a_yes_that_is_not_otlp_is_none(body: bytes) -> None:
    with pytest.raises(RetryLater, match="the receiver's response is not OTLP"):
        partial_success(body)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("400", BatchRefused), ("429", RetryLater), ("500", RetryLater), ("503", RetryLater), ("413", BatchTooLarge)],
)
async def test_what_an_answer_means(otlp: Otlp, status: str, outcome: type[Exception]) -> None:
    otlp.mode = status
    async with opened(otlp.url) as sink:
        with pytest.raises(outcome):
            await sink.deliver(batch())

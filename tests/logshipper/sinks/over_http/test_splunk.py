"""The sinks splunk+http:// and splunk+https://: what is sent, what counts as accepted, and whose fault a refusal is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from sidecars.chassis.config.settings import load
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.field_columns import JsonObjects, Table
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, RetryLater
from sidecars.logshipper.sinks.encodings.messages.splunk_events import LARGEST, Metadata, encode
from sidecars.logshipper.sinks.over_http.splunk import RESEND_AFTER, SplunkSink
from tests.growth import Case, require_linear
from tests.logshipper.opened_sinks import opened
from tests.logshipper.receivers.splunk import TOKEN, Balancer, Event, Splunk, parse, split
from tests.logshipper.strategies import batches, with_columns
from tests.logshipper.support import a_batch, a_chunk
from tests.support import examples

NOW = 1_790_000_000_123_456_789


@pytest.fixture
def splunk() -> Iterator[Splunk]:
    with closing(Splunk()) as running:
        yield running


def batch(text: str = "1\n2\n3\n", start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start), pod="shop-1", team="shop")


def events_of(one: Batch, metadata: Metadata | None = None) -> list[Event]:
    return [parse(each) for request in encode(one, metadata or Metadata()) for each in _split(request.blocks)]


def _split(blocks: Any) -> list[dict[str, Any]]:
    return split(b"".join(blocks))


def texts(receiver: Splunk) -> list[str]:
    return [event.text for event in receiver.events]


class Sleeps:
    """Stands for asyncio.sleep: notes the pauses, and calls `then` at each."""

    def __init__(self, then: Any = lambda: None) -> None:
        self.pauses: list[float] = []
        self._then = then

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._then()


async def a_sink(url: str, sleeps: Sleeps, **settings: str) -> SplunkSink:
    ours = {f"LOGSHIPPER_{name.upper()}": value for name, value in {"sink_token": TOKEN, **settings}.items()}
    loaded = load(Settings, {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": url, **ours})
    sink = SplunkSink(loaded, loaded.sinks["default"], sleeps)
    await sink.open(None)
    return sink


# -- events --------------------------------------------------------------------------------------------------------


@examples(40)
@given(batches())
def test_every_event_has_its_exact_time_its_id_and_its_text(one: Batch) -> None:
    found = events_of(one)
    assert [event.event for event in found] == [body or " " for each in one.records for body in each.bodies]
    assert [event.fields["id"] for event in found] == list(one.ids())
    times = [time for each in one.records for time in each.times or [None] * len(each.bodies)]
    assert [event.time * 10**9 for event in found] == [one.at if time is None else time for time in times]
    levels = [level for each in one.records for level in each.levels or [None] * len(each.bodies)]
    assert [event.fields.get("level") for event in found] == levels
    assert {event.source for event in found} <= {"/logs/a%d.log"}
    assert {event.host for event in found} <= {"shop-1", ""}
    requests = encode(one, Metadata())
    assert [request.first for request in requests] == [
        sum(r.events for r in requests[:at]) for at in range(len(requests))
    ]
    assert sum(request.events for request in requests) == one.events


def test_index_source_type_and_labels_are_where_splunk_looks_for_them() -> None:
    (event,) = events_of(with_columns(batch("a\n"), times=[NOW]), Metadata("host", "main", "log4j"))
    assert (event.host, event.index, event.sourcetype) == ("shop-1", "main", "log4j")
    assert event.time == Decimal("1790000000.123456789")
    assert event.fields == {"id": "f00d-0", "team": "shop"}
    (event,) = events_of(a_batch(a_chunk(b"half", partial=True)), Metadata("host"))
    assert (event.host, event.fields) == ("host", {"id": "f00d-0+4", "partial": "true"})


@pytest.mark.parametrize(
    "fields",
    [
        [{"message": "a%d", "n": 1}, {"message": "b"}],
        Table(("message", "n%"), [("a%d", "1"), ('b"', "2")]),
        JsonObjects(['{"message":"a%d", "n":{"m":[1]}}', '{"message":"b"}\r'], {}),
    ],
)
def test_parsed_fields_are_the_object_of_the_event(fields: Any) -> None:
    found = events_of(with_columns(batch("1\n2\n"), fields=fields))
    assert [event.event for event in found] == list(fields)


def test_requests_have_one_mebibyte_at_most_unless_an_event_is_longer() -> None:
    one = batch("".join(f"{'x' * 50_000}\n" for _ in range(100)) + "y" * 2_000_000 + "\nz\n")
    requests = encode(one, Metadata())
    sizes = [sum(map(len, request.blocks)) for request in requests]
    assert [size <= LARGEST for size in sizes] == [True] * (len(sizes) - 2) + [False, True]
    assert [request.events for request in requests][-2:] == [1, 1]
    assert sum(request.events for request in requests) == 102


def test_each_event_may_have_its_own_index_and_source_type() -> None:
    one = Batch("default", (*batch("1\n2\n").records, *batch("3\n", 4).records))
    requests = encode(one, Metadata("h", "", "fixed"), {"index": ["a", "b%d", 'c"']})
    found = [parse(each) for request in requests for each in _split(request.blocks)]
    assert [(event.text, event.index, event.sourcetype) for event in found] == [
        ("1", "a", "fixed"),
        ("2", "b%d", "fixed"),
        ("3", 'c"', "fixed"),
    ]


async def test_index_and_source_type_are_made_by_templates_and_a_wrong_index_is_its_events_fault(
    splunk: Splunk,
) -> None:
    splunk.indexes = {"logs-a_b", "logs-unknown"}
    sink = await a_sink(splunk.url, Sleeps(), sink_index="logs-{tenant}", sink_sourcetype="{team}")
    fields = [{"message": "1", "tenant": "A.b"}, {"message": "2", "tenant": "../x"}, {"message": "3"}]
    outcome = await sink.deliver(with_columns(batch(), fields=fields))
    assert [(index, reason[-24:]) for index, reason in outcome.rejected] == [(1, "Incorrect index (code 7)")]
    found = [(event.text, event.index, event.sourcetype) for event in splunk.events]
    assert found == [("1", "logs-a_b", "shop"), ("3", "logs-unknown", "shop")]
    assert outcome.receipt.keys() == {"index", "sourcetype"}
    again = await a_sink(splunk.url, Sleeps(), sink_index="logs-{tenant}", sink_sourcetype="{team}")
    assert await again.open(json.loads(json.dumps(outcome.receipt))) == outcome.receipt
    await sink.close()
    await again.close()


@pytest.mark.slow
@pytest.mark.parametrize("line", ["x\n", "\n", '"\\\x01\n', "x" * 3000 + "\n"])
def test_lines_become_requests_in_linear_time(line: str) -> None:
    def make(n: int) -> Batch:
        return a_batch(a_chunk((line * (n // len(line))).encode()))

    require_linear(Case(repr(line[:4]), make, lambda one: encode(one, Metadata())))


# -- acceptance ----------------------------------------------------------------------------------------------------


async def test_a_batch_is_accepted_when_the_indexer_says_so_and_not_before(splunk: Splunk) -> None:
    splunk.holds = True
    asked = []

    def note() -> None:
        asked.append(len(splunk.events))
        if len(asked) == 4:
            splunk.index()

    sleeps = Sleeps(note)
    sink = await a_sink(splunk.url, sleeps, sink_index="main", sink_sourcetype="shop")
    assert await sink.deliver(batch()) is not None
    assert asked == [0, 0, 0, 0]
    assert sleeps.pauses == [1.0, 1.5, 2.25, 3.375]
    assert texts(splunk) == ["1", "2", "3"]
    assert {(event.index, event.sourcetype, event.host) for event in splunk.events} == {("main", "shop", "shop-1")}
    await sink.close()


async def test_batches_use_one_connection_and_one_channel_while_it_stays_open(splunk: Splunk) -> None:
    sink = await a_sink(splunk.url, Sleeps(), compression="gzip")
    for number in range(5):
        await sink.deliver(batch(f"{number}\n", 2 * number))
    assert list(splunk.channels.values()) == [5]
    assert texts(splunk) == list("01234")
    await sink.close()


async def test_events_that_are_never_indexed_are_sent_again_after_five_minutes(splunk: Splunk) -> None:
    splunk.holds = True
    sleeps = Sleeps()
    sink = await a_sink(splunk.url, sleeps)
    with pytest.raises(RetryLater, match="acknowledged nothing for 300 s"):
        await sink.deliver(batch())
    assert RESEND_AFTER <= sum(sleeps.pauses) < RESEND_AFTER + 10
    assert max(sleeps.pauses) == 10
    await sink.close()


async def test_without_acknowledgement_the_200_is_accepted_unless_it_is_required() -> None:
    with closing(Splunk(acks=False)) as splunk:
        sleeps = Sleeps()
        for setting in ("auto", "off"):
            sink = await a_sink(splunk.url, sleeps, sink_ack=setting)
            await sink.deliver(batch())
            await sink.close()
        assert (texts(splunk), sleeps.pauses) == (["1", "2", "3"] * 2, [])
        sink = await a_sink(splunk.url, sleeps, sink_ack="required")
        with pytest.raises(RetryLater, match="enable it there, or set LOGSHIPPER_SINK_ACK=auto"):
            await sink.deliver(batch())
        assert len(splunk.events) == 6, "nothing is sent to a token without acknowledgement"
        await sink.close()


async def test_a_token_with_acknowledgement_needs_the_channel(splunk: Splunk) -> None:
    async with opened(splunk.url, sink_token=TOKEN, sink_ack="off") as sink:
        with pytest.raises(
            RetryLater, match=r"code 10\); the token has indexer acknowledgement: set LOGSHIPPER_SINK_ACK"
        ):
            await sink.deliver(batch())


async def test_cookies_of_a_balancer_are_sent_back_on_its_connection(splunk: Splunk) -> None:
    splunk.headers = {"Set-Cookie": "AWSALB=node-1; Path=/; HttpOnly"}
    sink = await a_sink(splunk.url, Sleeps())
    await sink.deliver(batch())
    assert splunk.cookies == ["", "AWSALB=node-1"]
    await sink.close()


async def test_a_connection_that_closes_after_each_reply_has_no_acknowledgement(splunk: Splunk) -> None:
    splunk.headers = {"Connection": "close"}
    sink = await a_sink(splunk.url, Sleeps())
    with pytest.raises(RetryLater, match="closed the connection before it acknowledged"):
        await sink.deliver(batch())
    await sink.close()


async def test_an_idle_connection_that_was_closed_is_no_failure(splunk: Splunk) -> None:
    with closing(Balancer(splunk)) as balancer:
        sink = await a_sink(balancer.url, Sleeps())
        await sink.deliver(batch("1\n"))
        balancer.hang_up()
        await sink.deliver(batch("2\n", 2))
        await sink.close()
    assert texts(splunk) == ["1", "2"]
    assert len(splunk.channels) == 2


# -- refusals ------------------------------------------------------------------------------------------------------


async def test_the_event_that_is_named_is_rejected_and_the_others_are_sent_again(splunk: Splunk) -> None:
    splunk.invalid = {"bad", "worse"}
    sink = await a_sink(splunk.url, Sleeps())
    outcome = await sink.deliver(batch("1\nbad\n\n3\nworse\n5\n"))
    assert [index for index, _ in outcome.rejected] == [1, 4]
    assert outcome.rejected[0][1] == "the receiver responded with 400: Invalid data format (code 6)"
    assert texts(splunk) == ["1", " ", "3", "5"]
    await sink.close()


async def test_a_receiver_that_refuses_every_event_gets_none_rejected(splunk: Splunk) -> None:
    splunk.invalid = {"1", "2", "3"}
    sink = await a_sink(splunk.url, Sleeps())
    with pytest.raises(BatchRefused) as refused:
        await sink.deliver(batch())
    assert refused.value.event_reasons is not None
    assert len(refused.value.event_reasons) == 3
    splunk.invalid = set(map(str, range(100)))
    with pytest.raises(BatchRefused) as refused:
        await sink.deliver(batch("".join(f"{number}\n" for number in range(100))))
    assert refused.value.event_reasons is None, "too many to name: halves of the batch are sent"
    await sink.close()


@pytest.mark.parametrize(
    ("status", "reply", "sentence"),
    [
        (400, {"code": 7, "text": "Incorrect index", "invalid-event-number": 0}, "does the index exist"),
        (400, {"code": 11, "text": "Invalid data channel"}, "the channel is not accepted"),
        (400, {"code": 14, "text": "ACK is disabled"}, "enable it there, or set LOGSHIPPER_SINK_ACK=auto"),
        (400, {"code": 16, "text": "Query string authorization is not enabled"}, "no token in the address"),
        (403, {"code": 4, "text": "Invalid token"}, "responded with 403: Invalid token"),
        (403, {"code": 1, "text": "Token disabled"}, "responded with 403: Token disabled"),
        (401, {"code": 3, "text": "Invalid authorization"}, "responded with 401: Invalid authorization"),
        (503, {"code": 9, "text": "Server is busy"}, "responded with 503: Server is busy"),
        (429, {"code": 25, "text": "Ack channels are at capacity"}, "responded with 429"),
        (500, {"code": 8, "text": "Internal server error"}, "responded with 500"),
    ],
)
async def test_what_people_or_time_repair_is_retried(
    splunk: Splunk, status: int, reply: dict[str, Any], sentence: str
) -> None:
    splunk.mode, splunk.error_body = str(status), json.dumps(reply).encode()
    async with opened(splunk.url, sink_token=TOKEN) as sink:
        with pytest.raises(RetryLater, match=sentence):
            await sink.deliver(batch())


@pytest.mark.parametrize("code", [5, 6, 12, 13, 15])
async def test_a_400_that_names_no_event_of_the_request_halves_the_batch(splunk: Splunk, code: int) -> None:
    splunk.mode = "400"
    async with opened(splunk.url, sink_token=TOKEN) as sink:
        for number in (None, 3, -1, True, "0"):
            splunk.error_body = json.dumps({"code": code, "text": "no", "invalid-event-number": number}).encode()
            with pytest.raises(BatchRefused):
                await sink.deliver(batch())


@pytest.mark.parametrize("body", [b"", b"<html>Log in</html>", b"[]", b'{"code":"0"}', b'{"code":8}', b'{"code":true}'])
async def test_a_200_of_somebody_else_is_no_acceptance(splunk: Splunk, body: bytes) -> None:
    splunk.take = lambda *_: (200, body)  # type: ignore[method-assign] # it is no collector
    async with opened(splunk.url, sink_token=TOKEN) as sink:
        with pytest.raises(RetryLater, match="responded with 200, but not as Splunk's event collector does"):
            await sink.deliver(batch())

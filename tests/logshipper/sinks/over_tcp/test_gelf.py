"""GELF: messages by the letter, and the sinks over TCP and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, RetryLater
from sidecars.logshipper.sinks.encodings.messages.gelf_messages import encode
from tests.growth import Case, require_linear
from tests.logshipper.opened_sinks import an_authority, opened, until
from tests.logshipper.receivers.gelf import GelfHttp, GelfTcp, Message, parse
from tests.logshipper.strategies import batches, with_columns
from tests.logshipper.support import a_batch, a_chunk
from tests.support import examples

NOW = 1_790_000_000_123_456_789
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b.c", "\u00fc", "id", ""]), inner)
    ),
    max_leaves=6,
)


def batch(text: str = "1\n2\n3\n", start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start), pod="shop-1", team="shop")


def message_of(fields: dict[str, Any]) -> Message:
    return parse(encode(with_columns(batch("text\n"), fields=[fields]), "h")[0])


# -- messages ------------------------------------------------------------------------------------------------------


@examples(40)
@given(batches())
def test_every_event_is_a_message_by_the_letter_of_the_specification(one: Batch) -> None:
    messages = list(map(parse, encode(one, "host")))
    bodies = [body for each in one.records for body in each.bodies]
    assert [message.full or message.short for message in messages] == [
        body if body.strip() or "\n" in body else " " for body in bodies
    ]
    assert [message.fields["event_id"] for message in messages] == list(one.ids())
    times = [time for each in one.records for time in each.times or [None] * len(each.bodies)]
    assert [message.timestamp * 10**9 for message in messages] == [one.at if time is None else time for time in times]
    levels = [level for each in one.records for level in each.levels or [None] * len(each.bodies)]
    assert [message.level for message in messages] == [severity.of(level or "").syslog for level in levels]
    assert {message.host for message in messages} <= {"shop-1", "host"}


@examples(60)
@given(
    st.dictionaries(
        st.sampled_from(["message", "id", "user", "a b", "a_b", "\u00fc"])
        | st.text(st.characters(exclude_categories=["Cs"])),
        _JSON,
        min_size=1,
    )
)
def test_any_fields_become_names_and_values_that_graylog_accepts(fields: dict[str, Any]) -> None:
    """`parse` checks each name and value. No leaf of the fields is missing."""

    def leaves(value: Any, depth: int = 1) -> int:
        if isinstance(value, dict) and value and depth < 5:
            return sum(leaves(each, depth + 1) for each in value.values())
        return value is not None

    message = message_of(dict(fields))
    text = fields.get("message")
    of_fields = sum(leaves(value) for name, value in fields.items() if name != "message" or text is None)
    assert len(message.fields) == len({"event_id", "file", "team"}) + of_fields


def test_reserved_names_illegal_ones_and_objects_are_made_fit() -> None:
    fields = {"message": "hello", "id": 7, "source": "x", "event_id": "theirs", "a b": 1, "a_b": 2, "ok": True}
    fields |= {"user": {"name": "eve", "tags": ["a"], "none": None, "empty": {}}}
    message = message_of(fields)
    assert message.short == "hello"
    assert message.fields == {
        "event_id": "f00d-0",
        "file": "/logs/a%d.log",
        "team": "shop",
        "id_": 7,
        "source_": "x",
        "event_id_": "theirs",
        "a_b": 1,
        "a_b_": 2,
        "ok": "true",
        "user_name": "eve",
        "user_tags": '["a"]',
        "user_empty": "{}",
    }


def test_a_trace_is_the_full_message_and_its_first_line_the_short_one() -> None:
    trace = "java.lang.Error\n\tat a.b(C.java:1)"
    (message,) = map(parse, encode(with_columns(batch("1\n"), bodies=[trace], times=[NOW], levels=["ERROR"]), "h"))
    assert (message.short, message.full) == ("java.lang.Error", trace)
    assert (message.timestamp, message.level) == (Decimal("1790000000.123456789"), 3)
    assert message.fields["level_name"] == "ERROR"


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        lambda n: {chr(0xA1 + number % 5000) + chr(0xA1 + number // 5000): "x" for number in range(n)},
        lambda n: {f"name {number}": {"a": 1} for number in range(n)},
    ],
)
def test_fields_become_names_in_linear_time(fields: Callable[[int], dict[str, Any]]) -> None:
    def make(n: int) -> Batch:
        return with_columns(batch("1\n"), fields=[fields(n)])

    require_linear(Case("fields", make, lambda one: encode(one, "host"), 10_000))


# -- over TCP ------------------------------------------------------------------------------------------------------


async def test_messages_go_over_one_connection_each_with_a_nul_behind_it(tmp_path: Path) -> None:
    ca, context = an_authority(tmp_path)
    for receiver in (GelfTcp(), GelfTcp(context)):
        settings = {"sink_ca": ca} if receiver.url.startswith("gelf+tls") else {}
        with closing(receiver):
            async with opened(receiver.url, **settings) as sink:
                await sink.deliver(batch("1\n\0\n"))
                await sink.deliver(batch("3\n", 4))
                await until(lambda: len(receiver.events) == 3)  # noqa: B023 - at once
            assert [message.text for message in receiver.events] == ["1", "\0", "3"]
            assert receiver.connections == 1


async def test_bytes_that_the_receivers_kernel_has_not_acknowledged_are_no_yes() -> None:
    with closing(GelfTcp()) as receiver:
        receiver.mode = "deaf"
        async with opened(receiver.url, request_timeout="300ms") as sink:
            with pytest.raises(RetryLater, match=r"not acknowledged within 0\.3 s"):
                await sink.deliver(batch("x" * 8_000_000 + "\n"))


# -- over HTTP -----------------------------------------------------------------------------------------------------


async def test_each_event_is_a_request_and_each_202_its_acceptance() -> None:
    with closing(GelfHttp()) as receiver:
        async with opened(receiver.url, compression="gzip") as sink:
            outcome = await sink.deliver(batch("".join(f"{number}\n" for number in range(50))))
        assert (list(outcome.retry), list(outcome.rejected)) == ([], [])
        assert sorted(int(message.text) for message in receiver.events) == list(range(50))
        assert len(receiver.requests) == 50


async def test_in_bulk_a_request_has_several_messages_and_64_kib_at_most() -> None:
    with closing(GelfHttp()) as receiver:
        receiver.in_bulk = True
        async with opened(receiver.url, sink_bulk="true") as sink:
            await sink.deliver(batch("".join(f"{number} {'x' * 500}\n" for number in range(500))))
            receiver.refused = {"bad"}
            with pytest.raises(BatchRefused, match="responded with 400: invalid"):
                await sink.deliver(batch("1\nbad\n"))
        assert len(receiver.events) == 500
        assert len(receiver.requests) < 20
        assert 32_000 < receiver.largest <= 64 * 1024


async def test_a_refused_event_is_rejected_if_another_was_accepted() -> None:
    with closing(GelfHttp()) as receiver:
        receiver.refused = {"bad"}
        async with opened(receiver.url) as sink:
            outcome = await sink.deliver(batch("1\nbad\n3\n"))
            assert list(outcome.rejected) == [(1, "the receiver responded with 400: invalid")]
            with pytest.raises(BatchRefused) as refused:
                await sink.deliver(batch("bad\nbad\n"))
            assert refused.value.event_reasons == ["the receiver responded with 400: invalid"] * 2
        assert sorted(message.text for message in receiver.events) == ["1", "3"]


async def test_what_was_accepted_before_a_failure_is_not_sent_again() -> None:
    with closing(GelfHttp()) as receiver:
        take = receiver.take

        def failing(path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
            return take(path, headers, body) if json.loads(body)["short_message"] < "30" else (503, b"")

        receiver.take = failing  # type: ignore[method-assign] # a receiver that is full at some point
        async with opened(receiver.url) as sink:
            one = batch("".join(f"{number}\n" for number in range(10, 60)))
            outcome = await sink.deliver(one)
            assert outcome.retry_reason == "the receiver responded with 503"
            assert set(range(50)) - set(outcome.retry) == {int(message.text) - 10 for message in receiver.events}
            with pytest.raises(RetryLater, match="responded with 503"):
                await sink.deliver(one.select(range(30, 50)))

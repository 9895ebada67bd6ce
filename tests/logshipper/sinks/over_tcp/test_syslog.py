"""The sinks syslog+tcp:// and syslog+tls://: messages by the letter, and acceptance without a response."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.encodings.messages.syslog_frames import encode_frames
from tests.logshipper.opened_sinks import an_authority, opened, until
from tests.logshipper.receivers.syslog import Syslog, parse, split
from tests.logshipper.strategies import batches, with_columns
from tests.logshipper.support import a_batch, a_chunk

NOW = 1_790_000_000_123_456_789


@pytest.fixture
def syslog() -> Iterator[Syslog]:
    running = Syslog()
    yield running
    running.close()


def batch(text: str = "1\n2\n3\n", start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start), pod="shop-1", app="shop")


# -- messages ------------------------------------------------------------------------------------------------------


@given(batches())
def test_every_event_is_a_message_by_the_letter_of_the_rfc(batch: Batch) -> None:
    found, rest = split(b"".join(encode_frames(batch, NOW)))
    assert rest == b""
    messages = list(map(parse, found))
    assert [message.text for message in messages] == [body for one in batch.records for body in one.bodies]
    assert [message.data["id"] for message in messages] == list(batch.ids())
    levels = [level or "" for one in batch.records for level in one.levels or [""] * len(one.bodies)]
    assert [message.severity for message in messages] == [severity.of(level).syslog for level in levels]
    for message in messages:
        assert message.facility == 1
        assert message.data["file"] == "/logs/a%d.log"
        assert message.host in ("-", "shop-1")
        assert message.app in ("logshipper", 'sh"o\\p%d_')


def test_the_time_has_no_more_than_six_decimals() -> None:
    message = parse(split(b"".join(encode_frames(with_columns(batch("1\n"), times=[NOW]), 0)))[0][0])
    assert message.time == datetime(2026, 9, 21, 14, 13, 20, 123456, UTC)


def test_parameters_are_escaped_and_a_piece_is_marked() -> None:
    half = a_batch(a_chunk(b"half", partial=True), **{'na me"': 'a "b" \\ ] c'})
    message = parse(split(b"".join(encode_frames(half, NOW)))[0][0])
    assert message.data == {
        "id": "f00d-0+4",
        "file": "/logs/a%d.log",
        "na_me_": 'a "b" \\ ] c',
        "partial": "true",
    }


def test_an_event_of_several_lines_is_one_message() -> None:
    trace = with_columns(batch("1\n"), bodies=["java.lang.Error\n\tat a.b(C.java:1)"])
    assert parse(split(b"".join(encode_frames(trace, NOW)))[0][0]).text == "java.lang.Error\n\tat a.b(C.java:1)"


# -- acceptance ----------------------------------------------------------------------------------------------------


async def test_batches_go_over_one_connection(syslog: Syslog) -> None:
    async with opened(syslog.url) as sink:
        await sink.deliver(batch("1\n2\n"))
        await sink.deliver(batch("3\n", 4))
        await until(lambda: len(syslog.messages) == 3)
    assert [message.text for message in syslog.messages] == ["1", "2", "3"]
    assert {(message.host, message.app) for message in syslog.messages} == {("shop-1", "shop")}
    assert syslog.connections == 1


async def test_bytes_that_the_receivers_kernel_has_not_acknowledged_are_no_yes(syslog: Syslog) -> None:
    syslog.mode = "deaf"
    async with opened(syslog.url, request_timeout="300ms") as sink:
        with pytest.raises(RetryLater, match=r"not acknowledged within 0\.3 s"):
            await sink.deliver(batch("x" * 8_000_000 + "\n"))


async def test_a_receiver_that_hangs_up_in_the_middle_is_no_yes(syslog: Syslog) -> None:
    syslog.mode = "cut:100000"
    async with opened(syslog.url) as sink:
        with pytest.raises(RetryLater, match="the connection broke in the middle of a batch"):
            await sink.deliver(batch("x" * 8_000_000 + "\n"))
        syslog.mode = "ok"
        await sink.deliver(batch("again\n"))
        await until(lambda: len(syslog.messages) == 1)


async def test_a_connection_that_was_closed_meanwhile_is_made_anew(syslog: Syslog) -> None:
    async with opened(syslog.url) as sink:
        await sink.deliver(batch("1\n"))
        await until(lambda: len(syslog.messages) == 1)
        syslog.hang_up()
        await sink.deliver(batch("2\n", 2))
        await until(lambda: len(syslog.messages) == 2)
    assert syslog.connections == 2


async def test_nobody_there_is_tried_again() -> None:
    async with opened("syslog+tcp://127.0.0.1:1") as sink:
        with pytest.raises(RetryLater, match=r"cannot connect to 127\.0\.0\.1:1: Connection refused"):
            await sink.deliver(batch())


async def test_a_receiver_that_never_stops_talking_holds_up_no_batch(syslog: Syslog) -> None:
    syslog.mode = "talkative"
    async with opened(syslog.url) as sink:
        for number in range(20):
            await sink.deliver(batch(f"{number}\n", number * 3))
        await until(lambda: len(syslog.messages) == 20)


# -- TLS -----------------------------------------------------------------------------------------------------------


async def test_over_tls_the_receiver_is_trusted_by_the_authority_that_is_set(tmp_path: Path) -> None:
    ca, context = an_authority(tmp_path)
    syslog = Syslog(context)
    async with opened(syslog.url, sink_ca=ca) as sink:
        await sink.deliver(batch("1\n" * 10_000))
        await sink.deliver(batch("2\n", 20_000))
        await until(lambda: len(syslog.messages) == 10_001)
    async with opened(syslog.url) as sink:
        with pytest.raises(RetryLater, match=r"the certificate of localhost:.* is not accepted"):
            await sink.deliver(batch())
    assert syslog.connections == 1
    syslog.close()

"""The sinks forward:// and forward+tls://: messages, the acknowledgement, and the handshake."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import SettingsError
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.encodings.forward_entries import STRING, map_head
from sidecars.logshipper.sinks.encodings.forward_entries import encode_entries as encode
from sidecars.logshipper.sinks.protocols.forward_handshake import Handshake, Helo, ProtocolFailed
from tests.logshipper.opened_sinks import an_authority, create, opened
from tests.logshipper.posting import served
from tests.logshipper.receivers.forward import Forward, entries
from tests.logshipper.strategies import batches, with_columns
from tests.logshipper.support import a_batch, a_chunk

HANDSHAKE = Handshake("shop-1", "s3cret", "shop", "pass", "00112233445566778899aabbccddeeff")
NOW = 1_790_000_000_123_456_789


@asynccontextmanager
async def receiving(**settings: Any) -> AsyncIterator[Forward]:
    running = Forward(**settings)
    try:
        yield running
    finally:
        running.close()


def batch(text: str = "1\n2\n3\n", start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start), pod="shop-1")


def messages(forward: Forward) -> list[Any]:
    return [event.record["message"] for event in forward.events]


# -- messages ------------------------------------------------------------------------------------------------------


@given(batches())
def test_every_event_is_an_entry_with_the_record_that_other_sinks_get(batch: Batch) -> None:
    found = entries(b"".join(encode(batch, NOW)), batch.events)
    records = [json.loads(line) for line in b"".join(ndjson.encode(batch)).split(b"\n")[:-1]]
    for record in records:
        record.pop("time", None)
    assert [record for _, record in found] == records
    times = [time for one in batch.records for time in one.times or [None] * len(one.bodies)]
    expected = [NOW if time is None else min(time // 10**9, 2**32 - 1) * 10**9 + time % 10**9 for time in times]
    assert [time.nanoseconds for time, _ in found] == expected


@given(st.integers(0, 2**17))
def test_heads_are_those_of_another_library(count: int) -> None:
    assert STRING[count] == msgpack.packb("x" * count)[: len(STRING[count])]
    assert map_head(count) == msgpack.Packer().pack_map_header(count)


def test_fields_are_members_of_the_record() -> None:
    fields = {f"field{number}": [number, None, {"deep": 1.5}] for number in range(20)}
    ((_, record),) = entries(b"".join(encode(with_columns(batch("1\n"), fields=[fields]), NOW)), 1)
    assert record == {"id": "f00d-0", "file": "/logs/a%d.log", "pod": "shop-1", **fields}


@pytest.mark.parametrize("coding", ["none", "gzip", "zstd"])
async def test_a_batch_is_one_message_with_its_tag_and_chunk(coding: str) -> None:
    async with receiving() as forward:
        async with opened(f"{forward.url}/shop.app", compression=coding) as sink:
            await sink.deliver(batch())
            await sink.deliver(batch("4\n", 6))
        assert messages(forward) == ["1", "2", "3", "4"]
        assert {event.tag for event in forward.events} == {"shop.app"}
        assert [option["size"] for option in forward.options] == [3, 1]
        assert forward.connections == 1


async def test_the_tag_is_logshipper_unless_the_url_has_one() -> None:
    async with receiving() as forward, opened(forward.url) as sink:
        await sink.deliver(batch())
        assert {event.tag for event in forward.events} == {"logshipper"}


@pytest.mark.parametrize("url", ["forward://h/a/b", "forward://h/a?b=c", "forward://h/\u00e4", "forward://"])
def test_a_tag_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^LOGSHIPPER_SINK=.*expected"):
        create(url)


# -- the acknowledgement -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("silent", r"no acknowledgement within 0\.3 s"),
        ("other", "the receiver's response is not an acknowledgement of the chunk"),
        ("close", "the receiver closed the connection without an acknowledgement"),
        ("garbage", "the receiver's response is not an acknowledgement of the chunk"),
    ],
)
async def test_without_its_acknowledgement_a_batch_is_sent_again_with_the_same_chunk(mode: str, reason: str) -> None:
    async with receiving() as forward, opened(forward.url, request_timeout="300ms") as sink:
        forward.mode = mode
        with pytest.raises(RetryLater, match=reason):
            await sink.deliver(batch())
        forward.mode = "ok"
        await sink.deliver(batch())
        first, second = forward.options
        assert first["chunk"] == second["chunk"]
        assert forward.connections == 2


async def test_a_connection_that_was_closed_meanwhile_costs_no_retry() -> None:
    async with receiving() as forward, opened(forward.url) as sink:
        await sink.deliver(batch())
        forward.hang_up()
        await sink.deliver(batch("4\n", 6))
        assert messages(forward) == ["1", "2", "3", "4"]


async def test_batches_on_their_way_together_have_a_connection_each() -> None:
    async with receiving() as forward, opened(forward.url) as sink:
        await asyncio.gather(*(sink.deliver(batch(f"{number}\n", number * 2)) for number in range(5)))
        assert sorted(messages(forward)) == ["0", "1", "2", "3", "4"]


async def test_nobody_there_is_tried_again() -> None:
    async with opened("forward://127.0.0.1:1") as sink:
        with pytest.raises(RetryLater, match=r"cannot connect to 127\.0\.0\.1:1: Connection refused"):
            await sink.deliver(batch())


# -- the handshake -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("like", ["fluentd", "fluent-bit"])
@pytest.mark.parametrize("users", [{}, {"shop": "pass"}])
async def test_with_the_shared_key_and_a_user_the_receiver_lets_us_in(like: str, users: dict[str, str]) -> None:
    environ = {"POD_NAME": "shop-1"}
    async with (
        receiving(shared_key="s3cret", users=users, like=like) as forward,
        opened(forward.url, environ, sink_token="s3cret", sink_username="shop", sink_password="pass") as sink,
    ):
        await sink.deliver(batch())
        await sink.deliver(batch("4\n", 6))
        assert messages(forward) == ["1", "2", "3", "4"]
        assert forward.clients == ["shop-1"]
        assert len(bytes.fromhex(forward.salts[0])) == 16


async def test_a_salt_is_used_once() -> None:
    async with receiving(shared_key="s3cret") as forward, opened(forward.url, sink_token="s3cret") as sink:
        await sink.deliver(batch())
        forward.hang_up()
        await sink.deliver(batch("4\n", 6))
        assert len(set(forward.salts)) == 2


async def test_a_connection_that_the_receiver_will_not_keep_is_not_used_again() -> None:
    async with (
        receiving(shared_key="s3cret", keepalive=False) as forward,
        opened(forward.url, sink_token="s3cret") as sink,
    ):
        await sink.deliver(batch())
        await sink.deliver(batch("4\n", 6))
        assert messages(forward) == ["1", "2", "3", "4"]
        assert forward.connections == 2


@pytest.mark.parametrize("proves", ["key", "echo"])
async def test_a_receiver_that_has_our_own_name_proves_nothing(proves: str) -> None:
    """The digest of its PONG would be that of our PING, which any receiver can send back."""
    async with (
        receiving(shared_key="s3cret", name="shop-1", proves=proves) as forward,
        opened(forward.url, {"POD_NAME": "shop-1"}, sink_token="s3cret") as sink,
    ):
        with pytest.raises(RetryLater, match=r"the receiver calls itself shop-1, as we do, .* another self_hostname"):
            await sink.deliver(batch())
        assert forward.events == []


@pytest.mark.parametrize(
    ("receiver", "settings", "reason"),
    [
        ({"shared_key": "s3cret"}, {"sink_token": "other"}, "the receiver refuses us: shared_key mismatch"),
        (
            {"shared_key": "s3cret", "like": "fluent-bit"},
            {"sink_token": "other"},
            "the receiver closed the connection at our PING: is LOGSHIPPER_SINK_TOKEN its shared key",
        ),
        ({"shared_key": "s3cret"}, {}, "the receiver asks for a shared key: set LOGSHIPPER_SINK_TOKEN"),
        (
            {"shared_key": "s3cret", "users": {"shop": "pass"}},
            {"sink_token": "s3cret", "sink_username": "shop", "sink_password": "no"},
            "the receiver refuses us: username/password mismatch",
        ),
        ({"shared_key": "s3cret", "proves": "nothing"}, {"sink_token": "s3cret"}, "does not have the shared key"),
        ({}, {"sink_token": "s3cret", "request_timeout": "300ms"}, r"no acknowledgement within 0\.3 s"),
    ],
)
async def test_without_it_nothing_is_sent(receiver: dict[str, Any], settings: dict[str, str], reason: str) -> None:
    async with receiving(**receiver) as forward, opened(forward.url, **settings) as sink:
        with pytest.raises(RetryLater, match=reason):
            await sink.deliver(batch())
        assert forward.events == []


def test_a_user_without_a_shared_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="LOGSHIPPER_SINK_USERNAME is set, but LOGSHIPPER_SINK_TOKEN is not"):
        create("forward://localhost", sink_username="shop", sink_password="pass")


async def test_over_tls_the_receiver_is_trusted_by_the_authority_that_is_set(tmp_path: Path) -> None:
    ca, context = an_authority(tmp_path)
    async with receiving(context=context) as forward:
        async with opened(forward.url, sink_ca=ca) as sink:
            await sink.deliver(batch("x\n" * 20_000))
        async with opened(forward.url) as sink:
            with pytest.raises(RetryLater, match=r"the certificate of localhost:.* is not accepted"):
                await sink.deliver(batch())
        assert len(forward.events) == 20_000


# -- hostile responses ---------------------------------------------------------------------------------------------

SAID = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=80)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from([b"nonce", b"auth", b"ack"]), inner),
    max_leaves=12,
)


@given(SAID | st.tuples(st.just(b"HELO"), SAID).map(list))
def test_any_helo_is_answered_or_refused_with_a_sentence(helo: Any) -> None:
    with contextlib.suppress(ProtocolFailed):
        ping = msgpack.unpackb(HANDSHAKE.ping(HANDSHAKE.helo(helo)))
        assert [type(member) for member in ping] == [str] * 6


@given(SAID | st.lists(SAID, max_size=5).map(lambda rest: [b"PONG", *rest]), st.binary(max_size=16))
def test_no_pong_without_the_key_is_taken(pong: Any, nonce: bytes) -> None:
    with pytest.raises(ProtocolFailed) as error:
        HANDSHAKE.check(pong, Helo(nonce, b"", keepalive=True))
    assert error.value.reason.isprintable()


@pytest.mark.parametrize(
    "said",
    [
        b"\x91" * 5000,
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x81\x90\xc0",
        b"\xd6\xff\xff\xff\xff\xff",
        b"\xd7\xff" + b"\xff" * 8,
        b"\x91" * 500 + b"\xc0",
        b"\x82\xa3ack\x80\xa3ack\xc0",
    ],
    ids=repr,
)
async def test_whatever_bytes_a_receiver_says_the_batch_is_tried_again(said: bytes) -> None:
    """Responses: deep nesting, lengths of gigabytes, undefined bytes, keys that are lists, times out of range."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(said)
        writer.write_eof()
        await reader.read()

    async with served(serve) as address, opened(f"forward://{address}") as sink:
        with pytest.raises(RetryLater):
            await sink.deliver(batch())

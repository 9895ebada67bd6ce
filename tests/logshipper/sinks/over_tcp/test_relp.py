"""The sinks relp:// and relp+tls://: a response for every message, and none that is taken for another message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.encodings.messages.syslog_frames import encode_frames, encode_messages
from sidecars.logshipper.sinks.over_tcp.relp_session import LAST_NUMBER, RelpSession, SessionFailed
from tests.logshipper.opened_sinks import an_authority, opened, until
from tests.logshipper.receivers.relp import Relp
from tests.logshipper.receivers.syslog import parse, split
from tests.logshipper.strategies import batches
from tests.logshipper.support import a_batch, a_chunk
from tests.support import examples


@pytest.fixture
def relp() -> Iterator[Relp]:
    with closing(Relp()) as running:
        yield running


def batch(text: str = "1\n2\n3\n", start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start), pod="shop-1", app="shop")


def texts(receiver: Relp) -> list[str]:
    return [message.text for message in receiver.messages]


def a_session() -> RelpSession:
    session = RelpSession()
    offers = b"200 OK\nrelp_version=0\ncommands=syslog"
    session.receive(b"1 rsp %d %b\n" % (len(offers), offers))
    assert session.is_open
    return session


# -- messages ------------------------------------------------------------------------------------------------------


@examples(40)
@given(batches(), st.integers(1024, 30_000))
def test_messages_are_those_of_syslog_and_long_events_are_split(one: Batch, largest: int) -> None:
    messages = encode_messages(one, 0, largest)
    found, rest = split(b"".join(messages.frames))
    assert rest == b""
    assert all(len(frame) <= largest for frame in found)
    parsed = list(map(parse, found))
    whole: dict[int, str] = {}
    for message, event in zip(parsed, messages.events, strict=True):
        whole[event] = whole.get(event, "") + message.text
    assert list(whole.values()) == [body for each in one.records for body in each.bodies]
    ids = list(one.ids())
    assert [message.data["id"] for message in parsed] == [ids[event] for event in messages.events]
    if all(len(frame) <= largest for frame in split(b"".join(encode_frames(one, 0)))[0]):
        assert b"".join(messages.frames) == b"".join(encode_frames(one, 0))


def test_the_parts_of_an_event_are_numbered_and_no_character_is_torn() -> None:
    messages = encode_messages(batch("\U0001f600" * 1000 + "\n2\n"), 0, 1024)
    parsed = [parse(frame) for frame in split(b"".join(messages.frames))[0]]
    count = len(parsed) - 1
    assert [message.data.get("part") for message in parsed] == [f"{n}/{count}" for n in range(1, count + 1)] + [None]
    assert "".join(message.text for message in parsed[:-1]) == "\U0001f600" * 1000


# -- the session ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 8)), st.lists(st.integers(1, 40)))
def test_numbers_rise_and_a_response_counts_for_its_own_message(answered: list[int], cuts: list[int]) -> None:
    """Responses in any order and in any pieces: those accepted are those that were responded to, once each."""
    session = a_session()
    session.send([b"1 x"] * 8)
    order = [1 + number for number in dict.fromkeys(answered)]
    data = b"".join(b"%d rsp 6 200 OK\n" % number for number in order)
    found, at = [], 0
    for cut in [*cuts, len(data)]:
        found += session.receive(data[at : at + cut])
        at += cut
    found += session.receive(data[at:])
    assert found == order
    assert session.awaited == 8 - len(order)


@pytest.mark.parametrize(
    "data",
    [
        b"5 rsp 6 200 OK\n",  # never sent
        b"2 rsp 6 200 OK\n2 rsp 6 200 OK\n",  # twice
        b"1 rsp 6 200 OK\n",  # that of the opening, again
        b"0 rsp 6 200 OK\n",
        b"2 rsp 5 200 OK\n",
        b"2 rsp 6\n200 OK\n",
        b"2 rsp 2 OK\n",
        b"2 rsp 999999 200",
        b"2 syslog 1 x\n",
        b"HTTP/1.1 200 OK\r\n",
        b"\n",
        b"x" * 100,
    ],
)
def test_what_is_no_response_to_a_message_ends_the_session(data: bytes) -> None:
    session = a_session()
    session.send([b"1 x", b"1 y"])
    with pytest.raises(SessionFailed):
        session.receive(data)


def test_a_session_has_an_end_before_its_numbers_begin_again() -> None:
    session = a_session()
    session.next = LAST_NUMBER - 10
    assert session.has_room(9)
    assert not session.has_room(10)


# -- acceptance ----------------------------------------------------------------------------------------------------


async def test_batches_go_over_one_connection_which_ends_politely(relp: Relp) -> None:
    async with opened(relp.url) as sink:
        outcome = await sink.deliver(batch("".join(f"{number}\n" for number in range(3000))))
        assert not outcome.retry
        await sink.deliver(batch("last\n", 90_000))
    assert texts(relp) == [*map(str, range(3000)), "last"]
    assert {(message.host, message.app) for message in relp.messages} == {("shop-1", "shop")}
    assert relp.connections == 1
    await until(lambda: relp.farewells == 1)


async def test_what_was_accepted_before_the_connection_broke_is_not_sent_again(relp: Relp) -> None:
    relp.mode = "cut:2"
    async with opened(relp.url) as sink:
        outcome = await sink.deliver(batch("1\n2\n3\n4\n"))
        assert list(outcome.retry) == [2, 3]
        assert "closed the connection without an acknowledgement" in outcome.retry_reason
        relp.mode = "ok"
        assert not (await sink.deliver(batch("1\n2\n3\n4\n").select(outcome.retry))).retry
    assert texts(relp) == ["1", "2", "3", "4"]


async def test_an_event_in_parts_is_accepted_when_all_its_parts_are(relp: Relp) -> None:
    relp.mode = "cut:2"
    async with opened(relp.url, sink_max_message="1KiB") as sink:
        outcome = await sink.deliver(batch(f"1\n{'x' * 2000}\n"))
        assert list(outcome.retry) == [1]
        relp.mode = "ok"
        await sink.deliver(batch(f"{'y' * 20_000}\n"))
    assert relp.longest <= 1024


async def test_a_message_that_is_not_accepted_is_sent_again_alone(relp: Relp) -> None:
    relp.mode = "busy"
    async with opened(relp.url) as sink:
        outcome = await sink.deliver(batch("1\nbusy\n3\n"))
        assert list(outcome.retry) == [1]
        assert outcome.retry_reason == "the receiver did not accept a message: 500 busy"
        assert not (await sink.deliver(batch("4\n"))).retry


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("silent", "not every message was acknowledged within 2 s"),
        ("deaf", "not every message was acknowledged within 2 s"),
        ("other", "responded to a message that it was not sent"),
        ("garbage", "does not speak RELP"),
        ("cut:0", "closed the connection without an acknowledgement|the connection broke: Connection reset by peer"),
    ],
)
async def test_without_a_proper_response_nothing_is_accepted(relp: Relp, mode: str, sentence: str) -> None:
    relp.mode = mode
    async with opened(relp.url, request_timeout="2s" if "within" in sentence else "60s") as sink:
        with pytest.raises(RetryLater, match=sentence):
            await sink.deliver(batch())
        relp.mode = "ok"
        assert not (await sink.deliver(batch())).retry


async def test_a_receiver_without_syslog_or_with_a_refusal_is_told(relp: Relp) -> None:
    relp.commands = b"starttls"
    async with opened(relp.url) as sink:
        with pytest.raises(RetryLater, match="takes no syslog messages over RELP"):
            await sink.deliver(batch())
        relp.open_code = b"500 too many sessions"
        with pytest.raises(RetryLater, match="refuses the session: 500 too many sessions"):
            await sink.deliver(batch())


async def test_a_session_that_the_receiver_has_ended_is_not_used_again(relp: Relp) -> None:
    relp.mode = "ends"
    async with opened(relp.url) as sink:
        await sink.deliver(batch("1\n"))
        await sink.deliver(batch("2\n", 2))
    assert (texts(relp), relp.connections) == (["1", "2"], 2)


async def test_an_idle_connection_that_was_closed_is_no_failure(relp: Relp) -> None:
    async with opened(relp.url) as sink:
        await sink.deliver(batch("1\n"))
        relp.hang_up()
        await sink.deliver(batch("2\n", 2))
    assert texts(relp) == ["1", "2"]


async def test_over_tls_the_receiver_is_trusted_by_the_authority_that_is_set(tmp_path: Path) -> None:
    ca, context = an_authority(tmp_path)
    with closing(Relp(context)) as relp:
        async with opened(relp.url, sink_ca=ca) as sink:
            await sink.deliver(batch("1\n" * 5000))
            await until(lambda: len(relp.messages) == 5000)
        async with opened(relp.url) as sink:
            with pytest.raises(RetryLater, match=r"the certificate of localhost:.* is not accepted"):
                await sink.deliver(batch())

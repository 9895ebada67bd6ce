"""The sink nats:// with servers that a test writes: whatever they say, no event is accepted without its own yes."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.over_tcp.nats_session import NatsSession, SessionFailed
from tests.logshipper.opened_sinks import opened
from tests.logshipper.receivers.stream import Stream
from tests.logshipper.support import a_batch, a_chunk

INFO = b'INFO {"server_id":"x","max_payload":1048576,"headers":true}\r\n'
_PUBLICATION = re.compile(rb"HPUB \S+ (\S+) (\d+) (\d+)\r\n")


def batch(text: str = "1\n2\n3\n", start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start))


class Nats(Stream):
    """A server that says `hello`, and lets `answer` answer the bytes that it gets."""

    def __init__(self, hello: bytes, answer: Callable[[bytes], bytes]) -> None:
        self._hello = hello
        self._answer = answer
        super().__init__(None)

    def converse(self, connection: socket.socket) -> None:
        connection.sendall(self._hello)
        while data := connection.recv(65536):
            connection.sendall(self._answer(data))


@contextmanager
def served(hello: bytes, answer: Callable[[bytes], bytes] = lambda _: b"") -> Iterator[str]:
    with closing(Nats(hello, answer)) as server:
        yield f"nats://127.0.0.1:{server.port}/logs"


def acks(data: bytes, reply: dict[str, object], other: int = 0) -> bytes:
    """Return PONG to a greeting, and this reply to each publication, under a number that differs by `other`."""
    found = b"PONG\r\n" if b"PING\r\n" in data else b""
    body = json.dumps(reply).encode()
    for publication in _PUBLICATION.finditer(data):
        inbox, _, number = publication[1].rpartition(b".")
        found += b"MSG %b.%d 1 %d\r\n%b\r\n" % (inbox, int(number) + other, len(body), body)
    return found


STORED: dict[str, object] = {"stream": "LOGS", "seq": 7}


async def test_each_event_is_accepted_by_the_acknowledgement_of_its_own_number() -> None:
    with served(INFO, lambda data: acks(data, STORED)) as url:
        async with opened(url) as sink:
            for start in (0, 6):
                outcome = await sink.deliver(batch(start=start))
                assert (list(outcome.retry), list(outcome.rejected)) == ([], [])


@pytest.mark.parametrize(
    ("hello", "answer", "sentence"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", lambda _: b"", "does not speak NATS"),
        (b"INFO {}\r\n", lambda _: b"", "does not speak NATS"),
        (b"x" * 200_000, lambda _: b"", "does not speak NATS"),
        (INFO[:20], lambda _: b"", r"not every message was acknowledged within 0\.3 s"),
        (INFO + b"PING\r\n" * 100_000, lambda _: b"", r"not every message was acknowledged within 0\.3 s"),
        (INFO, lambda data: b"PING\r\n" * 1000 + acks(data, STORED)[:40], "not every message|does not speak"),
        (INFO, lambda data: acks(data, STORED, 1), "acknowledged something that it was not sent"),
        (INFO, lambda data: acks(data, STORED) * 2, "acknowledged something that it was not sent"),
        (INFO, lambda data: acks(data, {"stream": "LOGS", "seq": 0}), "not that of a stream"),
        (INFO, lambda data: acks(data, {"seq": 1}), "not that of a stream"),
        (INFO, lambda data: acks(data, {"ok": True}), "not that of a stream"),
        (
            INFO,
            lambda data: acks(data, {**STORED, "error": {"code": 503}}),
            "the stream did not take a message: no text",
        ),
        (INFO, lambda _: b"-ERR 'Permissions Violation'\r\n", "the server refuses us: Permissions Violation"),
        (INFO.replace(b"true", b"false"), lambda _: b"", "supports no headers"),
    ],
)
async def test_what_is_no_acknowledgement_of_an_event_is_no_yes(
    hello: bytes, answer: Callable[[bytes], bytes], sentence: str
) -> None:
    with served(hello, answer) as url:
        async with opened(url, request_timeout="300ms" if "within" in sentence else "60s") as sink:
            with pytest.raises(RetryLater, match=sentence):
                await sink.deliver(batch())


async def test_a_connection_that_the_server_ended_meanwhile_is_no_failure() -> None:
    with closing(Nats(INFO, lambda data: acks(data, STORED))) as server:
        async with opened(f"nats://127.0.0.1:{server.port}/logs") as sink:
            await sink.deliver(batch("1\n"))
            server.hang_up()
            assert not (await sink.deliver(batch("2\n", 2))).retry
        assert server.connections == 2


def test_a_publication_has_the_lengths_of_its_header_and_of_all() -> None:
    session = NatsSession("logs", "_INBOX.f00d")
    assert session.publish([(b"a-1", b"{}")]) == (
        b"HPUB logs _INBOX.f00d.0 30 32\r\nNATS/1.0\r\nNats-Msg-Id: a-1\r\n\r\n{}\r\n"
    )
    assert session.size(b"a-1", b"{}") == 32
    with pytest.raises(SessionFailed):
        session.receive(b"PONG\r\n")  # before its INFO

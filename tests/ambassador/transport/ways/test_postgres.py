"""The beginning of PostgreSQL's protocol, on both sides, in pieces of any size."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.transport.ways.postgres import (
    SSL_REQUEST,
    ClientStart,
    NotPostgres,
    ServerStart,
    error_message,
    fault_of_answer,
)
from tests.ambassador.postgres import GSS_REQUEST, cancel_request, session, startup
from tests.growth import Case, require_linear

SASL = b"R" + struct.pack("!II", 42, 10) + b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
PLAIN_SASL = b"R" + struct.pack("!II", 23, 10) + b"SCRAM-SHA-256\0\0"


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % len(data) for place in places} - {0})
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(st.lists(st.integers(0, 1000)))
def test_what_a_server_sends_arrives_but_for_the_offer_of_channel_binding(places: list[int]) -> None:
    start = ServerStart()
    more = b"D" + struct.pack("!I", 9) + b"hello"
    notice = b"N" + struct.pack("!I", 5004) + 5000 * b"x"
    said = notice + SASL + session(7, 8) + more
    passed = b"".join(start.feed(piece) for piece in cut(said, places))
    assert passed + start.end() == notice + PLAIN_SASL + session(7, 8) + more
    assert (start.key, start.is_over) == (struct.pack("!II", 7, 8), True)


@pytest.mark.parametrize(
    "said",
    [
        b"Z\0\0\0\x05I",
        b"R\0\0\0\x01",
        b"\xff" * 100,
        b"K\xff\xff\xff\xff" + b"x" * 2000,
        b"R\0\0\0\x0c\0\0\0\x05abcd" + b"Z",
        b"K\0\0\0\x0c1234",
        b"\x15\x03\x01",
        b"",
    ],
)
def test_whatever_else_a_server_sends_arrives_as_it_is(said: bytes) -> None:
    start = ServerStart()
    assert start.feed(said) + start.end() == said
    assert start.key == b""


@given(st.binary(max_size=300))
def test_nothing_of_a_server_is_lost_or_changed_without_that_offer(said: bytes) -> None:
    start = ServerStart()
    if b"\0\0\0\x0a" not in said:
        assert b"".join([start.feed(said[:7]), start.feed(said[7:]), start.end()]) == said


@pytest.mark.slow
@pytest.mark.parametrize("message", [b"N\0\0\0\x04", b"R\0\0\0\x08\0\0\0\0"])
def test_messages_before_the_key_are_read_in_linear_time(message: bytes) -> None:
    require_linear(Case("messages", lambda n: message * n, lambda said: ServerStart().feed(said)))


@given(st.lists(st.integers(0, 1000)))
def test_a_client_is_refused_encryption_and_begins_without(places: list[int]) -> None:
    start = ClientStart()
    for request in (GSS_REQUEST, SSL_REQUEST):
        found = [start.feed(piece) for piece in cut(request, places)]
        assert found == [(b"", b"")] * (len(found) - 1) + [(b"N", b"")]
    begun = b"".join(piece if start.is_over else start.feed(piece)[1] for piece in cut(startup(), places))
    assert begun == startup()
    assert (start.is_over, start.cancel_key) == (True, b"")


def test_a_request_to_cancel_has_the_key_of_its_session() -> None:
    start = ClientStart()
    pieces = [start.feed(bytes([byte])) for byte in cancel_request(7, 8)]
    assert b"".join(begun for _, begun in pieces) == cancel_request(7, 8)
    assert start.cancel_key == struct.pack("!II", 7, 8)


@given(st.binary(max_size=40))
def test_a_client_that_says_anything_else_is_passed_on_or_refused(said: bytes) -> None:
    start = ClientStart()
    try:
        answer, begun = start.feed(said) if said else (b"", b"")
    except NotPostgres:
        return
    assert answer in (b"", b"N")
    assert begun in (b"", said)


def test_tls_follows_nothing_but_a_single_s() -> None:
    assert fault_of_answer(b"S") is None
    for answer in (b"N", b"SS", b"S\x16\x03", b"E\0\0\0\x04", b"s", b"HTTP/1.1 400", b"NS"):
        cause = fault_of_answer(answer)
        assert cause is not None
        assert cause.error_type == "tls_protocol_error"


def test_an_error_is_a_message_of_its_own_length() -> None:
    message = error_message("no endpoint …")
    assert struct.unpack("!I", message[1:5])[0] == len(message) - 1
    assert b"Mno endpoint ?\0" in message

"""For any bytes from one side h11 accepts the bytes to the other side: one message, nothing, or a broken connection."""

from __future__ import annotations

import h11
from hypothesis import given
from hypothesis import strategies as st

from tests.ambassador import malformed
from tests.ambassador.exchanges import REQUESTS, RESPONSES, Pair, pieces

CHANGES = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(list(b'\r\n \t:;,0123afgX-_=\x00\x0b\x7f\xff"()/'))), max_size=4
)


def changed(message: bytes, changes: list[tuple[int, int]], *, insert: bool) -> bytes:
    """Return the message with some bytes replaced or inserted."""
    for place, byte in changes:
        at = min(place, len(message))
        message = message[:at] + bytes([byte]) + message[at if insert else at + 1 :]
    return message


def is_sound(oracle: h11.Connection, wire: bytes) -> list[type]:
    """Return the kinds of events that the other side reads. It fails if h11 rejects the bytes."""
    oracle.receive_data(wire)
    seen: list[type] = []
    while True:
        event = oracle.next_event()
        if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
            return seen
        seen.append(type(event))


@given(
    message=st.sampled_from([*REQUESTS, *(message for message, _ in malformed.REQUESTS.values())]),
    changes=CHANGES,
    insert=st.booleans(),
    cuts=st.lists(st.integers(0, 200), max_size=3),
)
def test_whatever_an_app_sends_the_upstream_reads_one_sound_request_or_nothing(
    *, message: bytes, changes: list[tuple[int, int]], insert: bool, cuts: list[int]
) -> None:
    with Pair() as pair:
        for piece in pieces(changed(message, changes, insert=insert), cuts):
            if not (pair.app.closing or pair.app.ended):
                pair.client.data_received(piece)
        seen = is_sound(h11.Connection(h11.SERVER), pair.there.written)
        assert seen.count(h11.Request) <= 1


@given(
    message=st.sampled_from([*RESPONSES, *malformed.RESPONSES.values(), *malformed.BODIES.values()]),
    changes=CHANGES,
    insert=st.booleans(),
    cuts=st.lists(st.integers(0, 200), max_size=3),
)
def test_whatever_an_upstream_sends_the_app_reads_one_sound_response_or_a_break(
    *, message: bytes, changes: list[tuple[int, int]], insert: bool, cuts: list[int]
) -> None:
    with Pair(AMBASSADOR_RETRIES="0") as pair:
        pair.client.data_received(REQUESTS[0])
        for piece in pieces(changed(message, changes, insert=insert), cuts):
            if not pair.there.closing:
                pair.connection.data_received(piece)
        if not pair.there.closing:
            pair.connection.eof_received()
            pair.connection.connection_lost(None)
        oracle = h11.Connection(h11.CLIENT)
        oracle.send(h11.Request(method="GET", target="/a", headers=[("Host", "a")]))
        oracle.send(h11.EndOfMessage())
        seen = is_sound(oracle, pair.app.written)
        assert seen.count(h11.Response) <= 1

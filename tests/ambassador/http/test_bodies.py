from __future__ import annotations

import itertools

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http import bodies
from sidecars.ambassador.http.bodies import (
    ChunkedReader,
    ContentLengthReader,
    UntilCloseReader,
    encode_chunk,
    encode_last_chunk,
)
from sidecars.ambassador.http.head_rules import MAX_HEADERS, MessageRejected
from sidecars.ambassador.http.hpack_lines import trailer_of

BODY = b"5;x=y\r\nhello\r\n00A\r\n0123456789\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\nx-two:2\r\n\r\nGET"


def read(body: ChunkedReader | ContentLengthReader | UntilCloseReader, parts: list[bytes]) -> bytes:
    """Read the body from the parts. Add the bytes behind its end to the surplus, as a connection does."""
    out = b""
    for part in parts:
        if body.done:
            body.surplus += part
        else:
            out += b"".join(body.feed(part))
            while body.unread:
                out += b"".join(body.feed(b""))
    return out


def outcome(parts: list[bytes]) -> tuple[object, ...]:
    body = ChunkedReader(400)
    try:
        content = read(body, parts)
    except MessageRejected as error:
        return ("refused", error.status)
    return (content, body.done, tuple(field.line() for field in body.trailers), body.surplus)


@pytest.mark.parametrize("at", range(len(BODY)))
def test_a_chunked_body_is_the_same_wherever_it_is_split(at: int) -> None:
    expected = (b"hello0123456789!", True, (b"X-Sum: 1\r\n", b"x-two: 2\r\n"), b"GET")
    assert outcome([BODY[:at], BODY[at:]]) == expected


def test_one_call_reads_a_bounded_number_of_chunks() -> None:
    count, body = 10 * bodies._MOST_LINES, ChunkedReader(400)
    pieces = [body.feed(b"2\r\nab\r\n" * count + b"0\r\n\r\nGET")]
    while body.unread:
        assert not body.done
        pieces.append(body.feed(b""))
    assert [len(b"".join(each)) for each in pieces] == [2 * bodies._MOST_LINES] * 10 + [0]
    assert max(map(len, pieces)) <= bodies._MOST_PIECES
    assert body.done
    assert body.surplus == b"GET"


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.lists(st.integers(1, 400), max_size=40))
def test_bytes_that_come_before_a_call_has_read_the_earlier_ones_stand_behind_them(
    sizes: list[int], cuts: list[int]
) -> None:
    """A transport may hand over more although it was told to pause: nothing is lost, and the order is kept."""
    content = b"".join(b"%d" % (number % 10) * size for number, size in enumerate(sizes))
    at, message = 0, b""
    for size in sizes:
        message += b"%x\r\n%b\r\n" % (size, content[at : at + size])
        at += size
    message += b"0\r\nx: y\r\n\r\nGET"
    edges = [0, *sorted({min(cut, len(message)) for cut in cuts}), len(message)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "_MOST_LINES", 3)
        body, found = ChunkedReader(400), b""
        for begin, end in itertools.pairwise(edges):
            if body.done:
                body.surplus += message[begin:end]
            else:
                found += b"".join(body.feed(message[begin:end]))
        while body.unread:
            found += b"".join(body.feed(b""))
    assert (found, body.done, body.surplus) == (content, True, b"GET")
    assert [field.line() for field in body.trailers] == [b"x: y\r\n"]


def test_a_chunked_body_is_the_same_byte_by_byte() -> None:
    assert outcome([BODY[at : at + 1] for at in range(len(BODY))]) == outcome([BODY])


@pytest.mark.parametrize(
    "bad",
    [
        b"1\na\r\n0\r\n\r\n",
        b"1\r\nab\r\n",
        b"0x1\r\n",
        b"1 1\r\n",
        b"g\r\n",
        b"\r\n",
        b"1;\x00\r\n",
        b"0\r\nX : y\r\n\r\n",
    ],
)
def test_a_bad_chunk_is_refused_however_it_is_split(bad: bytes) -> None:
    for at in range(len(bad)):
        assert outcome([bad[:at], bad[at:]]) == ("refused", 400)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_what_we_frame_h11_reads_and_we_read_what_it_frames(pieces: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(part for piece in pieces for part in encode_chunk([piece])) + encode_last_chunk(
        [trailer_of(b"X-Sum: 1\r\n")]
    )
    oracle = h11.Connection(h11.SERVER)
    oracle.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
    assert isinstance(oracle.next_event(), h11.Request)
    content = b""
    while not isinstance(event := oracle.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        content += event.data
    assert content == b"".join(pieces)
    assert list(event.headers) == [(b"x-sum", b"1")]
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    parts = [wire[start:end] for start, end in itertools.pairwise(edges)]
    assert outcome(parts) == (b"".join(pieces), True, (b"X-Sum: 1\r\n",), b"")


@given(st.binary(max_size=60) | st.text("01aF;\r\n x", max_size=60).map(str.encode), st.integers(0, 60))
def test_any_bytes_give_the_same_whether_split_or_not(junk: bytes, at: int) -> None:
    assert outcome([junk]) == outcome([junk[:at], junk[at:]])


@given(st.text("0123456789abcdefxX;\r\n -+_", max_size=30).map(str.encode))
def test_what_we_accept_as_chunks_h11_accepts_too(junk: bytes) -> None:
    ours = outcome([junk])
    if ours[0] == "refused" or not ours[1]:
        return
    oracle = h11.Connection(h11.SERVER)
    oracle.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + junk)
    content = b""
    oracle.next_event()
    while not isinstance(event := oracle.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        content += event.data
    assert content == ours[0]


def test_a_sized_body_ends_where_it_says() -> None:
    body = ContentLengthReader(5)
    assert read(body, [b"he", b"lloGET"]) == b"hello"
    assert body.done
    assert body.surplus == b"GET"


def test_a_body_until_close_never_ends_by_itself() -> None:
    body = UntilCloseReader()
    assert read(body, [b"a", b"0\r\n\r\n"]) == b"a0\r\n\r\n"
    assert not body.done


def test_chunk_extensions_are_bounded_over_the_whole_body() -> None:
    with pytest.raises(MessageRejected):
        read(ChunkedReader(400), [b"1;" + b"x" * 400 + b"\r\na\r\n"] * 100)


def test_trailers_are_bounded() -> None:
    with pytest.raises(MessageRejected):
        read(ChunkedReader(400), [b"0\r\n", *[b"X: " + b"y" * 400 + b"\r\n"] * 100])


def test_trailers_that_control_the_message_are_dropped() -> None:
    assert outcome([b"0\r\nContent-Type: x\r\nX-Sum: 1\r\nConnection: close\r\n\r\n"])[2] == (b"X-Sum: 1\r\n",)


def test_a_body_has_no_more_trailers_than_a_head_has_fields() -> None:
    assert outcome([b"0\r\n" + b"a:b\r\n" * MAX_HEADERS + b"\r\n"])[1] is True
    assert outcome([b"0\r\n" + b"a:b\r\n" * (MAX_HEADERS + 1) + b"\r\n"]) == ("refused", 400)

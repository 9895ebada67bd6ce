"""Messages that the RFCs allow or that real peers send are parsed, and a rejection names its cause."""

from __future__ import annotations

import pytest

from sidecars.ambassador.http.bodies import ChunkedReader
from sidecars.ambassador.http.head_rules import MessageRejected
from sidecars.ambassador.http.request_head import Http1Request, RequestParser
from sidecars.ambassador.http.response_head import parse_response
from tests.ambassador.support import GET


@pytest.mark.parametrize(
    "size",
    [
        b"5 ",
        b"5   ",
        b"5\t",
        b"5 \t;x=y",
        b"5 ; x = y",
        b"5;x",
        b"005",
        b"0" * 30 + b"5",
        b"5" + b" " * 100,
        b'5 ;a;b="c d"',
    ],
)
def test_blanks_after_a_chunk_size_and_zeros_before_it_are_no_fault(size: bytes) -> None:
    """RFC 9112 section 7.1.1 allows BWS before an extension; old servers pad their sizes."""
    body = ChunkedReader(502)
    assert b"".join(body.feed(size + b"\r\nhello\r\n0 \r\n\r\nrest")) == b"hello"
    assert body.done
    assert body.surplus == b"rest"


@pytest.mark.parametrize(
    "size", [b" 5", b"5 5", b"5 x", b"5\x0b", b"5\x00", b"5\r", b"0x5", b"5_", b"+5", b"", b" ", b";x", b"f" * 16]
)
def test_a_chunk_size_that_could_be_read_in_two_ways_is_refused(size: bytes) -> None:
    with pytest.raises(MessageRejected):
        ChunkedReader(502).feed(size + b"\r\nhello\r\n0\r\n\r\n")


def test_padded_chunk_sizes_have_a_limit() -> None:
    with pytest.raises(MessageRejected, match="extensions"):
        ChunkedReader(502).feed((b"1" + b" " * 500 + b"\r\nx\r\n") * 100)


@pytest.mark.parametrize("status", [b"000", b"099", b"1000", b"20", b"2x0", b"\xb2\xb9\xb3", b"-20", b"+20"])
def test_a_status_that_is_not_of_three_digits_is_refused(status: bytes) -> None:
    with pytest.raises(MessageRejected):
        parse_response(b"HTTP/1.1 %b OK" % status, parse(GET))


def parse(head: bytes) -> Http1Request:
    head = head.removesuffix(b"\r\n\r\n")
    return RequestParser(()).parse(head, len(head))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("GET /café HTTP/1.1".encode(), "percent-encoded"),
        ("GET /a?q=日本 HTTP/1.1".encode(), "percent-encoded"),
        (b"GET /\xff HTTP/1.1", "percent-encoded"),
        ("GET http://orders/é HTTP/1.1".encode(), "percent-encoded"),
        ("GÉT / HTTP/1.1".encode(), "method"),
        (b"G(T / HTTP/1.1", "method"),
        (b"GET /#x HTTP/1.1", "fragment"),
        (b"GET /a b HTTP/1.1", "blank"),
        (b"GET  / HTTP/1.1", "blank"),
        (b"GET / HTTP/1.1 ", "blank"),
        (b"GET\t/ HTTP/1.1", "METHOD target HTTP/1.1"),
        (b"GET /", "METHOD target HTTP/1.1"),
        (b"GET / http/1.1", "METHOD target HTTP/1.1"),
        (b"GET / HTTP/1.2", "HTTP/1.1 or HTTP/1.0"),
        (b"", "METHOD target HTTP/1.1"),
    ],
)
def test_a_first_line_that_is_refused_is_told_its_cause(line: bytes, words: str) -> None:
    with pytest.raises(MessageRejected, match=words) as caught:
        parse(line + b"\r\nHost: a")
    assert caught.value.reason.isascii()

"""Any bytes of a peer are converted to a declared result, or raise the declared error."""

from __future__ import annotations

import contextlib
import json
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.balancing.hash_key import hash_key_function
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.bodies import ChunkedReader
from sidecars.ambassador.http.fields import CONTROL_FIELDS
from sidecars.ambassador.http.head_rules import MessageRejected
from sidecars.ambassador.http.request_head import RequestParser
from sidecars.ambassador.http.response_head import parse_response
from sidecars.ambassador.proxy import retry
from sidecars.ambassador.transport import connect_errors, upstream_tls
from sidecars.ambassador.upstream.access_log import AccessLog
from sidecars.ambassador.upstream.counters import Counters
from tests.ambassador.exchanges import Pair

DIGITS = st.integers(-1, 10**40).map(lambda number: str(number).encode())
RAW = st.binary(max_size=40)
# Random bytes seldom pass the grammar. Most of these do, and then have an odd meaning.
VALUES = (
    RAW
    | DIGITS
    | st.lists(
        st.sampled_from(
            b"chunked|close|keep-alive|upgrade|h2c|timeout=|99999999999|,|;|=| |[::1]|:|a|100-continue|\xc3\xa9|"
            b'"|trailers|Content-Length'.split(b"|")
        ),
        max_size=6,
    ).map(b"".join)
)
NAMES = (
    st.sampled_from([*sorted(CONTROL_FIELDS), b"retry-after", b"idempotency-key", b"if-match", b"cookie", b"x"]) | RAW
)
FIELDS = st.lists(st.tuples(NAMES, VALUES).map(b": ".join), max_size=5)
FIRST_LINES = RAW | st.tuples(
    st.sampled_from([b"GET", b"POST", b"OPTIONS", b"PUT", b"TRACE", b"CONNECT"]) | RAW,
    st.sampled_from([b"/", b"*", b"http://orders/a", b"http://orders", b"/\xc3\xa9", b"/?%zz%00"]) | RAW,
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2", b"HTTP/1.1 "]) | RAW,
).map(b" ".join)
STATUS_LINES = RAW | st.tuples(
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2"]), DIGITS | st.integers(99, 1001).map(b"%d".__mod__), RAW
).map(b" ".join)


def head(first: bytes, fields: list[bytes]) -> bytes:
    return b"\r\n".join((first, *fields))


@given(FIRST_LINES, FIELDS)
def test_a_request_is_understood_or_refused(first: bytes, fields: list[bytes]) -> None:
    data = head(first, [b"Host: a", *fields])
    try:
        request = RequestParser({b"orders"}).parse(data, len(data))
    except MessageRejected as error:
        local_replies.rejection_reply(error.status, error.reason)
        return
    assert request.head(b"orders").endswith(b"\r\n\r\n")
    for balance in ("hash:header:x", "hash:cookie:a", "hash:source"):
        find = hash_key_function(balance)
        assert find is not None
        assert isinstance(find(request.lines(), "fe80::1%eth0"), bytes)


@given(STATUS_LINES, FIELDS, st.sampled_from([b"GET", b"HEAD", b"POST"]))
def test_a_response_is_understood_or_refused(first: bytes, fields: list[bytes], method: bytes) -> None:
    request = RequestParser(()).parse(line := b"%b / HTTP/1.1\r\nHost: a" % method, len(line))
    try:
        response = parse_response(head(first, fields), request)
    except MessageRejected:
        return
    for minor in (0, 1):
        for close in (False, True):
            assert response.head(minor, close=close).endswith(b"\r\n\r\n")
    assert 0.0 <= retry.retry_after(response.value(b"retry-after"), 1.7e9) <= 86_400.0
    Counters().count_response(response.status, 0.1)


@given(st.lists(RAW | st.sampled_from([b"5\r\nhello\r\n", b"0\r\n", b"\r\n", b"5 ;x\r\n", b"f" * 15]), max_size=6))
def test_a_chunked_body_is_understood_or_refused(pieces: list[bytes]) -> None:
    body = ChunkedReader(400)
    with contextlib.suppress(MessageRejected):
        for piece in pieces:
            if not body.done:
                body.feed(piece)


@given(STATUS_LINES, FIELDS, RAW)
def test_the_app_has_an_answer_or_a_broken_connection_whatever_the_upstream_writes(
    first: bytes, fields: list[bytes], rest: bytes
) -> None:
    with Pair(AMBASSADOR_ACCESS_LOG="all", AMBASSADOR_RETRIES="0") as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        pair.connection.data_received(head(first, fields) + b"\r\n\r\n" + rest)
        if not pair.there.closing:
            pair.connection.connection_lost(None)
        assert pair.upstream.defects.count == 0
        assert pair.app.written.startswith(b"HTTP/1.1 ") or pair.app.closing


@given(FIRST_LINES, FIELDS, RAW)
def test_nothing_that_an_app_writes_is_a_defect(first: bytes, fields: list[bytes], rest: bytes) -> None:
    with Pair(AMBASSADOR_ACCESS_LOG="all", AMBASSADOR_BALANCE="hash:cookie:a") as pair:
        pair.client.data_received(head(first, fields) + b"\r\n\r\n" + rest)
        assert pair.upstream.defects.count == 0


@given(st.integers(100, 999), st.text(max_size=40))
def test_every_status_and_every_reason_makes_an_answer(status: int, reason: str) -> None:
    cause = local_replies.malformed_response(reason)
    for message in (
        local_replies.rejection_reply(status, reason),
        local_replies.failure_reply(
            cause, "orders", [("a", cause), ("b", local_replies.unwanted_status(status))], head_only=False, close=True
        ),
    ):
        lines = message.partition(b"\r\n\r\n")[0]
        assert lines.isascii()
        assert b"\n" not in lines.replace(b"\r\n", b"")


@given(st.integers(0, 200), st.text(max_size=20))
def test_every_error_of_connecting_has_a_cause(number: int, words: str) -> None:
    for error in (OSError(number, words), OSError(words), ConnectionResetError(words), ssl.SSLError(number, words)):
        assert connect_errors.of_connecting(error, "127.0.0.1").status in (502, 503, 504)
    failed = ssl.SSLCertVerificationError(1, words)
    assert upstream_tls.cause_of(failed).status == 502


def test_what_is_logged_of_a_request_is_text(caplog: pytest.LogCaptureFixture) -> None:
    with Pair(AMBASSADOR_ACCESS_LOG="all") as pair:
        pair.client.data_received(b'GET /%ff%0a"<> HTTP/1.1\r\nHost: a\r\n\r\n')
        pair.connection.data_received(b"HTTP/1.1 999 \xff\r\nContent-Length: 0\r\n\r\n")
        assert isinstance(pair.upstream.access_log, AccessLog)
    json.dumps([record.__dict__.get("fields") for record in caplog.records])


# -- the program --------------------------------------------------------------------------------------------------

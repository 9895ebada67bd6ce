"""Rules that the heads of requests and responses share: Via, the caches, and bytes of any kind."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http import response_head
from sidecars.ambassador.http.fields import FIELD_LINES
from sidecars.ambassador.http.head_rules import MessageRejected
from sidecars.ambassador.http.request_head import RequestParser
from sidecars.ambassador.http.response_head import parse_response
from tests.ambassador.heads import AUTHORITIES, parse, refusal_of, response, sent


def test_via_tells_the_version_in_which_the_message_came() -> None:
    assert sent(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").endswith(b"\r\nVia: 1.0 ambassador\r\n\r\n")
    for minor in (0, 1):
        old = response(b"HTTP/1.%d 200 OK\r\nContent-Length: 0" % minor)
        for close in (False, True):
            assert old.head(1, close=close).endswith(b"Via: 1.%d ambassador\r\n\r\n" % minor)


@given(st.binary(max_size=200))
def test_no_bytes_are_a_defect(junk: bytes) -> None:
    """Any bytes are parsed or rejected; no other exception is raised."""
    for head in (junk, b"GET / HTTP/1.1\r\nHost: a\r\n" + junk):
        refusal_of(head + b"\r\n\r\n")
    with contextlib.suppress(MessageRejected):
        response(b"HTTP/1.1 200 OK\r\n" + junk)


def test_heads_that_come_once_or_carry_secrets_are_not_remembered_and_the_others_not_without_bound() -> None:
    parser = RequestParser(AUTHORITIES)
    for number in [*range(3000), *range(2000)]:
        for secret in (b"Authorization", b"Cookie"):
            parse(parser, b"GET / HTTP/1.1\r\nHost: a\r\n%b: hidden%d" % (secret, number))
        parse(parser, b"GET / HTTP/1.1\r\nHost: a\r\nX-Trace: %d" % number)
        asked = parse(parser, b"GET / HTTP/1.1\r\nHost: a")
        parse_response(b"HTTP/1.1 200 OK\r\nSet-Cookie: hidden%d\r\nContent-Length: 0" % number, asked)
        parse_response(b"HTTP/1.1 200 OK\r\nX-Trace: %d\r\nContent-Length: 0" % number, asked)
        for _ in range(2):
            parse_response(b"HTTP/1.1 200 OK\r\nX-Twice: %d\r\nContent-Length: 0" % number, asked)
    for remembered in (parser._cache, response_head._cache, FIELD_LINES):
        assert 0 < len(remembered) < 2500
        assert not any(b"hidden" in line for line in remembered)

"""The fields of a message: what is refused, with its reason, and how the rest is written in both protocols."""

from __future__ import annotations

import contextlib
import re

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http import fields as http1_fields
from sidecars.ambassador.http2 import heads
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.heads import MalformedMessage, check_request, check_response, check_trailers
from tests.ambassador.http2_support import GET, OK, POST, Pairs
from tests.support import examples

REFUSED_REQUESTS: dict[str, Pairs] = {
    "an unknown pseudo-field": (*GET, (b":protocol", b"websocket")),
    "a pseudo-field twice": (*GET, (b":method", b"GET")),
    "a path twice": (*GET, (b":path", b"/b")),
    "an authority twice": (*GET, (b":authority", b"orders")),
    "a scheme twice": (*GET, (b":scheme", b"http")),
    "a pseudo-field behind a field": (*GET[:3], (b"a", b"b"), GET[3]),
    "a pseudo-field of responses": (*GET, (b":status", b"200")),
    "no method": GET[1:],
    "no scheme": (GET[0], *GET[2:]),
    "no path": (*GET[:2], GET[3]),
    "no authority": GET[:3],
    "an empty method": ((b":method", b""), *GET[1:]),
    "an empty path": (*GET[:2], (b":path", b""), GET[3]),
    "an empty authority": (*GET[:3], (b":authority", b"")),
    "an empty host": (*GET[:3], (b"host", b"")),
    "a path without a slash": (*GET[:2], (b":path", b"a"), GET[3]),
    "a star for GET": (*GET[:2], (b":path", b"*"), GET[3]),
    "a path with a blank": (*GET[:2], (b":path", b"/a b"), GET[3]),
    "a path with CR LF": (*GET[:2], (b":path", b"/a\r\nb: c"), GET[3]),
    "a path with a fragment": (*GET[:2], (b":path", b"/a#b"), GET[3]),
    "a scheme that is no HTTP": (GET[0], (b":scheme", b"ftp"), *GET[2:]),
    "a scheme that smuggles": (GET[0], (b":scheme", b"http://a/b?"), *GET[2:]),
    "a method with a blank": ((b":method", b"GET /x"), *GET[1:]),
    "a method with CR LF": ((b":method", b"GET\r\n"), *GET[1:]),
    "user information": (*GET[:3], (b":authority", b"joe@orders")),
    "an authority with a path": (*GET[:3], (b":authority", b"orders/a")),
    "a host that differs": (*GET, (b"host", b"stock")),
    "two hosts": (*GET[:3], (b"host", b"orders"), (b"host", b"orders")),
    "an upper-case name": (*GET, (b"Accept", b"*/*")),
    "an empty name": (*GET, (b"", b"b")),
    "a name with a blank": (*GET, (b"a b", b"c")),
    "a name with a colon": (*GET, (b"a:b", b"c")),
    "a name with CR LF": (*GET, (b"a\r\nb", b"c")),
    "a name beyond ASCII": (*GET, (b"\xe9", b"c")),
    "NUL in a value": (*GET, (b"a", b"b\0c")),
    "CR in a value": (*GET, (b"a", b"b\rc")),
    "LF in a value": (*GET, (b"a", b"b\nc")),
    "CR LF in a value": (*GET, (b"a", b"b\r\ntransfer-encoding: chunked")),
    "another control character in a value": (*GET, (b"a", b"b\x01c")),
    "a blank before a value": (*GET, (b"a", b" b")),
    "a blank behind a value": (*GET, (b"a", b"b\t")),
    "connection": (*GET, (b"connection", b"close")),
    "proxy-connection": (*GET, (b"proxy-connection", b"close")),
    "keep-alive": (*GET, (b"keep-alive", b"timeout=1")),
    "transfer-encoding": (*POST, (b"transfer-encoding", b"chunked")),
    "upgrade": (*GET, (b"upgrade", b"h2c")),
    "te that is not trailers": (*GET, (b"te", b"gzip")),
    "two content-lengths": (*POST, (b"content-length", b"1"), (b"content-length", b"1")),
    "a content-length with a sign": (*POST, (b"content-length", b"+1")),
    "a content-length in hexadecimal": (*POST, (b"content-length", b"0x1")),
    "an empty content-length": (*POST, (b"content-length", b"")),
    "a list of content-lengths": (*POST, (b"content-length", b"1, 1")),
    "CONNECT with a path": ((b":method", b"CONNECT"), *GET[1:]),
    "CONNECT without an authority": ((b":method", b"CONNECT"), (b"host", b"orders")),
}
REFUSED_RESPONSES: dict[str, Pairs] = {
    "no status": ((b"a", b"b"),),
    "an empty head": (),
    "two statuses": (*OK, *OK),
    "a status behind a field": ((b"a", b"b"), *OK),
    "a status of two digits": ((b":status", b"20"),),
    "a status of four digits": ((b":status", b"2000"),),
    "a status that is no number": ((b":status", b"abc"),),
    "101": ((b":status", b"101"),),
    "a pseudo-field of requests": (*OK, (b":path", b"/")),
    "connection": (*OK, (b"connection", b"close")),
    "transfer-encoding": (*OK, (b"transfer-encoding", b"chunked")),
    "an upper-case name": (*OK, (b"Server", b"a")),
    "CR LF in a value": (*OK, (b"a", b"b\r\nc: d")),
    "two content-lengths": (*OK, (b"content-length", b"1"), (b"content-length", b"2")),
    "a content-length that is no number": (*OK, (b"content-length", b"-1")),
}
REFUSED_TRAILERS: dict[str, Pairs] = {
    "a pseudo-field": OK,
    "content-length": ((b"content-length", b"1"),),
    "transfer-encoding": ((b"transfer-encoding", b"chunked"),),
    "host": ((b"host", b"a"),),
    "an upper-case name": ((b"A", b"b"),),
    "CR LF in a value": ((b"a", b"b\r\n\r\nGET / HTTP/1.1"),),
}


def of(pairs: Pairs) -> list[Field]:
    return [Field(name, value) for name, value in pairs]


@pytest.mark.parametrize("what", REFUSED_REQUESTS)
def test_a_malformed_request_is_refused_with_a_reason_that_shows_no_value(what: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        check_request(of(REFUSED_REQUESTS[what]))
    assert caught.value.status == 400
    assert caught.value.reason.isascii()
    assert "\r" not in caught.value.reason
    assert "joe" not in caught.value.reason


@pytest.mark.parametrize("what", REFUSED_RESPONSES)
def test_a_malformed_response_is_refused(what: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        check_response(of(REFUSED_RESPONSES[what]))
    assert caught.value.status == 502


@pytest.mark.parametrize("what", REFUSED_TRAILERS)
def test_a_trailer_that_may_be_in_no_message_is_refused(what: str) -> None:
    with pytest.raises(MalformedMessage):
        check_trailers(of(REFUSED_TRAILERS[what]), 400)


def test_trailers_that_control_a_message_are_dropped() -> None:
    pairs = [(b"grpc-status", b"0"), (b"authorization", b"x"), (b"te", b"trailers"), (b"content-type", b"a")]
    assert [each.name for each in check_trailers(of(pairs), 400)] == [b"grpc-status"]


def test_a_request_has_its_control_fields_as_attributes_and_the_others_in_order() -> None:
    more = (
        (b"cookie", b"a=1"),
        (b"te", b"Trailers"),
        (b"content-type", b"application/grpc"),
        (b"host", b"ORDERS"),
        (b"content-length", b"7"),
        (b"expect", b"100-continue"),
        (b"max-forwards", b"3"),
        (b"http2-settings", b"AAA"),
        (b"cookie", b"b=2"),
        (b"x", b""),
    )
    head = check_request(of((*POST, *more)))
    assert (head.method, head.path, head.scheme, head.authority) == (b"POST", b"/a", b"http", b"orders")
    assert [each.name for each in head.fields] == [b"cookie", b"content-type", b"cookie", b"x"]
    assert (head.content_length, head.te_trailers, head.expect) == (7, True, b"100-continue")
    assert head.content_type == b"application/grpc"
    assert head.has_secret
    assert head.lines() == b"content-type: application/grpc\r\nx: \r\ncookie: a=1; b=2\r\n"
    decoded = hpack.Decoder().decode(head.encoded(), raw=True)
    assert [(bytes(name), bytes(value)) for name, value in decoded] == [
        (b"cookie", b"a=1"),
        (b"content-type", b"application/grpc"),
        (b"cookie", b"b=2"),
        (b"x", b""),
    ]


@pytest.mark.parametrize(
    ("pairs", "authority"),
    [
        ((*GET[:3], (b"host", b"orders:80")), b"orders:80"),
        ((*GET, (b"host", b"orders")), b"orders"),
        ((*GET[:3], (b":authority", b"[::1]:80")), b"[::1]:80"),
        (((b":method", b"OPTIONS"), GET[1], (b":path", b"*"), GET[3]), b"orders"),
        (((b":method", b"CONNECT"), (b":authority", b"orders:443")), b"orders:443"),
    ],
)
def test_unusual_requests_that_are_well_formed_pass(pairs: Pairs, authority: bytes) -> None:
    assert check_request(of(pairs)).authority == authority


@pytest.mark.parametrize("status", [100, 103, 200, 204, 304, 404, 599, 600, 999])
def test_every_status_of_three_digits_passes(status: int) -> None:
    head = check_response(of(((b":status", b"%d" % status), (b"te", b"trailers"), (b"a", b"b"))))
    assert head.status == status
    assert head.lines() == [b"a: b\r\n"]


def test_both_protocols_know_the_same_authorities() -> None:
    for authority in (
        b"a",
        b"a:80",
        b"A.b-c_d~1:65535",
        b"[::1]",
        b"[::1]:1",
        b"",
        b":",
        b"a:b",
        b"a@b",
        b"a/b",
        b"[a",
        b"::1",
    ):
        assert (heads._AUTHORITY(authority) is None) == (http1_fields.AUTHORITY.fullmatch(authority) is None)


_BYTES = st.binary(max_size=12) | st.sampled_from(
    [b"a", b"te", b"trailers", b"host", b"content-length", b":path", b"0"]
)


@examples(120)
@given(st.lists(st.tuples(_BYTES, _BYTES), max_size=5), st.sampled_from([GET, POST, OK, ()]))
def test_what_passes_is_one_line_of_http1_for_each_field_and_never_more(more: Pairs, first: Pairs) -> None:
    fields = of((*first, *more))
    lines: list[bytes] = []
    with contextlib.suppress(MalformedMessage):
        lines = [check_request(fields).lines()]
    with contextlib.suppress(MalformedMessage):
        lines += check_response(fields).lines()
    with contextlib.suppress(MalformedMessage):
        lines += [each.line() for each in check_trailers(fields, 400)]
    for line in b"".join(lines).splitlines(keepends=True):
        assert re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9a-z]+: [\t\x20-\x7e\x80-\xff]*\r\n", line)

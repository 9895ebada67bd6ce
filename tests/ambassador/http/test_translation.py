"""Requests and responses in both protocols: each is written in HTTP/1.1 and in HTTP/2, whatever it came in."""

from __future__ import annotations

import tracemalloc

import pytest

from sidecars.ambassador.http.head_rules import CHUNKED, MessageRejected
from sidecars.ambassador.http.hpack_lines import encode_start
from sidecars.ambassador.http.http2_request import Http2Request, length_of
from sidecars.ambassador.http.http2_response import UNKNOWN, Http2Response
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http.request_head import CombinedEdits, RequestParser
from sidecars.ambassador.http.response_head import parse_response
from sidecars.ambassador.http2.decoder import Decoder
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.heads import check_request, check_response

PLAIN = CombinedEdits()
EDITS = CombinedEdits({b"x-old", b"x-key"}, [b"X-Key: secret\r\n"])


def request(
    fields: str, *, method: str = "GET", length: int = 0, edits: CombinedEdits = PLAIN, path: str = "/a"
) -> Http2Request:
    """Return a request that came in HTTP/2, with these fields (`name: value; …`)."""
    own = [(":method", method), (":scheme", "http"), (":authority", "app"), (":path", path)]
    own += [(name, value) for name, _, value in (field.partition(": ") for field in fields.split("; ") if field)]
    head = check_request([Field(name.encode(), value.encode()) for name, value in own])
    return Http2Request(head, edits, length)


def response(fields: str, status: int = 200, *, to: Request | None = None, size: int = UNKNOWN) -> Http2Response:
    own = [(":status", str(status))]
    own += [(name, value) for name, _, value in (field.partition(": ") for field in fields.split("; ") if field)]
    head = check_response([Field(name.encode(), value.encode()) for name, value in own])
    return Http2Response(head, to or request(""), size)


def decoded(block: bytes) -> list[str]:
    return [f"{field.name.decode()}: {field.value.decode()}" for field in Decoder(10_000, 100).decode(block).fields]


def never_indexed(block: bytes) -> list[str]:
    return [field.name.decode() for field in Decoder(10_000, 100).decode(block).fields if field.never]


def lines(head: bytes) -> list[str]:
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].decode().split("\r\n")


EXPECT = "expect: 100-continue"
START = [":method: GET", ":scheme: http", ":authority: orders", ":path: /a"]


@pytest.mark.parametrize(
    ("method", "fields", "length", "framing"),
    [
        ("GET", "", 0, []),
        ("DELETE", "", 0, []),
        ("POST", "", 0, ["Content-Length: 0"]),
        ("PUT", "content-length: 0", 0, ["Content-Length: 0"]),
        ("GET", "content-length: 0", 0, ["Content-Length: 0"]),
        ("POST", "content-length: 5", 5, ["Content-Length: 5"]),
        ("POST", "", 7, ["Content-Length: 7"]),
        ("POST", "", CHUNKED, ["Transfer-Encoding: chunked"]),
        ("POST", "expect: 100-continue", CHUNKED, ["Transfer-Encoding: chunked", "Expect: 100-continue"]),
        ("POST", "te: trailers", 3, ["Connection: TE", "TE: trailers", "Content-Length: 3"]),
        ("OPTIONS", "max-forwards: 3", 0, ["max-forwards: 2"]),
        ("GET", "max-forwards: 3", 0, ["max-forwards: 3"]),
    ],
)
def test_a_request_of_http2_is_framed_in_http11(method: str, fields: str, length: int, framing: list[str]) -> None:
    got = lines(request(fields, method=method, length=length).head(b"orders"))
    assert got == [f"{method} /a HTTP/1.1", "Host: orders", *framing, "Via: 2.0 ambassador"]


def test_a_request_of_http2_keeps_its_fields_in_both_protocols() -> None:
    fields = "accept: */*; cookie: a=1; x-one: 1; cookie: b=2; te: trailers; content-length: 5; x-one: 2"
    one = request(fields, method="POST", length=5)
    assert lines(one.head(b"orders", b"\r\nAuthorization: Bearer x")) == [
        "POST /a HTTP/1.1",
        "Host: orders",
        "Authorization: Bearer x",
        "accept: */*",
        "x-one: 1",
        "x-one: 2",
        "cookie: a=1; b=2",
        "Connection: TE",
        "TE: trailers",
        "Content-Length: 5",
        "Via: 2.0 ambassador",
    ]
    block = one.block(b"https", b"orders", b"\r\nAuthorization: Bearer x")
    assert decoded(block) == [
        ":method: POST",
        ":scheme: https",
        ":authority: orders",
        ":path: /a",
        "accept: */*",
        "cookie: a=1",
        "x-one: 1",
        "cookie: b=2",
        "x-one: 2",
        "te: trailers",
        "content-length: 5",
        "via: 2.0 ambassador",
        "authorization: Bearer x",
    ]
    assert "authorization" in never_indexed(block)


def test_header_edits_apply_to_http2_and_are_never_indexed() -> None:
    one = request("x-old: 1; x-key: app; x-new: 2", edits=EDITS)
    got = lines(one.head(b"orders"))
    assert got == ["GET /a HTTP/1.1", "Host: orders", "x-new: 2", "X-Key: secret", "Via: 2.0 ambassador"]
    block = one.block(b"http", b"orders")
    assert decoded(block) == [*START, "x-new: 2", "via: 2.0 ambassador", "x-key: secret"]
    assert never_indexed(block) == ["x-key"]
    assert b"\r\nX-Key: secret\r\n" in one.lines()


def test_requests_that_share_a_head_are_each_written_for_their_own_origin() -> None:
    """Endpoints of an upstream may have several names; routes, signatures and edits change single requests."""
    own = [(":method", "POST"), (":scheme", "http"), (":authority", "app"), (":path", "/a"), ("x-old", "1")]
    head = check_request([Field(name.encode(), value.encode()) for name, value in [*own, ("content-length", "5")]])
    for _ in range(3):  # the start of a block is kept from the first one on
        for authority in ("orders-1", "orders-2", "orders-3", "orders-4", "orders-5", "x" * 600):
            for scheme in ("http", "https"):
                place = [":method: POST", f":scheme: {scheme}", f":authority: {authority}"]
                one, routed, signed, edited = [Http2Request(head, edits, 5) for edits in (PLAIN, PLAIN, PLAIN, EDITS)]
                routed.target = b"/b"
                signed.announce(9)
                found = [
                    [text for text in decoded(each.block(scheme.encode(), authority.encode())) if text[:3] != "via"]
                    for each in (one, routed, signed, edited)
                ]
                assert found == [
                    [*place, ":path: /a", "x-old: 1", "content-length: 5"],
                    [*place, ":path: /b", "x-old: 1", "content-length: 5"],
                    [*place, ":path: /a", "x-old: 1", "content-length: 9"],
                    [*place, ":path: /a", "content-length: 5", "x-key: secret"],
                ]


def test_no_long_text_of_a_peer_is_kept_for_later_messages() -> None:
    """Caches are bounded by their numbers of entries, so each entry is short."""
    long = b"X" * 10_000
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(500):
            text = b"%d%b" % (number, long)
            encode_start(b"M" + text, b"http", b"orders", b"/")
            encode_start(b"GET", b"http", b"h" + text, b"/")
            parse_response(b"HTTP/1.1 200 " + text, request(""))
        assert tracemalloc.get_traced_memory()[0] - before < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        ("GET /a HTTP/1.1|Host: app", []),
        ("GET /a HTTP/1.1|Host: app|X-One: 1|Accept: */*", ["x-one: 1", "accept: */*"]),
        ("GET /a HTTP/1.0|Host: app|X-One: 1", ["x-one: 1"]),
        ("GET /a HTTP/1.1|Host: app|Connection: keep-alive, X-Hop|X-Hop: 1|Keep-Alive: timeout=5", []),
        ("GET /a HTTP/1.1|Host: app|Upgrade: websocket|Connection: Upgrade", []),
        ("GET /a HTTP/1.1|Host: app|TE: trailers, deflate|Connection: TE", ["te: trailers"]),
        ("GET /a HTTP/1.1|Host: app|Content-Length: 3", ["content-length: 3"]),
        ("GET /a HTTP/1.1|Host: app|Transfer-Encoding: chunked|Trailer: X-Sum", ["trailer: X-Sum"]),
        ("GET /a HTTP/1.1|Host: app|Content-Length: 3|Expect: 100-continue", ["content-length: 3", EXPECT]),
        ("GET /a HTTP/1.1|Host: app|Cookie: a=1; b=2", ["cookie: a=1; b=2"]),
    ],
)  # fmt: skip
def test_a_request_of_http11_is_written_in_http2(head: str, fields: list[str]) -> None:
    data = head.replace("|", "\r\n").encode()
    via = "via: 1.0 ambassador" if "HTTP/1.0" in head else "via: 1.1 ambassador"
    parser = RequestParser(())
    for _ in range(3):  # from the third time on its section is cached
        one = parser.parse(data, len(data))
        assert decoded(one.block(b"http", b"orders")) == [*START, *fields, via]
    assert never_indexed(one.block(b"http", b"orders", b"\r\nAuthorization: Bearer x"))[:1] == ["authorization"]


@pytest.mark.parametrize(
    ("method", "fields", "idempotent"),
    [
        ("GET", "if-match: x", True),
        ("PUT", "", True),
        ("PUT", "if-match: x", False),
        ("DELETE", "if: (x)", False),
        ("PUT", "iffy: x", True),
        ("POST", "", False),
        ("POST", "idempotency-key: x", True),
        ("POST", "idempotency-key: ", False),
        ("POST", "idempotency-key: x; idempotency-key: y", False),
        ("POST", "idempotency-key: x; if-match: y", False),
    ],
)
def test_the_same_requests_are_repeatable_in_both_protocols(method: str, fields: str, *, idempotent: bool) -> None:
    assert request(fields, method=method).idempotent is idempotent
    old = f"{method} /a HTTP/1.1\r\nHost: app" + "".join(f"\r\n{field}" for field in fields.split("; ") if field)
    assert RequestParser(()).parse(old.encode(), len(old)).idempotent is idempotent


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("TRACE", "", 405),
        ("OPTIONS", "max-forwards: 0", 204),
        ("OPTIONS", "max-forwards: x", 400),
        ("POST", "expect: y", 417),
    ],
)
def test_a_request_that_is_not_passed_on_is_refused_in_both_protocols(method: str, fields: str, status: int) -> None:
    with pytest.raises(MessageRejected) as refused:
        request(fields, method=method)
    assert refused.value.status == status
    old = f"{method} /a HTTP/1.1\r\nHost: app" + "".join(f"\r\n{field}" for field in fields.split("; ") if field)
    with pytest.raises(MessageRejected) as refused:
        RequestParser(()).parse(old.encode(), len(old))
    assert refused.value.status == status


def test_connect_is_refused() -> None:
    head = check_request([Field(b":method", b"CONNECT"), Field(b":authority", b"db:5432")])
    with pytest.raises(MessageRejected) as refused:
        Http2Request(head, PLAIN, 0)
    assert refused.value.status == 501


@pytest.mark.parametrize(
    ("fields", "pieces", "end", "length"),
    [
        ("", [], True, 0),
        ("", [b"ab", b"c"], True, 3),
        ("", [b"ab"], False, CHUNKED),
        ("content-length: 5", [b"ab"], False, 5),
        ("content-length: 0", [], False, CHUNKED),  # its end is still to come, maybe with trailers
    ],
)
def test_the_length_of_a_body_is_announced_if_it_is_known(
    fields: str, pieces: list[bytes], *, end: bool, length: int
) -> None:
    own = [Field(b":method", b"GET"), Field(b":scheme", b"http"), Field(b":authority", b"a"), Field(b":path", b"/")]
    name, _, value = fields.partition(": ")
    head = check_request([*own, *([Field(name.encode(), value.encode())] if fields else [])])
    assert length_of(head, pieces, (), end=end) == length
    if end:
        assert length_of(head, pieces, [Field(b"x-sum", b"1")], end=True) == CHUNKED


def test_a_body_that_may_have_trailers_has_no_length_because_http1_has_them_behind_chunks_alone() -> None:
    own = [Field(b":method", b"PUT"), Field(b":scheme", b"http"), Field(b":authority", b"a"), Field(b":path", b"/")]
    more = [Field(b"content-length", b"5"), Field(b"trailer", b"x-sum")]
    assert length_of(check_request([*own, *more]), [b"ab"], (), end=False) == CHUNKED


@pytest.mark.parametrize(
    ("fields", "status", "size", "minor", "close", "more"),
    [
        ("content-length: 5", 200, UNKNOWN, 1, False, ["Content-Length: 5"]),
        ("", 200, UNKNOWN, 1, False, ["Transfer-Encoding: chunked"]),
        ("", 200, UNKNOWN, 1, True, ["Transfer-Encoding: chunked", "Connection: close"]),
        ("", 200, UNKNOWN, 0, True, ["Connection: close"]),
        ("", 200, 5, 1, False, ["Content-Length: 5"]),
        ("", 200, 0, 1, False, ["Content-Length: 0"]),
        ("content-length: 5", 200, 5, 0, False, ["Content-Length: 5", "Connection: keep-alive"]),
        ("", 204, 0, 1, False, []),
        ("content-length: 0", 204, 0, 1, False, []),
        ("content-length: 5", 304, 0, 1, False, ["Content-Length: 5"]),
    ],
)
def test_a_response_of_http2_is_framed_in_http11(
    fields: str, status: int, *, size: int, minor: int, close: bool, more: list[str]
) -> None:  # fmt: skip
    got = lines(response(fields + "; server: x" if fields else "server: x", status, size=size).head(minor, close=close))
    assert got[0].startswith(f"HTTP/1.1 {status} ")
    assert got[1:] == ["server: x", *more, "Via: 2.0 ambassador"]


def test_the_response_to_a_head_has_the_length_of_what_a_get_would_get() -> None:
    one = response("content-length: 5", to=request("", method="HEAD"), size=0)
    assert (one.length, one.content_length, one.has_no_body) == (0, 5, True)
    assert "Content-Length: 5" in lines(one.head(1, close=False))
    assert decoded(one.block()) == [":status: 200", "content-length: 5", "via: 2.0 ambassador"]


def test_an_interim_response_is_written_in_both_protocols() -> None:
    hints = response("link: </a>; content-length: 5", 103)
    assert hints.interim_head() == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    head = b"HTTP/1.1 103 Early Hints\r\nLink: </a>"
    assert decoded(parse_response(head, request("")).block()) == [":status: 103", "link: </a>"]


@pytest.mark.parametrize("status", [103, 204])
def test_a_response_that_may_not_have_a_length_has_none_in_http2(status: int) -> None:
    """RFC 9110 section 8.6."""
    assert decoded(response("content-length: 0", status).block()) == [f":status: {status}", "via: 2.0 ambassador"]


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        ("HTTP/1.1 200 OK|Content-Length: 3|Server: x", ["server: x", "content-length: 3"]),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked|Connection: close, x-hop|X-Hop: 1", []),
        ("HTTP/1.1 200 OK|Set-Cookie: a=1|Set-Cookie: b|Keep-Alive: timeout=5", ["set-cookie: a=1", "set-cookie: b"]),
        ("HTTP/1.1 200 OK|Upgrade: h2c|Proxy-Connection: close", []),
    ],
)  # fmt: skip
def test_a_response_of_http11_is_written_in_http2(head: str, fields: list[str]) -> None:
    for _ in range(3):  # from the third time on it is cached
        one = parse_response(head.replace("|", "\r\n").encode(), request(""))
        assert decoded(one.block()) == [":status: 200", *fields, "via: 1.1 ambassador"]


def test_a_call_of_grpc_is_known_by_its_content_type() -> None:
    grpc = {
        "application/grpc": True,
        "application/grpc+proto": True,
        "application/grpc-web": False,
        "text/plain": False,
    }
    for content_type, is_grpc in grpc.items():
        assert request(f"content-type: {content_type}", method="POST").is_grpc is is_grpc


def test_one_field_can_be_looked_up_in_either_protocol() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-Two: 2"
    for one in (request("x-one: 1; x-two: 2"), RequestParser(()).parse(data, len(data))):
        assert (one.value(b"x-two"), one.value(b"two")) == (b"2", b"")

"""The head of a copy: no credential of the app's upstream, those of the mirror's, and a mark."""

from __future__ import annotations

import hpack
import pytest

from sidecars.ambassador.http.head_rules import CHUNKED
from sidecars.ambassador.http.header_edits import combine_edits, edits
from sidecars.ambassador.http.http2_request import Http2Request
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http.request_head import CombinedEdits, RequestParser
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.heads import check_request
from sidecars.ambassador.proxy.beside.copied_request import CopiedRequest, CopyRules, is_longer

OWN = combine_edits(edits.parse("Api-Key: own-secret\n+X-Team: shop\nX-Team-Key: own-too"), (b"authorization",))
OTHERS = combine_edits(edits.parse("X-Team: shadow-secret\n-X-Debug"))
HEAD = b"POST /a?b=1 HTTP/1.1\r\nHost: app\r\nX-One: 1\r\nX-Team: app\r\nx-debug: 1\r\nX-Shadow: forged\r\n"


def http1(own: CombinedEdits, more: bytes = b"") -> Request:
    head = HEAD + more
    return RequestParser((), own).parse(head + b"\r\n", len(head) - 2)


def http2(own: CombinedEdits, *more: tuple[bytes, bytes], length: int = 0) -> Request:
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"app"), (b":path", b"/a?b=1")]
    fields += [(b"x-one", b"1"), (b"x-team", b"app"), (b"x-debug", b"1"), (b"x-shadow", b"forged"), *more]
    return Http2Request(check_request([Field(name, value) for name, value in fields]), own, length)


def rules(mark: str = "field", others: CombinedEdits = OTHERS, own: CombinedEdits = OWN) -> CopyRules:
    return CopyRules(own, others, mark, "orders")


def decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in hpack.Decoder().decode(block, raw=True)]


@pytest.mark.parametrize("make", [http1, http2])
def test_a_copy_has_the_fields_of_the_app_without_what_its_upstream_adds_and_with_what_the_mirror_adds(
    make: object,
) -> None:
    assert callable(make)
    copy = CopiedRequest(make(OWN), rules())
    head = copy.head(b"shadow.shop", b"\r\nAuthorization: Bearer shadow")
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert first == b"POST /a?b=1 HTTP/1.1"
    assert lines[:2] == [b"Host: shadow.shop", b"Authorization: Bearer shadow"]
    names = [line.lower() for line in lines[2:]]
    assert b"x-one: 1" in names
    assert [line for line in names if line.startswith(b"x-team")] == [b"x-team: shadow-secret"]
    assert [line for line in names if line.startswith(b"x-shadow")] == [b"x-shadow: orders"]
    assert not any(b"own" in line or b"debug" in line or b"forged" in line for line in names)
    assert copy.value(b"x-one") == b"1"
    fields = decoded(copy.block(b"http", b"shadow.shop", b"\r\nAuthorization: Bearer shadow"))
    assert fields[:4] == [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"shadow.shop"),
        (b":path", b"/a?b=1"),
    ]
    written = {line.partition(b": ")[0].lower(): line.partition(b": ")[2] for line in lines[1:]}
    assert dict(fields[4:]) == {name: value for name, value in written.items() if name != b"connection"}


@pytest.mark.parametrize("make", [http1, http2])
def test_what_an_app_sends_with_the_bytes_of_an_edit_is_its_own(make: object) -> None:
    """Of two equal lines one is the app's: the copy has that one."""
    assert callable(make)
    adds = combine_edits(edits.parse("+X-One: 1"))
    request = make(adds)
    assert request.head(b"").lower().count(b"\r\nx-one: 1\r\n") == 2 or make is http1
    copy = CopiedRequest(request, rules(own=adds, others=CombinedEdits()))
    assert copy.head(b"").lower().count(b"\r\nx-one: 1\r\n") == 1


@pytest.mark.parametrize(
    ("mark", "authority", "sent"),
    [
        ("host", b"shadow.shop", b"shadow.shop-shadow"),
        ("host", b"shadow.shop:8080", b"shadow.shop-shadow:8080"),
        ("host", b"[fd00::1]:8080", b"[fd00::1]:8080"),
        ("field", b"shadow.shop:8080", b"shadow.shop:8080"),
        ("off", b"shadow.shop:8080", b"shadow.shop:8080"),
    ],
)
def test_a_copy_is_marked_as_the_setting_says(mark: str, authority: bytes, sent: bytes) -> None:
    copy = CopiedRequest(http1(OWN), rules(mark))
    assert b"\r\nHost: %b\r\n" % sent in copy.head(authority)
    assert dict(decoded(copy.block(b"http", authority)))[b":authority"] == sent
    assert copy.value(b"X-Shadow".lower()) == {"field": b"orders"}.get(mark, b"forged")


def test_a_copy_does_not_wait_for_100_and_keeps_its_framing() -> None:
    request = http1(OWN, b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nX-Expect: 100-continue\r\n")
    assert request.expects_continue
    copy = CopiedRequest(request, rules())
    head = copy.head(b"shadow")
    assert not copy.expects_continue
    assert b"\r\nExpect:" not in head
    assert b"\r\nX-Expect: 100-continue\r\n" in head
    assert head.count(b"Transfer-Encoding: chunked\r\n") == 1
    assert (copy.length, copy.idempotent) == (CHUNKED, request.idempotent)


def test_a_call_of_grpc_keeps_its_fields_and_is_told_the_time_that_is_left() -> None:
    request = http2(
        OWN, (b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"grpc-timeout", b"10S"), length=CHUNKED
    )
    copy = CopiedRequest(request, rules())
    assert copy.is_grpc
    assert copy.grpc_timeout == b"10S"
    fields = decoded(copy.block(b"http", b"shadow"))
    assert (b"te", b"trailers") in fields
    assert [value for name, value in fields if name == b"grpc-timeout"] == [b"10S"]
    copy.attempt_fields = encode_field(b"grpc-timeout", b"9S")
    fields = decoded(copy.block(b"http", b"shadow"))
    assert [value for name, value in fields if name == b"grpc-timeout"] == [b"9S"]
    assert not {b"transfer-encoding", b"connection", b"host"} & {name for name, _ in fields}


@pytest.mark.parametrize(("length", "is_too_long"), [(0, False), (10, False), (11, True), (CHUNKED, False)])
def test_only_an_announced_length_can_be_too_long(length: int, *, is_too_long: bool) -> None:
    assert is_longer(length, 10) is is_too_long

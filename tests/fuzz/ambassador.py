"""Targets of the ambassador: heads and bodies on both sides, and the files of the resolver."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterable

import h11
import hpack

from sidecars.ambassador.discovery import resolvconf
from sidecars.ambassador.discovery.kubernetes import documents
from sidecars.ambassador.discovery.kubernetes.documents import UnusableDocument, WatchLines
from sidecars.ambassador.discovery.kubernetes.selection import Selection, Wanted, choose_endpoints
from sidecars.ambassador.discovery.kubernetes.slice_table import SliceTable, VersionGone, WatchFailed
from sidecars.ambassador.http.bodies import ChunkedReader, body_reader
from sidecars.ambassador.http.head_rules import UNTIL_CLOSE, MessageRejected, check_beginning, detect_protocol
from sidecars.ambassador.http.http2_request import Http2Request, length_of
from sidecars.ambassador.http.request_head import CombinedEdits, RequestParser
from sidecars.ambassador.http.response_head import parse_response
from sidecars.ambassador.http2.decoder import Decoder
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.frames import ProtocolError
from sidecars.ambassador.http2.heads import MalformedMessage, check_request, check_response
from sidecars.ambassador.proxy.observed import trace_context
from tests.fuzz.registry import target

_HOST = b"orders"
_GET = RequestParser(()).parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 23)


def _h11_request(message: bytes) -> h11.Request | None:
    """Return the request that h11 reads, or None if it refuses the message or waits for more."""
    oracle = h11.Connection(h11.SERVER)
    try:
        oracle.receive_data(message)
        event = oracle.next_event()
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Request) else None


def _fields(block: bytes) -> list[Field]:
    """Return what a block of ours says to another implementation of HPACK."""
    decoder = hpack.Decoder(max_header_list_size=1 << 24)
    return [Field(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


@target("ambassador.http.request_head", "ambassador.http.request_line", "ambassador.http.fields", reach=75)
def request_heads(data: bytes) -> None:
    """A head is answered here, or goes on in our words, which h11 reads as one request to our upstream."""
    end = data.find(b"\r\n\r\n")
    try:
        if end < 0:
            check_beginning(data, 400)
            detect_protocol(data, 400)
            return
        check_beginning(data[:end], 400)
        request = RequestParser({_HOST}).parse(data, end)
        if request.length:
            body_reader(request.length, 400).feed(data[end + 4 :])
    except MessageRejected as error:
        assert error.status == 204 or 400 <= error.status < 600  # 204: OPTIONS whose Max-Forwards is used up
        return
    written = request.head(_HOST)
    assert written.count(b"\r\n\r\n") == 1
    assert written.endswith(b"\r\n\r\n")
    seen = _h11_request(written)
    assert seen is not None, written
    assert seen.method == request.method
    assert [value for name, value in seen.headers if name == b"host"] == [_HOST]
    lengths = [value for name, value in seen.headers if name == b"content-length"]
    codings = [value for name, value in seen.headers if name == b"transfer-encoding"]
    assert len(lengths) + len(codings) <= 1
    if lengths:
        assert int(lengths[0]) == request.length
    in_http2 = check_request(_fields(request.block(b"http", _HOST)))
    assert (in_http2.method, in_http2.authority) == (request.method, _HOST)
    assert in_http2.content_length == (int(lengths[0]) if lengths else -1)


@target("ambassador.http.response_head", "ambassador.http.fields", reach=65)
def response_heads(data: bytes) -> None:
    """A head is rejected with 502, or goes on in our words, with one framing."""
    head = data.partition(b"\r\n\r\n")[0]
    try:
        check_beginning(head, 502)
        response = parse_response(head, _GET)
    except MessageRejected as error:
        assert error.status == 502
        return
    if response.status < 200:
        return
    written = response.head(1, close=False)
    assert written.count(b"\r\n\r\n") == 1
    assert written.endswith(b"\r\n\r\n")
    in_http2 = check_response(_fields(response.block()))
    assert (in_http2.status, in_http2.content_length) == (response.status, response.content_length)
    oracle = h11.Connection(h11.CLIENT)
    oracle.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    oracle.send(h11.EndOfMessage())
    oracle.receive_data(written)
    if response.status <= 999:
        seen = oracle.next_event()
        assert isinstance(seen, h11.Response)
        assert seen.status_code == response.status
        names = [name for name, _ in seen.headers]
        assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
        if response.length not in (UNTIL_CLOSE, 0):
            assert names.count(b"content-length") + names.count(b"transfer-encoding") == 1


@target("ambassador.http.bodies", reach=60)
def chunked_bodies(data: bytes) -> None:
    """A chunked body that we accept is the one that h11 reads, however it is cut."""
    accepted = _read_chunks([data])
    halves = _read_chunks([data[: len(data) // 2], data[len(data) // 2 :]])
    assert halves == accepted
    if accepted is None:
        return
    body, surplus = accepted
    oracle = h11.Connection(h11.SERVER)
    oracle.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    oracle.next_event()
    oracle.receive_data(data)
    seen = b""
    while not isinstance(event := oracle.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        seen += event.data
    assert seen == body
    assert oracle.trailing_data[0] == surplus


def _read_chunks(pieces: list[bytes]) -> tuple[bytes, bytes] | None:
    """Return body and surplus; None if the body is refused or not whole."""
    reader = ChunkedReader(400)
    body = surplus = b""
    try:
        for piece in pieces:
            if reader.done:
                surplus += piece
            else:
                body += b"".join(reader.feed(piece))
    except MessageRejected:
        return None
    return (body, reader.surplus + surplus) if reader.done else None


@target("ambassador.discovery.resolvconf", reach=75, longest=1000)
def resolv_conf(data: bytes) -> None:
    """Any file gives a configuration with bounded numbers."""
    found = resolvconf.parse(data.decode("utf-8", "replace"))
    with contextlib.suppress(AttributeError):
        assert found.attempts >= 1


@target("ambassador.proxy.observed.trace_context", reach=70)
def trace_contexts(data: bytes) -> None:
    """Whatever a request says of its trace, what goes on is one valid traceparent, and a bounded tracestate."""
    first, *more = data.split(b"\n")
    found = trace_context.parse([(b"traceparent", first), *((b"tracestate", value) for value in more)])
    if found is None:
        return
    lines = trace_context.lines(found, b"c" * 16)
    assert re.fullmatch(
        rb"\r\ntraceparent: 00-[0-9a-f]{32}-c{16}-0[0-3](\r\ntracestate: [\x20-\x7e]{1,512})?", lines
    ), lines
    again = trace_context.parse_state([found.state])
    assert again == found.state, "what goes on is what the next hop understands"


@target("ambassador.http.http2_request", "ambassador.http2.heads", reach=60)
def requests_of_http2(data: bytes) -> None:
    """A head of HTTP/2 is refused, or goes on as one request in HTTP/1.1, which h11 reads as it was meant."""
    try:
        decoded = Decoder(16_384, 128).decode(data[1:])
        head = check_request(decoded.fields)
        length = length_of(head, (b"ab",), (), end=data[:1] < b"\x80")
        request = Http2Request(head, CombinedEdits(), length)
    except (ProtocolError, MalformedMessage, MessageRejected):
        return
    written = request.head(_HOST)
    assert written.count(b"\r\n\r\n") == 1
    assert written.endswith(b"\r\n\r\n")
    seen = _h11_request(written)
    assert seen is not None, written
    assert (seen.method, seen.target) == (head.method, head.path)
    assert [value for name, value in seen.headers if name == b"host"] == [_HOST]
    names = [name for name, _ in seen.headers]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    again = check_request(_fields(request.block(b"http", _HOST)))
    assert (again.method, again.path, again.content_length) == (head.method, head.path, head.content_length)


def _followed(pieces: Iterable[bytes]) -> Selection:
    """Return what is chosen after a watch whose body comes in these pieces, up to what is not understood."""
    table, lines = SliceTable(), WatchLines()
    with contextlib.suppress(UnusableDocument, VersionGone, WatchFailed):
        for piece in pieces:
            for line in lines.cut(piece):
                document = documents.parse(line)
                if "items" in document:
                    table.replace(table.parse_page(document), "1")
                else:
                    table.apply(document)
    return choose_endpoints(table.slices.values(), Wanted("orders", 0, "http", zone="a"))


@target(
    "ambassador.discovery.kubernetes.documents",
    "ambassador.discovery.kubernetes.endpoint_slices",
    "ambassador.discovery.kubernetes.slice_table",
    "ambassador.discovery.kubernetes.selection",
    reach=80,
)
def watch_streams(data: bytes) -> None:
    """What is chosen does not depend on how the stream is cut, and never leads to this Pod or its node."""
    found = _followed([data])
    assert found == _followed(data[begin : begin + 7] for begin in range(0, len(data), 7))
    for each in found.addresses:
        address = ipaddress.ip_address(each.ip)
        assert not address.is_loopback
        assert not address.is_link_local
        assert 0 < each.port < 65536
        assert (each.ip, each.port) in found.listed

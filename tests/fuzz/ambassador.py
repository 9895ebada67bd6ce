"""Targets of the ambassador: heads and bodies on both sides, and the files of the resolver."""

from __future__ import annotations

import contextlib

import h11

from sidecars.ambassador.discovery import resolvconf
from sidecars.ambassador.http.bodies import ChunkedReader, body_reader
from sidecars.ambassador.http.head_rules import UNTIL_CLOSE, MessageRejected, check_beginning, detect_protocol
from sidecars.ambassador.http.request_head import RequestParser
from sidecars.ambassador.http.response_head import parse_response
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

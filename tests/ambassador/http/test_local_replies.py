from __future__ import annotations

from typing import Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http2 import grpc
from sidecars.ambassador.http2.decoder import Decoder

UNAVAILABLE: Final = {
    "ADDRESS_UNREACHABLE",
    "CONNECTION_CLOSED",
    "CONNECTION_REFUSED",
    "CONNECT_TIMEOUT",
    "MOVED",
    "NO_ADDRESS",
    "NO_ADDRESS_IN_TIME",
    "NO_BUFFER",
    "NO_DESCRIPTORS",
    "NO_HTTP2",
    "NO_MEMORY",
    "NO_PORTS",
    "QUEUED_TOO_LONG",
    "QUEUE_FULL",
    "RESPONSE_TIMEOUT",
    "TOO_MANY_CONNECTIONS",
    "TOO_MANY_PENDING",
    "TOO_OLD",
    "malformed response",
    "reset",
}
OTHERS: Final = {
    "DEADLINE": grpc.DEADLINE_EXCEEDED,
    "DEFECT": grpc.INTERNAL,
    "NEEDS_HTTP2": grpc.UNIMPLEMENTED,
    "NO_ROUTE": grpc.UNIMPLEMENTED,
    "NO_UPGRADE": grpc.UNIMPLEMENTED,
    "path refused": grpc.INTERNAL,
    "fields too large": grpc.RESOURCE_EXHAUSTED,
    "head too large": grpc.RESOURCE_EXHAUSTED,
    "rate": grpc.RESOURCE_EXHAUSTED,
}
MADE: Final = {
    "malformed response": local_replies.malformed_response("x"),
    "reset": local_replies.reset_by_endpoint(2, is_unprocessed=False),
    "fields too large": local_replies.fields_too_large("x"),
    "head too large": local_replies.head_too_large(1),
    "path refused": local_replies.path_refused("x"),
    "rate": local_replies.beyond_rate(3),
}


def test_an_answer_tells_what_was_tried_and_how_it_failed() -> None:
    attempts = [("10.0.0.1:80", local_replies.CONNECTION_REFUSED), ("10.0.0.2:80", local_replies.RESPONSE_TIMEOUT)]
    text = local_replies.failure_reply(
        local_replies.RESPONSE_TIMEOUT, "orders", attempts, head_only=False, close=False
    ).decode()
    head, _, body = text.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 504 Gateway Timeout\r\n")
    assert 'Proxy-Status: ambassador; error=http_response_timeout; next-hop="10.0.0.2:80"; details="' in head
    assert "1. 10.0.0.1:80: the connection was refused; 2. 10.0.0.2:80: no response came in time" in head
    assert "attempt 1: 10.0.0.1:80: the connection was refused\n" in body
    assert f"\r\nContent-Length: {len(body)}" in head
    assert "Connection" not in head


def test_the_answer_to_head_has_no_body() -> None:
    reply = local_replies.failure_reply(local_replies.NO_ADDRESS, "orders", (), head_only=True, close=True)
    assert reply.endswith(b"Connection: close\r\n\r\n")


def test_a_refusal_cannot_break_out_of_its_field() -> None:
    head = local_replies.rejection_reply(400, 'a "quote"\r\nX: y\\').split(b"\r\n\r\n")[0]
    assert b'details="a \\"quote\\"??X: y\\\\"' in head


def test_every_cause_ends_a_call_with_a_status_that_was_decided() -> None:
    """UNAVAILABLE lets clients try again. The others say that it would be in vain, or too late."""
    causes = {name: cause for name, cause in vars(local_replies).items() if isinstance(cause, Cause)} | MADE
    for name, cause in causes.items():
        block, body = local_replies.http2_failure(cause, "orders", (), is_grpc=True)
        fields = {field.name: field.value for field in Decoder(10_000, 100).decode(block).fields}
        assert (fields[b":status"], fields[b"content-type"], body) == (b"200", b"application/grpc", b"")
        expected = grpc.UNAVAILABLE if name in UNAVAILABLE else OTHERS[name]
        assert int(fields[b"grpc-status"]) == expected, name
        assert cause.text in grpc.unescape_message(fields[b"grpc-message"])
        assert (b"grpc-retry-pushback-ms" in fields) == bool(cause.retry_after)
    assert causes.keys() == UNAVAILABLE | OTHERS.keys()


def test_a_response_that_breaks_off_is_unavailable_but_for_the_deadline_and_for_trailers_that_are_too_large() -> None:
    ends = {local_replies.call_status_of_end(cause) for cause in (local_replies.MOVED, local_replies.RESPONSE_TIMEOUT)}
    assert ends == {grpc.UNAVAILABLE}
    assert local_replies.call_status_of_end(local_replies.DEADLINE) == grpc.DEADLINE_EXCEEDED
    assert local_replies.call_status_of_end(local_replies.fields_too_large("x")) == grpc.RESOURCE_EXHAUSTED

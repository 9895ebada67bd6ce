from __future__ import annotations

from sidecars.ambassador.http import local_replies


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

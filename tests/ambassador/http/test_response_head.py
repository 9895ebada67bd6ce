from __future__ import annotations

import pytest

from sidecars.ambassador.http.head_rules import CHUNKED, UNTIL_CLOSE, MessageRejected, check_beginning
from tests.ambassador.heads import response
from tests.ambassador.malformed import RESPONSES


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_that_could_be_read_in_two_ways_is_refused(name: str) -> None:
    message = RESPONSES[name]
    end = message.find(b"\r\n\r\n")
    with pytest.raises(MessageRejected) as caught:
        check_beginning(message, 502) if end < 0 else response(message[:end])
    assert caught.value.status == 502


@pytest.mark.parametrize(
    ("head", "method", "length", "out"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", b"GET", 5, b"Content-Length: 5\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", b"HEAD", 0, b"Content-Length: 5\r\n"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5", b"GET", 0, b"Content-Length: 5\r\n"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0", b"GET", 0, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked", b"GET", CHUNKED, b"Transfer-Encoding: chunked\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"HEAD", 0, b"Transfer-Encoding: chunked\r\n"),
        (b"HTTP/1.1 200 OK", b"GET", UNTIL_CLOSE, b"Transfer-Encoding: chunked\r\n"),
        (b"HTTP/1.1 200 OK", b"HEAD", 0, b""),
        (b"HTTP/1.0 200", b"GET", UNTIL_CLOSE, b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_where_a_responses_body_ends(head: bytes, method: bytes, length: int, out: bytes) -> None:
    parsed = response(head, method)
    assert parsed.length == length
    via = b"Via: %b ambassador\r\n\r\n" % head[5:8]
    assert parsed.head(1, close=False).partition(b"\r\n")[2] == out + via


def test_a_client_of_http_1_0_never_sees_chunks() -> None:
    parsed = response(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked")
    assert b"chunked" not in parsed.head(0, close=True)


def test_the_upstream_says_how_long_it_keeps_an_idle_connection() -> None:
    parsed = response(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 0")
    assert parsed.idle_timeout == 5
    assert b"eep-" not in parsed.head(1, close=False)


def test_what_means_nothing_in_a_response_is_passed_like_any_field() -> None:
    assert b"Expect: x\r\n" in response(b"HTTP/1.1 200 OK\r\nExpect: x\r\nContent-Length: 0").head(1, close=False)


def test_a_response_to_head_and_one_to_get_with_the_same_head_are_told_apart() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Same: 1"
    assert [response(head, method).length for method in (b"GET", b"HEAD", b"GET", b"HEAD")] == [7, 0, 7, 0]

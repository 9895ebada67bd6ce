from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http import response_head
from sidecars.ambassador.http.bodies import body_reader
from sidecars.ambassador.http.fields import FIELD_LINES
from sidecars.ambassador.http.head_rules import CHUNKED, UNTIL_CLOSE, MessageRejected, check_beginning
from sidecars.ambassador.http.request_head import Request, RequestParser
from sidecars.ambassador.http.response_head import Response, parse_response
from tests.ambassador.malformed import REQUESTS, RESPONSES

AUTHORITIES = {b"127.0.0.1:8500", b"orders"}


def request(head: bytes) -> Request:
    return parse(RequestParser(AUTHORITIES), head.removesuffix(b"\r\n\r\n"))


def parse(judge: RequestParser, head: bytes) -> Request:
    return judge.parse(head + b"\r\n\r\nwhat follows", len(head))


def sent(head: bytes) -> bytes:
    return request(head).head(b"orders")


def response(head: bytes, method: bytes = b"GET") -> Response:
    return parse_response(head.removesuffix(b"\r\n\r\n"), request(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n"))


def refusal_of(message: bytes) -> int | None:
    """The status that a request, delivered whole, is refused with; None when it is not."""
    try:
        end = message.find(b"\r\n\r\n")
        if end < 0:
            check_beginning(message, 400)
            return None
        parsed = request(message[:end])
        if parsed.length:
            body_reader(parsed.length, 400).feed(message[end + 4 :])
    except MessageRejected as error:
        return error.status
    return None


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_could_be_read_in_two_ways_is_refused(name: str) -> None:
    message, status = REQUESTS[name]
    assert refusal_of(message) == status


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_that_could_be_read_in_two_ways_is_refused(name: str) -> None:
    message = RESPONSES[name]
    end = message.find(b"\r\n\r\n")
    with pytest.raises(MessageRejected) as caught:
        check_beginning(message, 502) if end < 0 else response(message[:end])
    assert caught.value.status == 502


def test_a_request_goes_out_in_our_own_words() -> None:
    assert sent(b"GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:8500\r\nX-MixedCase:   v  \r\nAccept: */*\r\n\r\n") == (
        b"GET /a?b=c HTTP/1.1\r\nHost: orders\r\nX-MixedCase: v\r\nAccept: */*\r\nVia: 1.1 ambassador\r\n\r\n"
    )


def test_fields_of_one_hop_end_here() -> None:
    out = sent(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Connection: close\r\nTE: gzip\r\nHTTP2-Settings: AA\r\nX-Public: 2\r\n\r\n"
    )
    assert out == b"GET / HTTP/1.1\r\nHost: orders\r\nX-Public: 2\r\nVia: 1.1 ambassador\r\n\r\n"


def test_connection_cannot_take_away_what_frames_or_routes_the_message() -> None:
    out = sent(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length\r\nContent-Length: 3\r\n\r\n")
    assert b"Host: orders\r\n" in out
    assert b"Content-Length: 3\r\n" in out


def test_via_tells_the_version_in_which_the_message_came() -> None:
    assert sent(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").endswith(b"\r\nVia: 1.0 ambassador\r\n\r\n")
    for minor in (0, 1):
        old = response(b"HTTP/1.%d 200 OK\r\nContent-Length: 0" % minor)
        for close in (False, True):
            assert old.head(1, close=close).endswith(b"Via: 1.%d ambassador\r\n\r\n" % minor)


def test_an_earlier_proxys_via_stays_in_front_of_ours() -> None:
    out = sent(b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 fred\r\n\r\n")
    assert out.index(b"Via: 1.0 fred") < out.index(b"Via: 1.1 ambassador")


def test_a_url_of_ours_as_target_becomes_a_path() -> None:
    assert sent(b"GET http://Orders?x HTTP/1.1\r\nHost: other\r\n\r\n").startswith(
        b"GET /?x HTTP/1.1\r\nHost: orders\r\n"
    )
    assert sent(b"OPTIONS http://orders HTTP/1.1\r\nHost: other\r\n\r\n").startswith(b"OPTIONS * HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: a", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close", False),
        (b"GET / HTTP/1.0", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive", True),
    ],
)
def test_whether_a_connection_goes_on(head: bytes, keep_alive: bool) -> None:  # noqa: FBT001 - a table
    assert request(head).keep_alive is keep_alive


def test_an_upgrade_is_passed_on_but_never_to_h2c() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"
    assert request(head % b"websocket, h2c").upgrade == (b"websocket",)
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in sent(head % b"websocket, h2c")
    assert b"pgrade" not in sent(head % b"h2c")


def test_an_upgrade_that_connection_does_not_name_is_dropped() -> None:
    assert b"pgrade" not in sent(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n")


def test_max_forwards_counts_down_and_ends_here() -> None:
    assert b"Max-Forwards: 4\r\n" in sent(b"OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\n\r\n")
    with pytest.raises(MessageRejected) as caught:
        request(b"OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
    assert caught.value.status == 204


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(MessageRejected) as caught:
        request(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"\r\n".join(b"X-%d: y" % number for number in range(1000)))
    assert caught.value.status == 431


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


@given(st.binary(max_size=200))
def test_no_bytes_are_a_defect(junk: bytes) -> None:
    """Whatever comes is parsed or refused; nothing else is ever raised."""
    for head in (junk, b"GET / HTTP/1.1\r\nHost: a\r\n" + junk):
        refusal_of(head + b"\r\n\r\n")
    with contextlib.suppress(MessageRejected):
        response(b"HTTP/1.1 200 OK\r\n" + junk)


NAMES = st.from_regex(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}", fullmatch=True)
VALUES = st.from_regex(rb"[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]{0,20}[\x21-\x7e\x80-\xff])?", fullmatch=True)


@given(st.lists(st.tuples(NAMES.map(lambda name: b"X-" + name), VALUES), max_size=10))
def test_what_is_passed_on_means_to_h11_what_was_received(fields: list[tuple[bytes, bytes]]) -> None:
    import h11  # noqa: PLC0415 - the oracle

    head = b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"".join(b"%b:%b\r\n" % field for field in fields) + b"\r\n"
    oracle = h11.Connection(h11.SERVER)
    oracle.receive_data(sent(head))
    event = oracle.next_event()
    assert isinstance(event, h11.Request)
    names = [(name.lower(), value) for name, value in fields]
    assert list(event.headers) == [(b"host", b"orders"), *names, (b"via", b"1.1 ambassador")]


# -- what is remembered -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REQUESTS)
def test_what_was_read_before_changes_no_judgement(name: str) -> None:
    """The same field lines behind another first line, again and again: each time as if they were new."""
    message, _ = REQUESTS[name]
    end = message.find(b"\r\n\r\n")
    lines = message[:end].partition(b"\r\n")[2] if end >= 0 else b""
    judge = RequestParser(AUTHORITIES)
    for first in (b"GET / HTTP/1.1", b"POST / HTTP/1.0", b"OPTIONS * HTTP/1.1", b"GET /a HTTP/1.1") * 2:
        head = first + b"\r\n" + lines
        assert outcome(judge, head) == outcome(RequestParser(AUTHORITIES), head)


def outcome(judge: RequestParser, head: bytes) -> tuple[object, ...]:
    try:
        found = parse(judge, head)
    except MessageRejected as error:
        return error.status, error.reason
    return found.head(b"orders"), found.length, found.keep_alive, found.expects_continue, found.upgrade, found.host


def test_heads_that_come_once_or_carry_secrets_are_not_remembered_and_the_others_not_without_bound() -> None:
    judge = RequestParser(AUTHORITIES)
    for number in [*range(3000), *range(2000)]:
        for secret in (b"Authorization", b"Cookie"):
            parse(judge, b"GET / HTTP/1.1\r\nHost: a\r\n%b: hidden%d" % (secret, number))
        parse(judge, b"GET / HTTP/1.1\r\nHost: a\r\nX-Trace: %d" % number)
        asked = parse(judge, b"GET / HTTP/1.1\r\nHost: a")
        parse_response(b"HTTP/1.1 200 OK\r\nSet-Cookie: hidden%d\r\nContent-Length: 0" % number, asked)
        parse_response(b"HTTP/1.1 200 OK\r\nX-Trace: %d\r\nContent-Length: 0" % number, asked)
        for _ in range(2):
            parse_response(b"HTTP/1.1 200 OK\r\nX-Twice: %d\r\nContent-Length: 0" % number, asked)
    for remembered in (judge._cache, response_head._cache, FIELD_LINES):
        assert 0 < len(remembered) < 2500
        assert not any(b"hidden" in line for line in remembered)


def test_a_response_to_head_and_one_to_get_with_the_same_head_are_told_apart() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Same: 1"
    assert [response(head, method).length for method in (b"GET", b"HEAD", b"GET", b"HEAD")] == [7, 0, 7, 0]

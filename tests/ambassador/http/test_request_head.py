from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http.head_rules import MessageRejected
from sidecars.ambassador.http.request_head import RequestParser
from tests.ambassador.heads import AUTHORITIES, parse, refusal_of, request, sent
from tests.ambassador.malformed import REQUESTS


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_could_be_read_in_two_ways_is_refused(name: str) -> None:
    message, status = REQUESTS[name]
    assert refusal_of(message) == status


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


NAMES = st.from_regex(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}", fullmatch=True)
VALUES = st.from_regex(rb"[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]{0,20}[\x21-\x7e\x80-\xff])?", fullmatch=True)


@given(st.lists(st.tuples(NAMES.map(lambda name: b"X-" + name), VALUES), max_size=10))
def test_what_is_passed_on_means_to_h11_what_was_received(fields: list[tuple[bytes, bytes]]) -> None:
    import h11  # noqa: PLC0415 - the oracle of this test alone

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
    """Equal field lines behind different request lines give the same result from the cache as without it."""
    message, _ = REQUESTS[name]
    end = message.find(b"\r\n\r\n")
    lines = message[:end].partition(b"\r\n")[2] if end >= 0 else b""
    parser = RequestParser(AUTHORITIES)
    for first in (b"GET / HTTP/1.1", b"POST / HTTP/1.0", b"OPTIONS * HTTP/1.1", b"GET /a HTTP/1.1") * 2:
        head = first + b"\r\n" + lines
        assert outcome(parser, head) == outcome(RequestParser(AUTHORITIES), head)


def outcome(parser: RequestParser, head: bytes) -> tuple[object, ...]:
    try:
        found = parse(parser, head)
    except MessageRejected as error:
        return error.status, error.reason
    return found.head(b"orders"), found.length, found.keep_alive, found.expects_continue, found.upgrade, found.host

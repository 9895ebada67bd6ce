"""Messages that the RFCs allow or that real peers send pass, and a rejection names its cause."""

from __future__ import annotations

import pytest

from tests.ambassador.support import GET, Ambassador, answering, backends, saying
from tests.conftest import Start
from tests.support import wait_until

# -- chunk sizes --------------------------------------------------------------------------------------------------


def test_a_body_of_padded_chunks_arrives(start: Start) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with backends(saying(chunked + b"5     \r\nhello\r\n1 ;x\r\n!\r\n0   \r\n\r\n")) as (backend,):
        assert Ambassador(start, backend.url).ask()[2] == b"hello!"


# -- statuses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [499, 599, 600, 666, 777, 999])
def test_a_status_beyond_599_is_passed_on_as_it_is(start: Start, status: int) -> None:
    """RFC 9110 section 15: the client treats it as a 5xx, and it counts as one for the endpoint."""
    with backends(saying(b"HTTP/1.1 %d Odd\r\nContent-Length: 3\r\n\r\nodd" % status)) as (backend,):
        ambassador = Ambassador(start, backend.url, HEALTH_PATH="/", ACCESS_LOG="all")
        with ambassador.connect() as peer:
            peer.send(GET)
            assert peer.head().startswith(b"HTTP/1.1 %d Odd\r\n" % status)
            assert peer.exactly(3) == b"odd"
        assert ambassador.metric("ambassador_requests_total", code=str(status)) == 1
        assert ambassador.endpoint(backend)["failed"] == (status >= 500)
        wait_until(lambda: ambassador.endpoint(backend)["check_error"] == f"it responded with {status}", "a check")


# -- interim responses --------------------------------------------------------------------------------------------


# -- rejections name their cause ----------------------------------------------------------------------------


def test_percent_encoded_letters_pass(start: Start) -> None:
    seen: list[bytes] = []
    with backends(answering(seen=seen)) as (backend,):
        assert Ambassador(start, backend.url).ask(b"GET /caf%C3%A9?q=%E6 HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 200
    assert seen[0].startswith(b"GET /caf%C3%A9?q=%E6 HTTP/1.1\r\n")


def test_raw_letters_in_a_target_get_an_answer_that_names_them(start: Start) -> None:
    with backends(answering()) as (backend,):
        status, head, body = Ambassador(start, backend.url).ask("GET /café HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert status == 400
    assert b"percent-encoded" in head
    assert b"percent-encoded" in body


# -- many fields --------------------------------------------------------------------------------------------------


def test_300_cookies_are_set(start: Start) -> None:
    cookies = b"".join(b"Set-Cookie: c%d=%d\r\n" % (number, number) for number in range(300))
    with backends(saying(b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % cookies)) as (backend,):
        status, head, _ = Ambassador(start, backend.url).ask()
    assert status == 200
    assert head.count(b"Set-Cookie: ") == 300


def test_300_fields_of_a_request_are_passed_on(start: Start) -> None:
    seen: list[bytes] = []
    fields = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(300))
    with backends(answering(seen=seen)) as (backend,):
        assert Ambassador(start, backend.url).ask(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % fields)[0] == 200
    assert seen[0].count(b"\r\nX-") == 300


def test_the_number_of_fields_is_a_setting_for_both_directions(start: Start) -> None:
    fields = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(65))
    responses = [
        b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % fields,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ]
    with backends(saying(responses[0]), saying(responses[1])) as (many, few):
        ambassador = Ambassador(start, many.url, MAX_HEADERS="64")
        status, _, body = ambassador.ask()
        assert status == 502
        assert b"MAX_HEADERS" in body
        ambassador = Ambassador(start, few.url, MAX_HEADERS="64")
        status, _, body = ambassador.ask(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % fields)
        assert status == 431
        assert b"MAX_HEADERS" in body
        assert ambassador.ask(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % fields[: fields.index(b"X-63")])[0] == 200


# -- other protocols ----------------------------------------------------------------------------------------------


def test_a_preface_of_http2_behind_a_request_is_refused(start: Start) -> None:
    """It could have been smuggled in: a connection has one protocol from its first byte on."""
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with ambassador.connect() as peer:
            peer.send(GET)
            assert peer.response()[0] == 200
            peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
            status, head, body = peer.response()
        assert (status, b"preface" in body, b"Connection: close" in head) == (505, True, True)
        assert ambassador.metric("ambassador_requests_total", code="505") == 1


def test_tls_on_an_http_port_is_told_of_in_the_log_and_the_answer(start: Start) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with ambassador.connect() as peer:
            peer.send(hello)
            assert b"TLS" in peer.rest()
        assert ambassador.program.wait_logged("a client speaks another protocol than HTTP")["protocol"] == "TLS"


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x0a", b"https://"),
        (b"\0\0\x12\x04\0\0\0\0\0" + bytes(18), b"HTTP/2"),
        (b"220 mail.example ESMTP\r\n\r\n", b"status line"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"status line"),
    ],
)
def test_an_upstream_that_speaks_another_protocol_is_told_of(start: Start, first: bytes, words: bytes) -> None:
    with backends(saying(first)) as (backend,):
        status, _, body = Ambassador(start, backend.url).ask()
    assert status == 502
    assert words in body

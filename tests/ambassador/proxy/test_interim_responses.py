"""Interim responses with framing fields, which a 1xx must not have: the forwarded head, and the connection."""

from __future__ import annotations

import pytest

from tests.ambassador.exchanges import Pair

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints", b"199 Odd"])
@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length: 0",
        b"Content-Length: 7",
        b"Content-Length: x",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked",
    ],
)
def test_framing_fields_of_an_interim_response_are_taken_off(status: bytes, field: bytes) -> None:
    """RFC 9112 section 6.3: a 1xx ends with its head, whatever its fields."""
    with Pair() as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        pair.connection.data_received(b"HTTP/1.1 %b\r\n%b\r\nLink: </a>\r\n\r\n" % (status, field))
        assert pair.app.written == b"HTTP/1.1 %b\r\nLink: </a>\r\n\r\n" % status
        pair.connection.data_received(OK)
        assert pair.app.written.endswith(b"\r\n\r\nok")
        # An upstream that frames a 1xx may send a body with it, so no other request uses this connection.
        assert pair.there.aborted
        assert pair.connection not in pair.idle


def test_an_interim_response_without_framing_leaves_the_connection_of_use() -> None:
    with Pair() as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        pair.connection.data_received(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
        assert pair.connection in pair.idle


def test_a_body_behind_an_interim_response_is_not_taken_for_the_answer() -> None:
    with Pair() as pair:
        pair.client.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        pair.connection.data_received(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nab" + OK)
        assert b"502 Bad Gateway" in pair.app.written

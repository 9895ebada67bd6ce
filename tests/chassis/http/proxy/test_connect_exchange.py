"""CONNECT to a proxy, and each response that it may give, in pieces of any size."""

from __future__ import annotations

import pytest

from sidecars.chassis.http.proxy.connect_exchange import (
    CLOSED,
    CREDENTIALS,
    MALFORMED,
    REFUSED,
    TOO_LARGE,
    ConnectExchange,
    NotConnected,
)


def exchange() -> ConnectExchange:
    return ConnectExchange("orders.test:443", [("User-Agent", "a")])


def test_the_request_names_the_place_twice_and_nothing_else() -> None:
    made = ConnectExchange("[fd00::1]:443", [("Proxy-Authorization", "Basic YTpi")])
    assert made.request == (
        b"CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\nProxy-Authorization: Basic YTpi\r\n\r\n"
    )
    with pytest.raises(ValueError, match="llegal header value"):
        ConnectExchange("a:1", [("Proxy-Authorization", "a\r\nb: c")])


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_what_follows_a_2xx_are_bytes_of_the_host(step: int) -> None:
    made = exchange()
    said = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 Fine\r\nContent-Length: 5\r\n\r\n"
    pieces = [said[start : start + step] for start in range(0, len(said), step)]
    assert [made.feed(piece) for piece in pieces] == [None] * (len(pieces) - 1) + [b""]
    assert exchange().feed(said + b"220 hello") == b"220 hello"


@pytest.mark.parametrize(
    ("said", "kind", "status"),
    [
        (b"HTTP/1.1 407 Who\r\n\r\n", CREDENTIALS, 407),
        (b"HTTP/1.1 401 Who\r\n\r\n", CREDENTIALS, 401),
        (b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nEvil", REFUSED, 403),
        (b"HTTP/1.1 302 Elsewhere\r\nLocation: http://evil/\r\n\r\n", REFUSED, 302),
        (b"HTTP/1.1 100 C\r\n\r\n" * 17, MALFORMED, 0),
        (b"HTTP/1.1 101 Switch\r\n\r\n" * 17, MALFORMED, 0),
        (b"HTTP/2 200\r\n\r\n", MALFORMED, 0),
        (b"\x15\x03\x01\0\x02\x02\x50", MALFORMED, 0),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 20_000, TOO_LARGE, 0),
        (b"", CLOSED, 0),
    ],
)
def test_a_proxy_that_does_not_connect_is_told_by_its_kind(said: bytes, kind: str, status: int) -> None:
    with pytest.raises(NotConnected) as refusal:
        exchange().feed(said)
    assert (refusal.value.kind, refusal.value.status) == (kind, status)
    assert "vil" not in str(refusal.value)

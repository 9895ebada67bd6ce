"""WebSocket beside all that an upstream may have: routes, a mirror, hedges, limits; and from an app of HTTP/2."""

from __future__ import annotations

import pytest

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection
from tests.ambassador.support import GET, Ambassador, Peer, answering, backends
from tests.conftest import Start
from tests.support import free_port, wait_until

OPENING = (
    b"GET /live/7 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
LIMITS = {"ADAPTIVE_CONCURRENCY": "on", "MAX_REQUESTS": "2", "MAX_QUEUED": "0", "RATE_LIMIT": "100/s"}


def echoing(peer: Peer) -> None:
    """Switch protocols if it is asked for, and send back each byte; answer anything else."""
    while head := peer.head():
        if b"Upgrade: websocket" not in head:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            continue
        peer.send(SWITCHED)
        while data := peer.exactly(1):
            peer.send(data)


def test_websockets_pass_a_route_with_a_mirror_hedges_and_limits_which_do_not_count_them(start: Start) -> None:
    shadowed: list[bytes] = []
    plain = GET.replace(b"GET / ", b"GET /live ")
    with backends(echoing, echoing, answering(seen=shadowed)) as (first, second, shadow):
        ambassador = Ambassador(
            start,
            "",
            LIVE_UPSTREAM=f"{first.url},{second.url}",
            LIVE_ROUTE="/live",
            LIVE_MIRROR="shadow",
            LIVE_HEDGE_AFTER="1ms",
            SHADOW_UPSTREAM=shadow.url,
            SHADOW_LISTEN=f"127.0.0.1:{free_port()}",
            **{f"LIVE_{name}": value for name, value in LIMITS.items()},
        )
        with ambassador.connect() as one, ambassador.connect() as other:
            for app in (one, other):
                app.send(OPENING)
                assert app.head().startswith(b"HTTP/1.1 101 ")
            assert ambassador.ask(plain)[0] == 200  # MAX_REQUESTS=2: a tunnel is no request any more
            for app in (one, other):
                app.send(b"hello")
                assert app.exactly(5) == b"hello"
        wait_until(lambda: bool(shadowed), "the copy of the plain request")
        wait_until(lambda: ambassador.metric("ambassador_downstream_connections_open") == 0, "the end of the tunnels")
        assert ambassador.metric("ambassador_mirror_copies_total", upstream="live", outcome="upgrade") == 2
        assert ambassador.metric("ambassador_requests_total", upstream="live", code="101") == 2
    assert not any(b"Upgrade" in head for head in shadowed)


ASKING = {
    "extended CONNECT (RFC 8441)": [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"http"),
        (b":path", b"/live"),
        (b":authority", b"a"),
    ],
    "the fields of HTTP/1.1": raw.request(b"/live", b"GET", (b"connection", b"Upgrade"), (b"upgrade", b"websocket")),
}


@pytest.mark.parametrize("way", ASKING)
def test_an_app_of_http2_that_asks_for_a_websocket_is_told_why_it_gets_none(start: Start, way: str) -> None:
    with backends(echoing) as (backend,), Connection.to(Ambassador(start, backend.url).port) as app:
        app.send(raw.headers(1, ASKING[way]))
        message = app.message(1)
        assert message is not None
        assert message.status == 400
        assert b"WebSocket" in message.body
        assert b"HTTP/1.1" in message.body
        assert app.round_trip()
        assert backend.connections == 0

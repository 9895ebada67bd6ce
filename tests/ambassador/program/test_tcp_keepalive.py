"""TCP keepalive of the real program, as the kernel shows it: each connection of both sides has its timer."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from tests.ambassador.support import GET, Ambassador, Peer, backends, hanging
from tests.conftest import Start
from tests.support import wait_until

# Of /proc/net/tcp: our port, the peer's, an established connection, the kind of its timer, and hundredths of a second.
ROW = re.compile(r"\d+: \w+:(\w{4}) \w+:(\w{4}) 01 \w+:\w+ (\w\w):(\w{8}) ")
KEEPALIVE = "02"


def timers(port: int, side: str) -> list[tuple[str, float]]:
    """Return the timer, and the seconds until it ends, of the connections that come to this port or go there."""
    found = ROW.findall(Path("/proc/net/tcp").read_text())
    rows = [(ours if side == "from the app" else theirs, kind, ticks) for ours, theirs, kind, ticks in found]
    return [(kind, int(ticks, 16) / 100) for where, kind, ticks in rows if int(where, 16) == port]


def kinds(port: int, side: str) -> list[str]:
    return [kind for kind, _ in timers(port, side)]


def is_kept_alive(port: int, side: str) -> bool:
    return kinds(port, side) == [KEEPALIVE]


@pytest.mark.parametrize("protocol", ["http", "tcp", "upgrade"])
def test_connections_of_both_sides_are_kept_alive(start: Start, protocol: str) -> None:
    def serve(peer: Peer) -> None:
        if protocol == "upgrade" and peer.head():
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        hanging(peer)

    with backends(serve) as (backend,):
        scheme = "tcp" if protocol == "tcp" else "http"
        ambassador = Ambassador(start, f"{scheme}://127.0.0.1:{backend.port}")
        with ambassador.connect() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            wait_until(lambda: backend.connections, "the connection upstream")
            for port, side in ((ambassador.port, "from the app"), (backend.port, "to the endpoint")):
                wait_until(partial(is_kept_alive, port, side), f"the timer {side}")
                assert [seconds for _, seconds in timers(port, side) if seconds > 31] == []


def test_keepalive_can_be_turned_off(start: Start) -> None:
    with backends(hanging) as (backend,):
        ambassador = Ambassador(start, backend.url, TCP_KEEPALIVE="0")
        with ambassador.connect() as peer:
            peer.send(GET)
            wait_until(partial(kinds, backend.port, "to the endpoint"), "the connection upstream")
            assert KEEPALIVE not in kinds(ambassador.port, "from the app") + kinds(backend.port, "to the endpoint")

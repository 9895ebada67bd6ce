"""A peer that reads slowly does not count as one that reads nothing."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.transport.tcp_keepalive import acknowledged
from tests.ambassador.exchanges import Pair, tunnel_end
from tests.ambassador.support import GET
from tests.support import wait_until

LIMITS = {"AMBASSADOR_IDLE_TIMEOUT": "100s", "AMBASSADOR_TIMEOUT": "100s"}
UPLOAD = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234"
MOST = 99.0  # seconds; a little less than each time-out
ROUNDS = 5


class Full:
    """A TCP connection with full buffers, until its peer reads."""

    def __init__(self, own: socket.socket, peer: socket.socket) -> None:
        self.own = own
        self._peer = peer
        own.setblocking(False)
        self._fill()

    def _fill(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.own.send(bytes(65536))

    def take_some(self) -> None:
        """Let the peer read so little that the kernel acknowledges it but does not ask for more."""
        before = acknowledged(self.own)

        def is_noticed() -> bool:
            self._peer.recv(4096)
            return acknowledged(self.own) > before

        wait_until(is_noticed, "what the peer has taken is acknowledged")


@contextlib.contextmanager
def full() -> Iterator[Full]:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        own = stack.enter_context(socket.create_connection(listener.getsockname()))
        yield Full(own, stack.enter_context(listener.accept()[0]))


def tick_while_it_takes(exchange: Exchange, upstream: Full) -> float:
    """Tick an exchange ROUNDS times, MOST seconds apart, while the upstream takes some of it; return the time."""
    now = exchange.progress.since
    exchange.tick(now)
    for _ in range(ROUNDS):
        upstream.take_some()
        now += MOST
        exchange.tick(now)
    return now


def test_an_upload_goes_on_for_as_long_as_the_upstream_takes_some_of_it() -> None:
    with Pair(**LIMITS) as pair, full() as upstream:
        pair.client.data_received(UPLOAD)
        pair.there.socket = upstream.own
        pair.connection.pause_writing()
        exchange = pair.client.exchange
        assert exchange is not None
        now = tick_while_it_takes(exchange, upstream)
        assert not exchange.over
        exchange.tick(now + MOST)
        assert not exchange.over
        exchange.tick(now + 101.0)
        assert pair.app.written.startswith(b"HTTP/1.1 504 ")


def test_a_whole_upload_that_is_being_taken_is_no_late_answer() -> None:
    with Pair(**LIMITS) as pair, full() as upstream:
        pair.client.data_received(UPLOAD + b"56789")
        pair.there.socket = upstream.own
        exchange = pair.client.exchange
        assert exchange is not None
        now = tick_while_it_takes(exchange, upstream)
        assert not exchange.over
        exchange.tick(now + 101.0)
        assert pair.app.written.startswith(b"HTTP/1.1 504 ")


def test_an_app_that_takes_some_of_its_answer_keeps_its_connection() -> None:
    with Pair(**LIMITS) as pair, full() as app:
        pair.client.data_received(GET)
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        pair.client.pause_writing()
        pair.app.socket, pair.app.unsent = app.own, 65536
        now = pair.client.since
        pair.client.tick(now)
        for _ in range(ROUNDS):
            app.take_some()
            now += MOST
            pair.client.tick(now)
        assert not pair.app.closing
        pair.client.tick(now + 101.0)
        assert pair.app.aborted


def test_a_half_closed_tunnel_goes_on_for_as_long_as_an_end_takes_some() -> None:
    with Pair(**LIMITS) as pair, full() as app:
        ours = tunnel_end(pair.upstream, pair.app, inbound=True)
        theirs = tunnel_end(pair.upstream, pair.there, inbound=False)
        pair.endpoint.pending += 1
        ours.join(theirs, pair.endpoint)
        theirs.eof_received()
        pair.app.socket, pair.app.unsent = app.own, 65536
        now = 1000.0
        ours.tick(now)
        for _ in range(ROUNDS):
            app.take_some()
            now += MOST
            ours.tick(now)
        assert not pair.app.closing
        ours.tick(now + 101.0)
        assert pair.app.aborted

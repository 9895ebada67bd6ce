"""Loads that several tests put on an ambassador: an upload that the upstream does not read at first, and a SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import threading

from tests.ambassador.support import Ambassador, Peer, load
from tests.support import PATIENCE

PIECE = 1_000_000  # bytes
MOST_GROWTH = 20_000_000  # bytes of memory


class HeldUpload:
    """An upload of `size` bytes to an upstream that reads nothing until the test lets it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._go = threading.Event()

    def handle(self, peer: Peer) -> None:
        """Serve as the upstream: read a head, wait, read the body, and respond."""
        peer.head()
        self._go.wait(PATIENCE)
        left = self.size - len(peer.buffer)
        while left:
            left -= len(peer.socket.recv(PIECE))
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def send(self, ambassador: Ambassador, request_line: bytes) -> None:
        """Upload; check that the app is held back and that the ambassador holds little memory."""
        before = ambassador.rss()
        with ambassador.connect() as app:
            app.send(b"%b\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (request_line, self.size))
            app.socket.settimeout(1.0)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < self.size:
                    sent += app.socket.send(b"x" * min(PIECE, self.size - sent))
            assert sent < self.size  # the upstream reads nothing, so our data is not read either
            assert ambassador.rss() - before < MOST_GROWTH
            app.socket.settimeout(PATIENCE)
            self._go.set()
            while sent < self.size:
                sent += app.socket.send(b"x" * min(PIECE, self.size - sent))
            assert app.response()[2] == b"ok"
        assert ambassador.rss() - before < MOST_GROWTH


def sigterm_under_load(ambassador: Ambassador, at: int, until: int) -> list[str]:
    """Send SIGTERM after `at` responses, go on until `until` responses, and return the errors of the clients."""
    is_sent = False

    def enough(count: int) -> bool:
        nonlocal is_sent
        if count > at and not is_sent:
            is_sent = True
            ambassador.program.signal(signal.SIGTERM)
        return count > until

    return load(ambassador, clients=8, until=enough)

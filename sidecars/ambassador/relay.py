"""Two connections as one: what comes on either goes out on the other, byte for byte.

The end of one direction is passed on and the other goes on (half-close); when both have ended, both connections close.
A connection that breaks breaks the other one. Neither side is read faster than the other takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecars.ambassador.endpoints import Endpoint
    from sidecars.ambassador.upstream import Upstream


class Relay(asyncio.Protocol):
    """One of the two ends."""

    __slots__ = ("ended", "endpoint", "inbound", "lost", "peer", "transport", "upstream")

    def __init__(self, transport: Any, upstream: Upstream, endpoint: Endpoint, *, inbound: bool) -> None:
        self.transport = transport
        self.upstream = upstream
        self.endpoint = endpoint
        self.inbound = inbound  # whether this end is the app's
        self.peer: Relay = self
        self.ended = False
        self.lost = False

    @classmethod
    def pair(cls, here: Any, there: Any, upstream: Upstream, endpoint: Endpoint) -> tuple[Relay, Relay]:
        """The two ends, the app's first. They are to be made the protocols of their transports.

        The endpoint's connection is counted as open, and the endpoint as having a pending request, until it ends.
        """
        ours, theirs = cls(here, upstream, endpoint, inbound=True), cls(there, upstream, endpoint, inbound=False)
        ours.peer, theirs.peer = theirs, ours
        upstream.relays.add(ours)
        for transport in (here, there):
            with contextlib.suppress(OSError, AttributeError):
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return ours, theirs

    def data_received(self, data: bytes) -> None:
        counters = self.upstream.counters
        if self.inbound:
            counters.sent += len(data)
        else:
            counters.received += len(data)
            counters.delivered += len(data)
        if not self.peer.lost:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.peer.lost:
            return False
        if self.peer.ended:
            self.peer.transport.close()
            return False
        self.peer.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.peer.lost:
            self.peer.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self.inbound:
            self.upstream.relays.discard(self)
        else:
            self.endpoint.connections -= 1
            self.endpoint.pending -= 1
        if not self.peer.lost:
            if error is None and self.ended:
                self.peer.transport.close()
            else:
                self.peer.transport.abort()

"""Two connections as one: what comes on either goes out on the other, byte for byte.

The end of one direction is passed on and the other goes on (half-close); when both have ended, both connections close.
So they do when the app has closed its connection for good (`disconnects`): what it has sent still
goes on, and nobody waits for an answer.
A connection that breaks breaks the other one: a reset goes on as a reset, since an orderly end would say that all had
come. Neither side is read faster than the other takes.

TLS as it is spoken here has no end of one direction: that an app has ended is not passed on through it, and the
upstream's end is the end of both.

A tunnel may be silent for as long as both ends are open. Once one has ended or is lost, the rest must keep moving: an
end that neither takes what is left nor sends more for as long as the app may be silent is broken off. So is one whose
host is gone (`sidecars.ambassador.transport.tcp_keepalive`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from sidecars.ambassador.transport.tcp_keepalive import acknowledged, is_unreachable

if TYPE_CHECKING:
    from sidecars.ambassador.balancing.endpoint import Endpoint
    from sidecars.ambassador.proxy.client_connection import ClientConnection
    from sidecars.ambassador.upstream.upstream import Upstream
    from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection


_LOOKS = 8  # ticks, about as many seconds, between two questions whether the hosts at both ends are still there

# What is read is passed on before anything else is read, so one buffer serves all.
_ROOM = memoryview(bytearray(256 * 1024))


def reset(transport: asyncio.Transport) -> None:
    """Close so that the peer sees the connection broken: what was not taken is dropped, and there is no orderly end."""
    with contextlib.suppress(OSError, AttributeError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def drop_unread(transport: asyncio.Transport) -> None:
    """Read what has come and throw it away: a connection closed with unread bytes is reset, and the answer lost."""
    with contextlib.suppress(OSError, AttributeError):
        os.read(transport.get_extra_info("socket").fileno(), len(_ROOM))


def peer_host(transport: asyncio.BaseTransport) -> str:
    """The host at the other end; "" where it has none, as with a unix socket."""
    peer = transport.get_extra_info("peername")
    return peer[0] if isinstance(peer, tuple) else ""


class TunnelEnd(asyncio.BufferedProtocol):
    """One of the two ends. Until it has the other one it keeps what comes, little, and tells it then."""

    __slots__ = (
        "descriptor",
        "early",
        "ended",
        "endpoint",
        "full",
        "inbound",
        "looks",
        "lost",
        "moved",
        "passed",
        "peer",
        "since",
        "transport",
        "untaken",
        "upstream",
    )

    def __init__(self, upstream: Upstream, *, inbound: bool, transport: Any = None) -> None:
        self.upstream = upstream
        self.inbound = inbound  # whether this end is the app's
        self.transport = transport
        self.endpoint: Endpoint | None = None
        self.descriptor = -1  # to write to directly, where it is neither encrypted nor unconnected
        self.peer: TunnelEnd | None = None
        self.early: list[bytes] = []
        self.ended = False
        self.lost = False
        self.full = False  # takes no more at present
        self.passed = 0  # bytes that came here and went on
        # Of the app's end, for both: True if bytes came or an end changed since the last tick. It begins as True, since
        # the first tick would else compare against a `since` that was never set.
        self.moved = True
        self.untaken = 0  # the sum of `_untaken` of both ends at the last tick, once one of them has ended
        self.since = 0.0  # when one of these changed
        self.looks = upstream.counters.accepted  # so that not all tunnels come to `_LOOKS` at the same tick

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def join(self, other: TunnelEnd, endpoint: Endpoint) -> None:
        """Called on the app's end, once: from now on the two are one.

        The endpoint's connection is counted as open, and the endpoint as having a pending request, until it ends.
        """
        self.peer, other.peer = other, self
        other.endpoint = endpoint
        self.upstream.tunnels.add(self)
        for end in (self, other):
            own = end.transport.get_extra_info("socket")
            with contextlib.suppress(OSError, AttributeError):
                end.descriptor = own.fileno() if end.transport.can_write_eof() else -1
        for end in (self, other):
            end._catch_up()  # noqa: SLF001 - of this class

    def _catch_up(self) -> None:
        """What has come before there was another end."""
        early, self.early = self.early, []
        for data in early:
            self.take(data)
        if self.lost:
            self.connection_lost(None)
        elif self.ended and not self.eof_received():
            self.transport.close()
        elif self.peer is not None and not self.peer.full:
            self.transport.resume_reading()

    def get_buffer(self, _hint: int) -> memoryview:
        return _ROOM

    def buffer_updated(self, count: int) -> None:
        self.take(_ROOM[:count])

    def take(self, data: bytes | memoryview) -> None:
        """Pass on what has come. Nothing of it is kept here: its memory is used again at once."""
        peer = self.peer
        if peer is None:
            self.early.append(bytes(data))
            self.transport.pause_reading()
            return
        self.passed += len(data)
        counters = self.upstream.counters
        if self.inbound:
            self.moved = True
            counters.sent += len(data)
        else:
            peer.moved = True
            counters.received += len(data)
            counters.delivered += len(data)
        if not peer.lost:
            peer.write(data)

    def write(self, data: bytes | memoryview) -> None:
        """Send to this end: at once as far as its socket takes it, and by its transport what that does not."""
        transport = self.transport
        if self.descriptor >= 0 and not transport.get_write_buffer_size() and not transport.is_closing():
            with contextlib.suppress(OSError):  # it takes nothing now; an error the transport finds and tells itself
                sent = os.write(self.descriptor, data)
                if sent == len(data):
                    return
                data = data[sent:]
        transport.write(bytes(data))

    def eof_received(self) -> bool:
        self.ended = True
        self._note_change()
        stays: bool = self.transport.can_write_eof()  # what TLS ends it ends both ways
        peer = self.peer
        if peer is None:
            return stays
        if peer.lost or self._has_left():
            return False
        if peer.ended:
            peer.transport.close()
            return False
        if peer.transport.can_write_eof():
            peer.transport.write_eof()
        return stays

    def pause_writing(self) -> None:
        self.full = True
        if self.peer is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        self.full = False
        if self.peer is not None and not self.peer.lost:
            self.peer.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._note_change()
        peer = self.peer
        if peer is None:
            return
        if self.endpoint is not None:
            self.endpoint.connection_closed()
            self.endpoint.end_attempt()
            self.endpoint = None
        if peer.lost:
            self.upstream.tunnels.discard(self if self.inbound else peer)
            self._release(peer)
        elif error is None and self.ended:
            peer.transport.close()
        else:
            reset(peer.transport)

    def _release(self, peer: TunnelEnd) -> None:
        """Drop what refers to either end, once both have settled their loss, so that no reference cycle outlives them.

        A transport of uvloop for TLS has a buffer of 256 KB, and refers to its BufferedProtocol even when it is lost.
        The garbage collector counts objects, not their size, and would come late.
        """
        if self.endpoint is None and peer.endpoint is None:  # else the other end, lost before `join`, is yet to settle
            self.peer = peer.peer = None
            self.transport = peer.transport = None

    def _has_left(self) -> bool:
        """Return True if this end is the app's, and it has closed its connection for good."""
        return self.inbound and self.upstream.disconnects.has_closed(self.transport)

    def _is_stranded(self) -> bool:
        """Return True if the host at this end is gone: it acknowledges nothing of what was sent to it."""
        own = self.transport.get_extra_info("socket")
        return not self.lost and is_unreachable(own, self.upstream.settings.tcp_keepalive)

    def _untaken(self) -> int:
        """Return a number that changes when this end takes anything of what is written to it, or more is written."""
        unsent: int = self.transport.get_write_buffer_size()
        return unsent - acknowledged(self.transport.get_extra_info("socket"))

    def _note_change(self) -> None:
        """Begin the time-out of a half-closed tunnel anew at the next tick."""
        end = self if self.inbound else self.peer
        if end is not None:
            end.moved = True

    def tick(self, now: float) -> None:
        """Called on the app's end: break off what has stopped half-way."""
        peer = self.peer
        assert peer is not None  # noqa: S101 - it has been joined
        if self.ended and not self.lost and self._has_left():
            self.transport.abort()
        self.looks += 1
        if self.looks % _LOOKS == 0 and (self._is_stranded() or peer._is_stranded()):  # noqa: SLF001 - of this class
            self.abort()
            return
        if not (self.ended or peer.ended or self.lost or peer.lost):
            self.moved, self.since = False, now
            return
        untaken = sum(end._untaken() for end in (self, peer) if not end.lost)  # noqa: SLF001 - of this class
        if self.moved or untaken != self.untaken:
            self.moved, self.untaken, self.since = False, untaken, now
        elif now - self.since >= self.upstream.settings.idle_timeout:
            self.abort()

    def abort(self) -> None:
        """Break both connections."""
        for end in (self, self.peer):
            if end is not None and not end.lost:
                reset(end.transport)


def splice(client: ClientConnection, connection: UpstreamConnection, first: bytes, *, blocked: bool) -> None:
    """Make an app's connection and an upstream's one tunnel, after 101; `first` is what the app gets before all else.

    `blocked`: True if the upstream's connection takes no more at present.
    """
    upstream, here, there = client.upstream, client.transport, connection.transport
    client.exchange = None
    upstream.clients.discard(client)
    ours = TunnelEnd(upstream, inbound=True, transport=here)
    theirs = TunnelEnd(upstream, inbound=False, transport=there)
    for transport, protocol in ((here, ours), (there, theirs)):
        transport.pause_reading()  # how it is read changes with the protocol
        transport.set_protocol(protocol)
    ours.early = [client.buffer] if client.buffer else []
    ours.ended = client.ended
    here.write(first)
    ours.join(theirs, connection.endpoint)
    if client.write_paused:
        ours.pause_writing()
    if blocked:
        theirs.pause_writing()

"""A tunnel: two connections as one. The bytes that come on either go out on the other.

Each end is a `TunnelEnd`. States of a tunnel, and the events:

    joining      an end without a peer keeps the bytes that come, and pauses
    open         bytes go both ways; it may be silent for TUNNEL_IDLE_TIMEOUT, or for ever without that setting, unless
                 a host is gone (`tcp_keepalive`)
    half-closed  one end has sent EOF: that is passed on, and the other direction goes on
    ending       one end is lost: the other one gets the bytes that are left, and is closed behind them
    closed       both are lost

    from          event                                               to
    joining       `join`                                              open, or the state that an end has reached
    open          EOF of one end                                      half-closed
    open          EOF of an app that has closed (`disconnects`)       ending: nobody waits for a response
    half-closed   EOF of the other end                                ending
    open, half-closed   a connection breaks, or is reset              closed: the other one is reset, since an orderly
                                                                      end would say that all had come
    open                  nothing moves for TUNNEL_IDLE_TIMEOUT       closed: both are reset
    half-closed, ending   nothing moves for IDLE_TIMEOUT              closed: both are reset
    any           a host acknowledges nothing for 2 x TCP_KEEPALIVE   closed: both are reset
    any           nothing has named the endpoint for DRAIN_TIMEOUT    closed: both are reset, the app makes a new one

Neither end is read faster than the other one takes. TLS as it is spoken here has no end of one direction: an app's EOF
is not passed on through it, and the upstream's EOF ends both directions.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final, cast

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.transport import small_reads
from sidecars.ambassador.transport.streams import Transport, report_untaken, reset
from sidecars.ambassador.transport.tcp_keepalive import acknowledged, is_unreachable
from sidecars.ambassador.upstream.buffer_memory import Untaken
from sidecars.ambassador.upstream.upstream import Upstream

_TICKS_PER_PROBE: Final = 8  # about as many seconds between two questions whether the hosts at both ends are there

# All bytes are passed on before anything else is read, so one buffer serves all tunnels.
_BUFFER: Final = memoryview(bytearray(256 * 1024))
_SMALL: Final = _BUFFER[: small_reads.SIZE]  # while memory is short


class TunnelEnd(asyncio.BufferedProtocol):
    """One end of a tunnel. The event loop owns it as the protocol of its transport.

    The app's end is in the registry of the upstream's clients, and ticks for both.
    """

    __slots__ = (
        "_inbound",
        "_since",
        "_ticks",
        "_untaken",
        "descriptor",
        "early",
        "ended",
        "endpoint",
        "is_full",
        "lost",
        "moved",
        "passed",
        "peer",
        "transport",
        "untaken",
        "upstream",
    )

    __deletable__ = ("transport",)  # for mypyc: `_release` deletes it

    transport: Transport  # from `connection_made` on, until both ends are lost

    def __init__(self, upstream: Upstream, *, inbound: bool) -> None:
        """`inbound` is True for the app's end."""
        self.upstream = upstream
        self.peer: TunnelEnd | None = None
        self.passed = 0  # bytes that came here and went on
        self._inbound = inbound
        self.endpoint: Endpoint | None = None  # of the upstream's end, from `join` until it is lost
        self.descriptor = -1  # to write to directly, if the connection is open and not encrypted
        self.early: list[bytes] = []  # bytes that came before there was a peer
        self.ended = False  # True after EOF
        self.untaken: Untaken = Untaken(upstream.memory)  # or the early bytes, before there is a peer
        self.lost = False  # True if the connection is closed
        self.is_full = False  # True if it takes no more at present
        # Of the app's end, for both ends: True if bytes came or an end changed since the last tick. It begins as True,
        # since the first tick would else compare against a `_since` that was never set.
        self.moved = True
        self._untaken = 0  # the sum of `count_untaken` of both ends at the last tick with a limit
        self._since = 0.0  # when one of these changed
        self._ticks = upstream.counters.accepted  # so that not all tunnels probe at the same tick

    # -- life -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("Transport", transport)
        report_untaken(self.transport)

    def take_over(self, transport: Transport, unread: bytes = b"", *, ended: bool = False) -> None:
        """Become the protocol of an open connection, from which `unread` was read; `ended` is True after its EOF."""
        self.transport = transport
        self.early = [unread] if unread else []
        self._hold_early(len(unread))
        self.ended = ended
        transport.pause_reading()  # how it is read changes with the protocol
        transport.set_protocol(self)

    def join(self, other: TunnelEnd, endpoint: Endpoint) -> None:
        """Join this end, which is the app's, and the upstream's end to one tunnel. Called once.

        The endpoint counts its connection as open, and an attempt as pending, until the upstream's end is lost.
        """
        self.peer, other.peer = other, self
        other.endpoint = endpoint
        self.upstream.clients.add(self)
        for end in (self, other):
            own = end.transport.get_extra_info("socket")
            with contextlib.suppress(OSError, AttributeError):
                end.descriptor = own.fileno() if end.transport.can_write_eof() else -1
        for end in (self, other):
            end.catch_up()

    def catch_up(self) -> None:
        """Pass on the bytes that came before there was a peer."""
        early, self.early = self.early, []
        self.untaken.note_taken()
        for data in early:
            self.take(data)
        if self.lost:
            self.connection_lost(None)
        elif self.ended and not self.eof_received():
            self.transport.close()
        elif self.peer is not None and not self.peer.is_full:
            self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.untaken.note_taken()
        self._note_change()
        peer = self.peer
        if peer is None:
            return
        if self.endpoint is not None:
            self.endpoint.connection_closed()
            self.endpoint.end_attempt()
            self.endpoint = None
        if peer.lost:
            self.upstream.clients.remove(self if self._inbound else peer)
            self._release(peer)
        elif error is None and self.ended:
            peer.transport.close()
        else:
            reset(peer.transport)

    def _release(self, peer: TunnelEnd) -> None:
        """Drop the references to either end once both have settled their loss: no reference cycle outlives them.

        A transport of uvloop for TLS has a buffer of 256 KB, and refers to its BufferedProtocol even when it is lost.
        The garbage collector counts objects, not their size, and would come late.
        """
        if self.endpoint is None and peer.endpoint is None:  # an end that was lost before `join` settles later
            self.peer = peer.peer = None
            del self.transport, peer.transport

    def abort(self) -> None:
        """Reset both connections."""
        for end in (self, self.peer):
            if end is not None and not end.lost:
                reset(end.transport)

    def idle_since(self) -> float:
        """A tunnel is never idle: no message of it says that it ends."""
        return -1.0

    def close_if_idle(self, _now: float) -> None:
        """Do nothing: a tunnel is never idle, it ends when its peers end it."""

    # -- bytes ----------------------------------------------------------------------------------------------------

    def get_buffer(self, _hint: int) -> memoryview:
        return _SMALL if self.upstream.memory.is_short else _BUFFER

    def buffer_updated(self, count: int) -> None:
        self.take(_BUFFER[:count])

    def take(self, data: bytes | memoryview) -> None:
        """Pass on bytes that have come. None is kept here: their memory is used again at once."""
        peer = self.peer
        if peer is None:
            self.early.append(bytes(data))
            self._hold_early(len(data))
            self.transport.pause_reading()
            return
        size = len(data)
        self.passed += size
        counters = self.upstream.counters
        if self._inbound:
            self.moved = True
            counters.count_sent(size)
        else:
            peer.moved = True
            counters.count_received(size)
            counters.count_delivered(size)
        if not peer.lost:
            peer.write(data)

    def write(self, data: bytes | memoryview) -> None:
        """Send to this end: directly as far as its socket takes it, and the rest by its transport."""
        transport = self.transport
        if self.descriptor >= 0 and not transport.get_write_buffer_size() and not transport.is_closing():
            with contextlib.suppress(OSError):  # it takes nothing now; the transport finds an error itself
                sent = os.write(self.descriptor, data)
                if sent == len(data):
                    return
                data = data[sent:]
        self.untaken.note_write(len(data))
        transport.write(bytes(data))

    def _hold_early(self, size: int) -> None:
        """Count bytes for the memory that wait for a peer."""
        self.untaken.note_write(size)
        self.untaken.note_full()

    def read_small(self) -> None:
        """Do nothing: each read asks `get_buffer`."""

    def eof_received(self) -> bool:
        """Return True if this end's connection stays open for the other direction."""
        self.ended = True
        self._note_change()
        stays = self.transport.can_write_eof()  # TLS ends both directions at once
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
        self.is_full = True
        self.untaken.note_full()
        if self.peer is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_full = False
        self.untaken.note_taken()
        if self.peer is not None and not self.peer.lost:
            self.peer.transport.resume_reading()

    # -- time -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Reset a tunnel that is stuck, whose host is gone, or whose endpoint was removed. Called on the app's end."""
        peer = self.peer
        if peer is None:
            return
        if self.ended and not self.lost and self._has_left():
            self.transport.abort()
        self._ticks += 1
        if self._ticks % _TICKS_PER_PROBE == 0 and (self.is_host_gone() or peer.is_host_gone()):
            self.abort()
            return
        self._apply_idle_timeout(peer, now)
        endpoint = peer.endpoint
        if endpoint is not None and endpoint.is_overdue(now, self.upstream.drain_timeout):
            self.abort()

    def _apply_idle_timeout(self, peer: TunnelEnd, now: float) -> None:
        """Reset a tunnel in which nothing has moved for too long: IDLE_TIMEOUT once an end has ended or is lost."""
        settings = self.upstream.settings
        is_whole = not (self.ended or peer.ended or self.lost or peer.lost)
        limit = settings.tunnel_idle_timeout if is_whole else settings.idle_timeout
        if limit is None:
            self.moved, self._since = False, now
            return
        untaken = sum(end.count_untaken() for end in (self, peer) if not end.lost)
        if self.moved or untaken != self._untaken:
            self.moved, self._untaken, self._since = False, untaken, now
        elif now - self._since >= limit:
            self.abort()

    def _note_change(self) -> None:
        """Begin the time-out of a half-closed tunnel anew at the next tick."""
        end = self if self._inbound else self.peer
        if end is not None:
            end.moved = True

    def _has_left(self) -> bool:
        """Return True if this end is the app's, and the app has closed its connection."""
        return self._inbound and self.upstream.disconnects.has_closed(self.transport)

    def is_host_gone(self) -> bool:
        """Return True if the host at this end is gone: it acknowledges no byte that was sent to it."""
        own = None if self.lost else self.transport.get_extra_info("socket")
        return is_unreachable(own, self.upstream.settings.tcp_keepalive)

    def count_untaken(self) -> int:
        """Return a number that changes if this end takes any of the bytes written to it, or more are written."""
        return self.transport.get_write_buffer_size() - acknowledged(self.transport.get_extra_info("socket"))


class Handover:
    """An app's connection on its way from one protocol to another: the transport, and the bytes read from it."""

    __slots__ = ("ended", "is_full", "transport", "unread")

    def __init__(self, transport: Transport, unread: bytes, *, ended: bool, is_full: bool) -> None:
        """`ended` is True after EOF, `is_full` if the app takes no more at present."""
        self.transport = transport
        self.unread = unread
        self.ended = ended
        self.is_full = is_full


def splice(
    upstream: Upstream, app: Handover, there: Transport, endpoint: Endpoint, first: bytes, *, is_full: bool
) -> None:
    """Join an app's connection and a connection to an endpoint to one tunnel, after a 101.

    The app gets `first` before all else. `is_full` is True if the endpoint takes no more at present.
    """
    ours = TunnelEnd(upstream, inbound=True)
    theirs = TunnelEnd(upstream, inbound=False)
    ours.take_over(app.transport, app.unread, ended=app.ended)
    theirs.take_over(there)
    app.transport.write(first)
    ours.join(theirs, endpoint)
    if app.is_full:
        ours.pause_writing()
    if is_full:
        theirs.pause_writing()

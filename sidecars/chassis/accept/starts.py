"""The starts of connections: their transports, their TLS handshakes. Few at a time, and none keeps the others waiting.

A connection costs memory and CPU from its start on, before anything is known about its client. So only some start at a
time, and the others wait as sockets (`turns` has their order). Meanwhile the loop accepts, and serves connections that
have started. So a newcomer does not wait until each of thousands that came before it has its response.

A start without TLS ends by itself, after two turns of the loop, and of one peer the oldest connection starts first. A
handshake ends when the client likes, so the newest is first. If others wait, a handshake that has had its time and is
not done gives its place to one of them: the oldest one of the peer that runs most. Its time is `LEAST`, or
`LEAST_OF_MANY` if more wait than may run: then a hundred peers have a turn each within 0.2 s. Places become free a few
at a time, not all together, so the next connection never waits for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sidecars.chassis.accept.budget import Ticket
from sidecars.chassis.accept.turns import Turns
from sidecars.chassis.runtime import descriptors

HANDSHAKES = 32  # with TLS, at a time
PLAIN = 4  # without TLS, at a time
LEAST = 0.2  # seconds
LEAST_OF_MANY = 0.04  # seconds
_ROOM = 4  # places that become free at a time

MakeTransport = Callable[[socket.socket, Ticket], "asyncio.Future[object]"]


@dataclass(slots=True, eq=False)
class _Start:
    """One start, which waits or runs."""

    accepted: socket.socket
    ticket: Ticket
    began_at: float = 0.0
    was_ended: bool = False


class Starts:
    """The starts of one server. Its gate owns it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make_transport: MakeTransport, *, with_tls: bool) -> None:
        """`make_transport` starts a connection, with TLS a handshake; its result does not matter."""
        self._loop = loop
        self._make_transport = make_transport
        self._with_tls = with_tls
        self._at_once = HANDSHAKES if with_tls else PLAIN
        self._waiting: Turns[_Start] = Turns(newest_first=with_tls)
        self._running: dict[_Start, asyncio.Future[object]] = {}
        self._room: asyncio.TimerHandle | None = None  # for `_make_room`
        self._room_at = 0.0  # when that is, or was

    def add(self, accepted: socket.socket, ticket: Ticket) -> None:
        """Start this connection as soon as possible."""
        start = _Start(accepted, ticket)
        ticket.on_shed = lambda: self._end(start)
        self._waiting.add(ticket.peer, start)
        self._begin_some()

    def _begin_some(self) -> None:
        while self._waiting and len(self._running) < self._at_once:
            self._begin(self._waiting.next())
        if self._waiting and self._with_tls:
            self._await_room()

    def _begin(self, start: _Start) -> None:
        start.began_at = self._loop.time()
        task = self._make_transport(start.accepted, start.ticket)
        self._running[start] = task
        task.add_done_callback(lambda done: self._note_end(start, done))

    def _note_end(self, start: _Start, done: asyncio.Future[object]) -> None:
        del self._running[start]
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            start.accepted.close()
            start.ticket.release()
        if error is not None:
            descriptors.count_exhaustion(error)
        self._begin_some()

    # -- room for those that wait ------------------------------------------------------------------------------------

    def _time_of_each(self) -> float:
        """Return the seconds that a start has at least, with so many that wait."""
        return LEAST_OF_MANY if len(self._waiting) > self._at_once else LEAST

    def _await_room(self, earliest: float = 0.0) -> None:
        """Look for starts to end as soon as one has had its time, but not before `earliest`."""
        began = [start.began_at for start in self._running if not start.was_ended]
        if not began:
            return
        due = max(min(began) + self._time_of_each(), earliest)
        if self._room is not None:
            if self._room_at <= due:
                return
            self._room.cancel()
        self._room, self._room_at = self._loop.call_at(due, self._make_room), due

    def _make_room(self) -> None:
        self._room = None
        if not self._waiting:
            return
        now, least = self._loop.time(), self._time_of_each()
        running = [each for each in self._running if not each.was_ended]
        overdue = [each for each in running if now - each.began_at >= least]
        of_peer = Counter(start.ticket.peer for start in running)
        ending = len(self._running) - len(running)
        for _ in range(min(_ROOM, len(self._waiting) - ending, len(overdue))):
            start = max(overdue, key=lambda each: (of_peer[each.ticket.peer], -each.began_at))
            overdue.remove(start)
            of_peer[start.ticket.peer] -= 1
            self._end(start)
        self._await_room(now + least * _ROOM / self._at_once)

    def _end(self, start: _Start) -> None:
        """End a start. Its transport is not ours yet, so a running one ends by the end of its connection."""
        start.was_ended = True
        start.ticket.release()
        if start in self._running:
            shut_down(start.accepted)
        else:
            self._waiting.discard(start.ticket.peer, start)
            start.accepted.close()

    def close(self) -> None:
        """End all starts."""
        if self._room is not None:
            self._room.cancel()
        while self._waiting:
            self._end(self._waiting.next())
        for start in list(self._running):
            self._end(start)


def shut_down(accepted: socket.socket) -> None:
    """End a connection whose socket belongs to a transport already."""
    with contextlib.suppress(OSError):
        accepted.shutdown(socket.SHUT_RDWR)

"""TLS handshakes: few at a time, and none can keep the others waiting.

A handshake costs memory and CPU before anything is known about the client. So at most `AT_ONCE` run, and the others
wait as sockets. A peer that had none waiting is the next one, then the peers take turns; of one peer the newest
connection is first. So an attacker's old ones do not delay a new one. If connections wait, a handshake that has had
`LEAST` seconds and is not done gives its place to one of them: the oldest one of the peer that runs most.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sidecars.chassis.accept.budget import Ticket
from sidecars.chassis.runtime import descriptors

AT_ONCE = 32
LEAST = 0.25  # seconds

MakeTransport = Callable[[socket.socket, Ticket], "asyncio.Future[object]"]


@dataclass(slots=True, eq=False)
class _Handshake:
    """One handshake, which waits or runs."""

    accepted: socket.socket
    ticket: Ticket
    began_at: float = 0.0
    was_ended: bool = False


class Handshakes:
    """The handshakes of one server. Its gate owns it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make_transport: MakeTransport) -> None:
        """`make_transport` starts the handshake of a connection; its result does not matter."""
        self._loop = loop
        self._make_transport = make_transport
        # By peer; the next peer first, its newest connection last.
        self._waiting: OrderedDict[str, list[_Handshake]] = OrderedDict()
        self._running: dict[_Handshake, asyncio.Future[object]] = {}
        self._room_at: asyncio.TimerHandle | None = None

    def add(self, accepted: socket.socket, ticket: Ticket) -> None:
        """Begin the handshake of this connection as soon as possible."""
        handshake = _Handshake(accepted, ticket)
        ticket.on_shed = lambda: self._end(handshake)
        if ticket.peer not in self._waiting:
            self._waiting[ticket.peer] = []
            self._waiting.move_to_end(ticket.peer, last=False)
        self._waiting[ticket.peer].append(handshake)
        self._begin_some()

    def _begin_some(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            peer = next(iter(self._waiting))
            of_peer = self._waiting.pop(peer)
            handshake = of_peer.pop()
            if of_peer:
                self._waiting[peer] = of_peer  # the last peer of all from now on
            if not handshake.was_ended:
                self._begin(handshake)
        self._await_room()

    def _begin(self, handshake: _Handshake) -> None:
        handshake.began_at = self._loop.time()
        task = self._make_transport(handshake.accepted, handshake.ticket)
        self._running[handshake] = task
        task.add_done_callback(lambda done: self._note_end(handshake, done))

    def _note_end(self, handshake: _Handshake, done: asyncio.Future[object]) -> None:
        del self._running[handshake]
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            handshake.accepted.close()
            handshake.ticket.release()
        if error is not None:
            descriptors.count_exhaustion(error)
        self._begin_some()

    def _await_room(self) -> None:
        """Look for a handshake to end as soon as one has had its time, if others wait."""
        if self._waiting and self._room_at is None:
            began_at = min(handshake.began_at for handshake in self._running)
            self._room_at = self._loop.call_at(began_at + LEAST, self._make_room)

    def _make_room(self) -> None:
        self._room_at = None
        overdue = [each for each in self._running if self._loop.time() - each.began_at >= LEAST and not each.was_ended]
        if self._waiting and overdue:
            peers = [handshake.ticket.peer for handshake in self._running]
            self._end(max(overdue, key=lambda each: (peers.count(each.ticket.peer), -each.began_at)))
        if self._waiting and any(not each.was_ended for each in self._running):
            began_at = min(each.began_at for each in self._running if not each.was_ended)
            self._room_at = self._loop.call_at(max(began_at + LEAST, self._loop.time()), self._make_room)

    def _end(self, handshake: _Handshake) -> None:
        """End a handshake. Its transport is not ours yet, so a running one ends by the end of its connection."""
        handshake.was_ended = True
        handshake.ticket.release()
        if handshake in self._running:
            with contextlib.suppress(OSError):
                handshake.accepted.shutdown(socket.SHUT_RDWR)
        else:
            handshake.accepted.close()

    def close(self) -> None:
        """End all handshakes."""
        if self._room_at is not None:
            self._room_at.cancel()
        waiting, self._waiting = self._waiting, OrderedDict()
        for handshake in [*self._running, *(each for of_peer in waiting.values() for each in of_peer)]:
            self._end(handshake)

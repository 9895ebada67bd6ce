"""The budget of a server's connections: a newcomer is admitted, and an idle connection makes room for it. No I/O.

Each connection counts from accept(2) on, so one whose TLS handshake does not end counts, too. It holds a ticket, which
is in one of three states:

    state     from                                 leaves it by
    idle      `Budget.admit`, `Ticket.rest`        `work`, `release`, or it is shed
    working   `Ticket.work`                        `rest`, `release`; it is never shed
    released  `Ticket.release`, or it was shed     nothing

When a newcomer comes:

- If its peer has `per_peer` connections, the peer's own oldest idle one is shed.
- If all peers together have `total`, the oldest idle one of the peer that has most idle ones is shed. Of peers that
  have equally many, it is the one that has had so many for longest.
- Only if `total` connections are working, the newcomer is refused.

A connection with a TLS session takes some 46 KiB, idle or not. So of those at most `MOST_SESSIONS` may be idle: the one
that has been idle for longest is shed.

So a peer that holds many idle connections sheds its own, and a prober that comes now and then never waits for it. An
unfinished request is idle, because its sender decides when it ends. Each step takes constant time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MOST_SESSIONS = 128  # idle connections with a TLS session
_SMALL = 64  # connections


class _Peer:
    """The connections of one peer. The budget owns it."""

    __slots__ = ("held", "idle", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.held = 0
        self.idle: dict[Ticket, None] = {}  # the oldest one first


class Ticket:
    """The place of one connection in the budget. The connection owns it and reports its events.

    on_shed  closes the connection; called once, after the ticket is released
    """

    __slots__ = ("_budget", "_is_released", "_peer", "has_session", "on_shed")

    def __init__(self, budget: Budget, peer: _Peer, on_shed: Callable[[], object]) -> None:
        self._budget = budget
        self._peer = peer
        self._is_released = False
        self.has_session = False
        self.on_shed = on_shed

    @property
    def peer(self) -> str:
        """The key of the peer."""
        return self._peer.key

    @property
    def is_released(self) -> bool:
        return self._is_released

    def note_session(self) -> None:
        """Note that the connection has a TLS session from now on. It must be idle; this may shed an older one."""
        self.has_session = True
        if not self._is_released:
            self._budget.add_session(self)

    def work(self) -> None:
        """Note that the connection is under work, so it must not be shed."""
        self._budget.remove_idle(self._peer, self)

    def rest(self) -> None:
        """Note that the connection waits for its peer from now on."""
        if not self._is_released:
            self._budget.add_idle(self._peer, self)

    def release(self) -> None:
        """Give the place back. Further calls do nothing."""
        if not self._is_released:
            self._is_released = True
            self.on_shed = _nothing  # it leads back to the connection: a circle would wait for the garbage collector
            self._budget.release(self._peer, self)


def _nothing() -> None:
    """Do nothing for a ticket that is released."""


class Budget:
    """The connections of one server, which owns it.

    held     connections at present
    idle     those of them that are idle
    shed     idle connections that were closed for newcomers, so far
    refused  newcomers that were refused because all connections were working, so far
    """

    def __init__(self, total: int, per_peer: int | None = None) -> None:
        """`per_peer` is half of the total if it is not given, or a total of less than 64."""
        self.total = total
        if per_peer is None:
            per_peer = total if total < _SMALL else total // 2
        self.per_peer = per_peer
        self.held = self.idle = self.shed = self.refused = 0
        self._peers: dict[str, _Peer] = {}
        self._by_idle: dict[int, dict[_Peer, None]] = {}  # peers by their number of idle connections
        self._most_idle = 0
        self._idle_sessions: dict[Ticket, None] = {}  # the oldest one first

    def admit(self, key: str, on_shed: Callable[[], object]) -> Ticket | None:
        """Return a ticket, idle, for a new connection of the peer with this key; None if it must be refused."""
        peer = self._peers.get(key)
        if peer is not None and peer.held >= self.per_peer and peer.idle:
            self._shed(next(iter(peer.idle)))
        elif self.held >= self.total and not self.shed_one():
            self.refused += 1
            return None
        peer = self._peers.setdefault(key, _Peer(key))
        peer.held += 1
        self.held += 1
        ticket = Ticket(self, peer, on_shed)
        self.add_idle(peer, ticket)
        return ticket

    def shed_one(self) -> bool:
        """Shed the oldest idle connection of the peer that has most idle ones. Return False if none is idle."""
        if not self._most_idle:
            return False
        peer = next(iter(self._by_idle[self._most_idle]))
        self._shed(next(iter(peer.idle)))
        return True

    def _shed(self, ticket: Ticket) -> None:
        self.shed += 1
        on_shed = ticket.on_shed
        ticket.release()
        on_shed()

    # -- for tickets --------------------------------------------------------------------------------------------------

    def add_idle(self, peer: _Peer, ticket: Ticket) -> None:
        if ticket not in peer.idle:
            peer.idle[ticket] = None
            self.idle += 1
            self._rank(peer, len(peer.idle) - 1)
            if ticket.has_session:
                self.add_session(ticket)

    def add_session(self, ticket: Ticket) -> None:
        self._idle_sessions[ticket] = None
        if len(self._idle_sessions) > MOST_SESSIONS:
            self._shed(next(iter(self._idle_sessions)))

    def remove_idle(self, peer: _Peer, ticket: Ticket) -> None:
        if ticket in peer.idle:
            del peer.idle[ticket]
            self._idle_sessions.pop(ticket, None)
            self.idle -= 1
            self._rank(peer, len(peer.idle) + 1)

    def release(self, peer: _Peer, ticket: Ticket) -> None:
        self.remove_idle(peer, ticket)
        peer.held -= 1
        self.held -= 1
        if not peer.held:
            del self._peers[peer.key]

    def _rank(self, peer: _Peer, before: int) -> None:
        """Note that the number of the peer's idle connections has changed by one."""
        if before:
            peers = self._by_idle[before]
            del peers[peer]
            if not peers:
                del self._by_idle[before]
        now = len(peer.idle)
        if now:
            self._by_idle.setdefault(now, {})[peer] = None
        if now > self._most_idle or self._most_idle not in self._by_idle:
            self._most_idle = now


# -- the budgets of this process --------------------------------------------------------------------------------------

_budgets: dict[str, Budget] = {}


def publish(listener: str, budget: Budget) -> None:
    """Show this budget under the listener's name in the metrics and in `/status`, in place of an earlier one."""
    _budgets[listener] = budget


def published() -> Mapping[str, Budget]:
    """Return the budgets by the names of their listeners."""
    return _budgets


def status() -> dict[str, Any]:
    """Return the budgets for `/status`."""
    return {
        name: {
            "open": budget.held,
            "idle": budget.idle,
            "most": budget.total,
            "most_of_a_peer": budget.per_peer,
            "shed": budget.shed,
            "refused": budget.refused,
        }
        for name, budget in _budgets.items()
    }

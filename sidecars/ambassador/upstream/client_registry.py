"""The app's connections to one upstream: admitted or turned away, ticked once a second, and ended by the drain.

If `MAX_CONNECTIONS` are open, a newcomer takes the place of one that serves no request: of the address that holds most
of those, the one that has been idle for longest. A newcomer is turned away only if all of them serve a request or are
tunnels. Connections do not report to anybody whether they are idle: they are looked at when there are too many, and a
look chooses several, so that it costs a newcomer little.

A connection of HTTP/2 has many requests at once. So each place of a connection that is not open carries three streams;
a request beyond that is refused (REFUSED_STREAM), which its client may repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http2.streams import StreamBudget
from sidecars.ambassador.http2.work_limits import STREAMS_A_PLACE
from sidecars.ambassador.transport.acceptor import Listener, most_descriptors
from sidecars.ambassador.transport.defects import Defects
from sidecars.ambassador.transport.streams import Transport, has_unread, reset
from sidecars.chassis.accept.longest_idle import longest_idle
from sidecars.chassis.accept.peers import peer_key

_LOOK_EVERY: Final = 1.0  # seconds between two looks at each connection, unless a shorter time-out asks for more
_SHED_AT_ONCE: Final = 64  # connections that one look at all of them chooses
_NEXT_CONNECTION: Final = 0.5  # seconds that a drain waits for another connection of an app that is at work


class AppConnection(Protocol):
    """A connection from the app, as far as the registry uses it: of HTTP, or the app's end of a tunnel."""

    transport: Transport

    def idle_since(self) -> float:
        """Return the time since when it serves no request; -1 if it serves one, or is a tunnel."""

    def tick(self, now: float) -> None:
        """Apply its time-outs. Called about once a second."""

    def close_if_idle(self, now: float) -> None:
        """Close it if it has nothing to do. Called while this process drains."""

    def read_small(self) -> None:
        """Read few bytes at a time, until memory is not short any more."""

    def abort(self) -> None:
        """Close it at once."""


class ClientRegistry(StreamBudget):
    """The connections from the app, which add and remove themselves, and the listeners that accept them."""

    def __init__(self, settings: UpstreamSettings, defects: Defects, free_descriptor: Callable[[], None]) -> None:
        """`free_descriptor` closes a connection of less use, so that its descriptor is free."""
        self._defects = defects
        self._free_descriptor = free_descriptor
        self.max_connections = settings.max_connections
        self.streams: int = 0  # of HTTP/2, whose exchanges are not over
        self._max_descriptors = most_descriptors()
        self._listeners: Sequence[Listener] = ()
        self._next_to_shed: list[tuple[AppConnection, float]] = []  # with the times since when they are idle
        self.shed = 0  # idle connections that were closed for newcomers
        self._worked_until = 0.0  # when a connection that has ended was last at work
        # A look at many connections costs time; with a fifth of the shortest time-out it is exact enough.
        timeouts = [settings.timeout, settings.idle_timeout, settings.stream_idle_timeout]
        may_be_unset = (settings.try_timeout, settings.total_timeout, settings.tunnel_idle_timeout)
        timeouts += [limit for limit in may_be_unset if limit is not None]
        timeouts += [_LOOK_EVERY] if settings.deadline_header else []
        self._look_every = min(_LOOK_EVERY, min(timeouts) / 5)
        self._look_at = 0.0
        self.open: dict[AppConnection, None] = {}  # in the order of their admission
        self.draining = False

    # -- accepting ------------------------------------------------------------------------------------------------

    def accept_from(self, listeners: Sequence[Listener]) -> None:
        """Report descriptors to these listeners from now on."""
        self._listeners = listeners

    def use_reserve(self) -> None:
        """Accept with the reserve of descriptors from now on: they are scarce."""
        for listener in self._listeners:
            listener.take_over()

    def admit(self, connection: AppConnection, transport: Transport) -> Cause | None:
        """Register a new connection; return the cause to turn it away with, or None if it is welcome."""
        self.open[connection] = None
        own = transport.get_extra_info("socket")
        descriptor: int = -1 if own is None else own.fileno()
        for listener in self._listeners:
            listener.accepted(descriptor)
        if descriptor >= self._max_descriptors:  # one of the reserve
            self._free_descriptor()
            return local_replies.NO_DESCRIPTORS
        if len(self.open) > self.max_connections and not self._shed_one(connection):
            return local_replies.TOO_MANY_CONNECTIONS
        return None

    def _shed_one(self, newcomer: AppConnection) -> bool:
        """Close the connection that has been idle for longest. Return False if there is none but the newcomer."""
        for is_fresh in (False, True):
            if is_fresh:
                self._next_to_shed = self._longest_idle(newcomer)
            while self._next_to_shed:
                connection, since = self._next_to_shed.pop()
                is_idle = connection in self.open and connection.idle_since() == since
                if is_idle and not has_unread(connection.transport):  # else its next request has come
                    self.open.pop(connection, None)
                    self.shed += 1
                    connection.transport.abort()
                    return True
        return False

    def _longest_idle(self, newcomer: AppConnection) -> list[tuple[AppConnection, float]]:
        """Return connections to close, the first one last."""
        idle: list[tuple[float, str, tuple[AppConnection, float]]] = []
        for connection in self.open:
            since = connection.idle_since()
            if since >= 0 and connection is not newcomer:
                key = peer_key(connection.transport.get_extra_info("peername"))
                idle.append((since, key, (connection, since)))
        return longest_idle(idle, _SHED_AT_ONCE)[::-1]

    def has_room(self) -> bool:
        return self.streams < STREAMS_A_PLACE * max(1, self.max_connections + 1 - len(self.open))

    def room(self) -> int:
        """Return the number of streams that may be opened beside those that are open."""
        return STREAMS_A_PLACE * max(1, self.max_connections + 1 - len(self.open)) - self.streams

    def count_streams(self, change: int) -> None:
        self.streams += change

    # -- while open -----------------------------------------------------------------------------------------------

    def add(self, connection: AppConnection) -> None:
        self.open[connection] = None

    def remove(self, connection: AppConnection) -> None:
        self.open.pop(connection, None)

    def note_work(self, until: float) -> None:
        """Note the end of a connection that was at work until then."""
        self._worked_until = max(self._worked_until, until)

    def tick(self, now: float) -> None:
        if now < self._look_at:
            return
        self._look_at = now + self._look_every
        for connection in list(self.open):
            try:
                connection.tick(now)
            except Exception as error:  # noqa: BLE001 - the others' time-outs go on
                self._defects.note(error)
                reset(connection.transport)

    def read_small(self) -> None:
        """Make the reads of all connections small: memory is short."""
        for connection in list(self.open):
            connection.read_small()

    # -- the end --------------------------------------------------------------------------------------------------

    def drain(self, now: float) -> None:
        """Let every connection end with its next response; call it until `is_busy` is False."""
        self.draining = True
        for connection in list(self.open):
            connection.close_if_idle(now)

    def is_busy(self, now: float) -> bool:
        """Return True if connections are open, or the app was at work so recently that another one may come."""
        return bool(self.open) or now - self._worked_until < _NEXT_CONNECTION

    def abort(self) -> None:
        """Close all connections at once."""
        for connection in list(self.open):
            connection.abort()

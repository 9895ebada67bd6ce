"""The few connections of HTTP/2 to each endpoint, and the attempts that wait for a stream on them.

    an attempt ──▶ take: the connection with the fewest streams ──▶ a stream, at once
                   wait: none may open a stream now            ──▶ a stream when one has ended, SETTINGS allow more, or
                                                                   another connection is open
    opens a connection   if there is none; another one when all have as many streams as the endpoint allows, or 100; and
                         when an endpoint sends GOAWAY on one that has had streams, before it is needed
    closes a connection  that has no stream for IDLE_TIMEOUT; that leaves, with its last stream; whose host is gone

Streams that live for days need many connections: each endpoint may have eight, and more while all endpoints together
have fewer than carry all requests of HTTP/2 that MAX_CONNECTIONS admits (`work_limits.endpoint_connections`).

An attempt that waits is never failed because of the limit: it has the deadline of its exchange. It goes to another
endpoint if there is one, and no further connection may be opened to this one. After three connections that allow no
stream at all an endpoint gets none. Before the first SETTINGS of an endpoint a connection has one stream. No I/O here:
the connection pool opens.

A connection without room stands in `full` until it has room again, so that `take` looks at no more than eight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.upstream.http2.endpoint_connection import EndpointConnection
from sidecars.ambassador.upstream.http2.endpoint_stream import EndpointStream
from sidecars.ambassador.upstream.http2.endpoint_transport import ConnectionOwner, EndpointTransport
from sidecars.ambassador.upstream.upstream_side import ConnectionWaiter

MOST_CONNECTIONS: Final = 8  # to one endpoint, whatever the others have; gRFC A105 has 10
_MOST_CLOSED: Final = 3  # that allow no stream: behind one address there may be several servers, of which one drains
_LOOK_EVERY: Final = 1.0  # seconds
_LOOKED_AT: Final = 8  # connections with room, of which the one with the fewest streams is taken
_REMOVED: Final = Cause(
    "connection_terminated", 503, "the endpoint is no longer in DNS", own_fault=True, unprocessed=True
)
_FULL: Final = Cause(
    "connection_limit_reached", 503, "the endpoint allows no more streams", own_fault=True, unprocessed=True
)


class _Place:
    """The connections to one endpoint."""

    __slots__ = ("connections", "full", "is_opening", "leaving", "waiting")

    def __init__(self) -> None:
        self.connections: list[EndpointConnection] = []  # those that may open further streams
        self.full: dict[EndpointConnection, None] = {}  # those that may do so later
        self.leaving: list[EndpointConnection] = []
        self.waiting: deque[ConnectionWaiter] = deque()
        self.is_opening = False


class StreamPool(ConnectionOwner):
    """The connections of HTTP/2 of one upstream. The connection pool owns it."""

    def __init__(self, open_connection: Callable[[Endpoint], None], idle_timeout: float, most: int) -> None:
        """`open_connection` opens one to the endpoint, and calls `on_opened` or `on_open_failed`.

        `most` is the number of connections of all endpoints up to which an endpoint gets more than eight.
        """
        self._open_connection = open_connection
        self._idle_timeout = idle_timeout
        self._most = most
        self._count = 0  # connections in `connections` and `full`, of all places
        self._places: dict[Endpoint, _Place] = {}
        self._is_draining = False
        self._look_at = 0.0  # when the connections with streams are looked at next

    @property
    def waiting(self) -> int:
        """The number of attempts that wait for a stream."""
        return sum([len(place.waiting) for place in self._places.values()])

    def count_idle(self, endpoint: Endpoint) -> int:
        """Return the number of connections without a stream."""
        place = self._places.get(endpoint)
        return 0 if place is None else sum([not connection.core.streams for connection in _open_ones(place)])

    def take(self, endpoint: Endpoint) -> EndpointStream | None:
        """Return a new stream on the connection that has the fewest; None if no connection may open one now."""
        place = self._places.get(endpoint)
        if place is None:
            return None
        connections = place.connections
        while connections:
            best: EndpointConnection | None = None
            full: list[EndpointConnection] = []
            for connection in connections if len(connections) <= _LOOKED_AT else connections[:_LOOKED_AT]:
                if not connection.core.can_open():
                    full.append(connection)
                elif best is None or connection.core.busy < best.core.busy:
                    best = connection
            for connection in full:
                connections.remove(connection)
                place.full[connection] = None
            if best is not None:
                return best.new_stream()
        return None

    def wait(self, endpoint: Endpoint, waiter: ConnectionWaiter) -> None:
        """Give this attempt a stream as soon as one may be opened."""
        place = self._place(endpoint)
        if self._is_stuck(place) and waiter.may_go_elsewhere():
            waiter.on_connect_failed(_FULL)
            return
        place.waiting.append(waiter)
        self._open_if_full(endpoint, place)

    def give_back(self, endpoint: Endpoint) -> list[ConnectionWaiter]:
        """Return the attempts that wait, and forget them: the endpoint does not speak HTTP/2 any more."""
        place = self._place(endpoint)
        place.is_opening = False
        waiting, place.waiting = place.waiting, deque()
        return [waiter for waiter in waiting if not waiter.over]

    # -- connections ----------------------------------------------------------------------------------------------

    def on_opened(self, connection: EndpointConnection, waiter: ConnectionWaiter | None = None) -> None:
        """Take a new connection, which was opened for this attempt or for all that wait."""
        endpoint = connection.endpoint
        place = self._place(endpoint)
        if waiter is None:
            place.is_opening = False
        else:
            place.waiting.append(waiter)
        is_wanted = bool(place.waiting) or not (endpoint.removed or self._is_draining)
        if is_wanted and not self._has_room(place):
            place.connections.append(connection)
            self._count += 1
        else:  # several opened while nobody knew that the endpoint speaks HTTP/2, or the attempts are over
            connection.close()
        self._serve(endpoint, place)

    def on_open_failed(self, endpoint: Endpoint, cause: Cause) -> None:
        """Fail the attempts that wait, unless other connections may serve them."""
        place = self._place(endpoint)
        place.is_opening = False
        if not (place.connections or place.full):
            self._fail_waiting(place, cause)

    def on_room(self, connection: EndpointTransport) -> None:
        place = self._places.get(connection.endpoint)
        if place is None:
            return
        if place.full and isinstance(connection, EndpointConnection) and connection in place.full:
            del place.full[connection]
            place.connections.append(connection)
        if place.waiting:
            self._serve(connection.endpoint, place)

    def on_leaving(self, connection: EndpointTransport) -> None:
        endpoint = connection.endpoint
        place = self._place(endpoint)
        if isinstance(connection, EndpointConnection) and self._forget(place, connection):
            place.leaving.append(connection)
        is_wanted = connection.core.highest_id > 0 and not (endpoint.removed or self._is_draining)
        if is_wanted and not (place.connections or place.full):
            self._open(endpoint, place)

    def on_closed(self, connection: EndpointTransport) -> None:
        place = self._place(connection.endpoint)
        if isinstance(connection, EndpointConnection):
            self._forget(place, connection)
            if connection in place.leaving:
                place.leaving.remove(connection)
        if place.waiting:
            self._open_if_full(connection.endpoint, place)
        elif not (place.connections or place.full or place.leaving or place.is_opening):
            del self._places[connection.endpoint]

    def _forget(self, place: _Place, connection: EndpointConnection) -> bool:
        """Take a connection out of those that may open streams; return False if it is not among them."""
        if connection in place.full:
            del place.full[connection]
        elif connection in place.connections:
            place.connections.remove(connection)
        else:
            return False
        self._count -= 1
        return True

    def _has_room(self, place: _Place) -> bool:
        """Return True if a connection may open a stream now, or has not told yet how many it allows."""
        for connection in place.connections:
            if connection.core.can_open():
                return True
        return any(not (each.core.peer.is_known or each.core.is_leaving) for each in place.full)

    def _open_if_full(self, endpoint: Endpoint, place: _Place) -> None:
        if not self._has_room(place) and self._may_open(place):
            self._open(endpoint, place)

    def _may_open(self, place: _Place) -> bool:
        """Return True if a further connection is allowed, and not in vain: the endpoint allows streams."""
        if sum([not connection.core.peer.max_streams for connection in place.full]) >= _MOST_CLOSED:
            return False
        return len(place.connections) + len(place.full) < MOST_CONNECTIONS or self._count < self._most

    def _is_stuck(self, place: _Place) -> bool:
        """Return True if nobody gets a stream before another one has ended."""
        return not (place.is_opening or self._has_room(place) or self._may_open(place))

    def _send_elsewhere(self, place: _Place) -> None:
        """Let the attempts that wait go to other endpoints, if there are any."""
        waiting, place.waiting = place.waiting, deque()
        for waiter in waiting:
            if not waiter.over and waiter.may_go_elsewhere():
                waiter.on_connect_failed(_FULL)
            else:
                place.waiting.append(waiter)

    def _open(self, endpoint: Endpoint, place: _Place) -> None:
        if not place.is_opening:
            place.is_opening = True
            self._open_connection(endpoint)

    def _serve(self, endpoint: Endpoint, place: _Place) -> None:
        """Give streams to the attempts that wait, as far as the connections allow."""
        while place.waiting:
            if place.waiting[0].over:
                place.waiting.popleft()
                continue
            stream = self.take(endpoint)
            if stream is None:
                self._open_if_full(endpoint, place)
                return
            waiter = place.waiting.popleft()
            try:
                waiter.on_connected(stream)
            except Exception as defect:  # noqa: BLE001 - it ends no more than this exchange
                waiter.fail(defect)

    def _fail_waiting(self, place: _Place, cause: Cause) -> None:
        waiting, place.waiting = place.waiting, deque()
        for waiter in waiting:
            if not waiter.over:
                waiter.on_connect_failed(cause)

    def _place(self, endpoint: Endpoint) -> _Place:
        place = self._places.get(endpoint)
        if place is None:
            place = self._places[endpoint] = _Place()
        return place

    # -- life -----------------------------------------------------------------------------------------------------

    def leave(self, endpoint: Endpoint) -> None:
        """Open no further stream to an endpoint that DNS has removed; its streams go on."""
        place = self._places.get(endpoint)
        if place is None:
            return
        for connection in _open_ones(place):
            self._forget(place, connection)
            place.leaving.append(connection)
            if not connection.core.streams:
                connection.close()
        self._fail_waiting(place, _REMOVED)

    def tick(self, now: float) -> None:
        """Close the connections that have had no stream for too long, and forget attempts that are over."""
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            self._look(now)
        for place in list(self._places.values()):
            for connection in _open_ones(place):
                if not connection.core.streams and now - connection.idle_since >= self._idle_timeout:
                    connection.close()
            while place.waiting and place.waiting[0].over:
                place.waiting.popleft()
            if place.waiting and self._is_stuck(place):
                self._send_elsewhere(place)

    def _look(self, now: float) -> None:
        """Apply the time-outs of the connections, and end those with streams whose hosts are gone."""
        for place in list(self._places.values()):
            for connection in _open_ones(place) + place.leaving:
                connection.tick(now)
                if connection.core.streams:
                    connection.end_if_unreachable()

    def close_oldest(self) -> bool:
        """Close the connection that has been idle for the longest time; return False if there is none."""
        idle = [
            connection
            for place in self._places.values()
            for connection in _open_ones(place)
            if not connection.core.streams
        ]
        if idle:
            min(idle, key=lambda connection: connection.idle_since).close()
        return bool(idle)

    def drain(self) -> None:
        """Open no connection before it is needed any more."""
        self._is_draining = True

    def close(self) -> None:
        """Close all connections at once."""
        for place in list(self._places.values()):
            for connection in _open_ones(place) + place.leaving:
                connection.abort()


def _open_ones(place: _Place) -> list[EndpointConnection]:
    """Return the connections that may open further streams, now or later."""
    return [*place.connections, *place.full]

"""The idle connections of one upstream: open, without an exchange, kept for the next request. Time is passed in.

Each endpoint has a stack of them. The newest is taken first, so that few connections are busy and the others reach
their idle time-out.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from sidecars.ambassador.balancing.endpoint import Endpoint


class Idle(Protocol):
    """A connection without an exchange, as far as its store uses it."""

    idle_since: float
    idle_limit: float  # seconds after which it is closed

    def discard(self) -> None:
        """Close it and remove it from the store."""


C = TypeVar("C", bound=Idle)


class IdleConnections(Generic[C]):
    """The only list of idle connections. A connection adds and removes itself; the pool takes it for a request."""

    __slots__ = ("_stacks",)

    def __init__(self) -> None:
        self._stacks: dict[Endpoint, list[C]] = {}  # the newest is the last

    def add(self, endpoint: Endpoint, connection: C) -> None:
        stack = self._stacks.get(endpoint)
        if stack is None:
            self._stacks[endpoint] = [connection]
        else:
            stack.append(connection)

    def remove(self, endpoint: Endpoint, connection: C) -> None:
        """Remove a connection that may be in the store."""
        stack = self._stacks.get(endpoint)
        if stack and connection in stack:
            stack.remove(connection)

    def of(self, endpoint: Endpoint) -> list[C]:
        """Return the connections to this endpoint, the newest last. The caller changes it by `pop()` alone."""
        return self._stacks.get(endpoint, [])

    def count(self, endpoint: Endpoint) -> int:
        return len(self._stacks.get(endpoint, ()))

    def close_all(self, endpoint: Endpoint) -> None:
        """Close those of an endpoint that is to get no further request."""
        for connection in self._stacks.pop(endpoint, []):
            connection.discard()

    def close_oldest(self) -> None:
        """Close the connection that has been idle for the longest time, if there is one."""
        oldest = [stack[0] for stack in self._stacks.values() if stack]
        if oldest:
            min(oldest, key=lambda connection: connection.idle_since).discard()

    def close_expired(self, now: float) -> None:
        """Close those whose idle time-out is over."""
        for stack in list(self._stacks.values()):
            while stack and now - stack[0].idle_since >= stack[0].idle_limit:
                stack[0].discard()

    def close_every(self) -> None:
        for endpoint in list(self._stacks):
            self.close_all(endpoint)

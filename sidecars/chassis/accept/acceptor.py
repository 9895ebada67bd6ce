"""Accept connections, also while no file descriptor is free, and in turns with other processes.

The event loops' own servers reset connections if no descriptor is free: libuv accepts and closes each one that waits,
and logs nothing; asyncio stops accepting for a second. This acceptor takes a descriptor of the reserve (`descriptors`),
and calls `on_scarcity` if that is used.

It accepts up to `AT_ONCE` connections each time the loop polls: a flood of connections must not fill the kernel's queue
of those that wait, and must not keep the loop from the connections that are open. Processes that share a socket accept
one connection at a time, by turns:

    event                                               what it does
    a connection waits, `is_my_turn` returns True       accepts one
    a connection waits, `is_my_turn` returns False      leaves it to the others for 1 ms
    1 ms later it waits still                           accepts it, and a few more: the others are busy
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from sidecars.chassis.runtime import descriptors, logs

log = logs.get("acceptor")

AT_ONCE = 64  # connections
_AT_ONCE_FOR_OTHERS = 16  # connections that the other processes did not take
_LEFT_TO_OTHERS = 0.001  # seconds
_CLOSING = 0.01  # seconds until a connection that `on_scarcity` has closed frees its descriptor
_RETRY = 0.1  # seconds to wait after accept(2) has failed

PeerAddress = Any  # as accept(2) returns it: (host, port), or more for IPv6; "" for a unix socket
Take = Callable[[socket.socket, PeerAddress], None]


class Acceptor:
    """Accepts from one listening socket until it is closed. It owns the socket."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: socket.socket,
        take: Take,
        on_scarcity: Callable[[], object] = lambda: None,
        is_my_turn: Callable[[], bool] | None = None,
    ) -> None:
        """`take` gets each connection, as a socket that does not block, with the address of its peer.

        `on_scarcity` is called when the reserve is used; it may close a connection that is idle. `is_my_turn` is given
        if other processes accept from the same socket.
        """
        self._loop = loop
        self._bound = bound
        self._take = take
        self._on_scarcity = on_scarcity
        self._is_my_turn = is_my_turn
        self._at_once = AT_ONCE if is_my_turn is None else 1
        self._resume: asyncio.TimerHandle | None = None
        self._is_scarce = False  # True if the reserve is used and no other descriptor is free
        self._listen()

    def _listen(self) -> None:
        self._resume = None
        self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        if self._is_my_turn is not None and not self._is_my_turn():
            self._pause(_LEFT_TO_OTHERS, self._accept_what_is_left)
        else:
            self._accept_some(self._at_once)

    def _accept_what_is_left(self) -> None:
        """Accept the connections that the other processes did not take."""
        self._listen()
        self._accept_some(_AT_ONCE_FOR_OTHERS)

    def _accept_some(self, most: int) -> None:
        for _ in range(most):
            try:
                accepted, address = descriptors.accept_with_reserve(self._bound)
            except BlockingIOError:
                return  # none waits any more, or another process has accepted it
            except ConnectionError:
                continue  # the client has closed it
            except OSError as error:
                self._handle_failure(error)
                return
            accepted.setblocking(False)
            was_reserved = self._is_scarce or descriptors.is_reserved(accepted.fileno())
            self._is_scarce = was_reserved and not descriptors.is_any_free()
            if self._is_scarce:
                self._on_scarcity()  # one closed for each accepted: a response may have to open a file
                self._pause(_CLOSING, self._listen)
            self._take(accepted, address)
            if self._is_scarce:
                return

    def _handle_failure(self, error: OSError) -> None:
        """Pause: the connection that waits would wake the loop again at once, without end."""
        if descriptors.exhausted_resource(error) is None:
            log.warning("a connection cannot be accepted", code="connection-not-accepted", reason=error.strerror)
        self._on_scarcity()
        self._pause(_RETRY, self._listen)

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._bound)
        if self._resume is not None:
            self._resume.cancel()
        self._resume = self._loop.call_later(seconds, then)

    def close(self) -> None:
        """Accept no more, and close the listening socket."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._bound)
        self._bound.close()


class Starter:
    """Gives accepted connections their transports and protocols. The owner of an acceptor owns it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._starting: set[asyncio.Task[None]] = set()

    def start(
        self,
        accepted: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        on_failure: Callable[[], object] = lambda: None,
    ) -> None:
        """Give this connection a transport and a protocol. If that fails, close it and call `on_failure`."""
        task = self._loop.create_task(self._start(accepted, protocol, on_failure))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(
        self, accepted: socket.socket, protocol: Callable[[], asyncio.BaseProtocol], on_failure: Callable[[], object]
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(protocol, accepted)
        except OSError as error:
            accepted.close()
            on_failure()
            descriptors.count_exhaustion(error)

"""Accept connections also while no file descriptor is free.

The event loops' own servers reset connections then: libuv accepts and closes each one that waits, and logs nothing;
asyncio stops accepting for a second. This acceptor takes a descriptor of the reserve (`descriptors`), and calls
`on_scarcity` if that is used. It accepts one connection each time the loop polls, so that processes that share a socket
share its connections, too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from sidecars.chassis.runtime import descriptors, logs

log = logs.get("acceptor")

_CLOSING = 0.01  # seconds until a connection that `on_scarcity` has closed frees its descriptor
_RETRY = 0.1  # seconds to wait after accept(2) has failed


class Acceptor:
    """Accepts from one listening socket until it is closed. It owns the socket."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        on_scarcity: Callable[[], object] = lambda: None,
    ) -> None:
        """`on_scarcity` is called when the reserve is used; it may close a connection that is idle."""
        self._loop = loop
        self._bound = bound
        self._protocol = protocol
        self._on_scarcity = on_scarcity
        self._starting: set[asyncio.Task[object]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._is_scarce = False  # True if the reserve is used and no other descriptor is free
        self._listen()

    def _listen(self) -> None:
        self._resume = None
        self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        try:
            accepted = descriptors.accept_with_reserve(self._bound)
        except (BlockingIOError, ConnectionError):
            return  # another process has accepted it, or the client has closed it
        except OSError as error:
            self._handle_failure(error)
            return
        was_reserved = self._is_scarce or descriptors.is_reserved(accepted.fileno())
        self._is_scarce = was_reserved and not descriptors.is_any_free()
        if self._is_scarce:
            self._on_scarcity()  # one closed for each accepted: a response may have to open a file
            self._pause(_CLOSING)
        accepted.setblocking(False)
        task = self._loop.create_task(self._start(accepted))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, accepted)
        except OSError as error:
            accepted.close()
            descriptors.count_exhaustion(error)

    def _handle_failure(self, error: OSError) -> None:
        """Pause: the connection that waits would wake the loop again at once, without end."""
        if descriptors.exhausted_resource(error) is None:
            log.warning("a connection cannot be accepted", reason=error.strerror)
        self._on_scarcity()
        self._pause(_RETRY)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._bound)
        self._resume = self._loop.call_later(seconds, self._listen)

    def close(self) -> None:
        """Accept no more, and close the listening socket."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._bound)
        self._bound.close()

"""Accepting connections without the event loop's own server, which resets them where no descriptor is free.

libuv then accepts and closes whatever waits, without a word to anybody; asyncio stops for a second. This acceptor takes
a descriptor of the reserve (`descriptors`), and says by `shed` when even that is used up. It takes one
connection each time the loop polls, so that processes which share a socket share its connections, too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from sidecars.chassis.runtime import descriptors, logs

log = logs.get("acceptor")

_SHEDDING = 0.01  # seconds until what was shed is closed
_REST = 0.1  # seconds to wait where nothing can be accepted


class Acceptor:
    """Accepts from one listening socket until it is closed. It owns the socket."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        shed: Callable[[], object] = lambda: None,
    ) -> None:
        """`shed` is called when the reserve is used; it may close a connection that is of little use."""
        self._loop = loop
        self._bound = bound
        self._protocol = protocol
        self._shed = shed
        self._beginning: set[asyncio.Task[object]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._scarce = False  # True if the reserve is used, and nothing else is free
        self._begin()

    def _begin(self) -> None:
        self._later = None
        self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        try:
            accepted = descriptors.accept_with_reserve(self._bound)
        except (BlockingIOError, ConnectionError):
            return  # another process was faster, or the client has gone
        except OSError as error:
            self._rest(error)
            return
        self._scarce = (self._scarce or descriptors.is_reserved(accepted.fileno())) and not descriptors.is_any_free()
        if self._scarce:
            self._shed()  # one for each that is taken: whoever answers may have to open something
            self._pause(_SHEDDING)
        accepted.setblocking(False)
        task = self._loop.create_task(self._take(accepted))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _take(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, accepted)
        except OSError as error:
            accepted.close()
            descriptors.count_exhaustion(error)

    def _rest(self, error: OSError) -> None:
        """Do not ask again at once: the connection that waits would wake the loop for ever."""
        if descriptors.exhausted_resource(error) is None:
            log.warning("a connection cannot be accepted", reason=error.strerror)
        self._shed()
        self._pause(_REST)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._bound)
        self._later = self._loop.call_later(seconds, self._begin)

    def close(self) -> None:
        """Accept no more, and close the listening socket."""
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._bound)
        self._bound.close()

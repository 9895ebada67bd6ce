"""Accept the app's connections, even if descriptors are scarce.

The event loop's own server is the fastest. But if no descriptor is free, libuv resets connections, and nothing in this
process notices. So when a third of the descriptors is in use, the acceptor of the chassis takes over. It accepts with
the reserve of descriptors, so that a connection gets a response that says why it is turned away. The limit is a third,
because each connection of the app may open one to an endpoint before the next is accepted. There is no
way back: it would save only some 40 µs a connection.

Several workers accept from the same socket. Only the acceptor of the chassis takes turns with them.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import Callable
from typing import Final

from sidecars.chassis.accept.acceptor import Acceptor, Starter
from sidecars.chassis.accept.listen import BACKLOG

_SCARCE: Final = 3  # a third of the descriptors


def most_descriptors() -> int:
    """Return the number of descriptors that this process may have open: the soft limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


class Listener:
    """One listening socket, which it owns, and the server that accepts from it. The data path owns it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        is_my_turn: Callable[[], bool] | None = None,
    ) -> None:
        """`is_my_turn` is given if other workers accept from the same socket."""
        self._loop = loop
        self._bound = bound
        self._protocol = protocol
        self._is_my_turn = is_my_turn
        self._server: asyncio.AbstractServer | None = None
        self._acceptor: Acceptor | None = None
        self._scarce_at = most_descriptors() // _SCARCE

    async def start(self) -> None:
        """Begin to accept."""
        if self._bound.family == socket.AF_UNIX or self._is_my_turn is not None:
            self._accept_by_ourselves()
        else:
            server = self._bound.dup()  # for the server to close, while the socket goes on listening
            self._server = await self._loop.create_server(self._protocol, sock=server, backlog=BACKLOG)

    def accepted(self, descriptor: int) -> None:
        """Note the descriptor of a new connection. It was the lowest free number, so all below it are in use."""
        if descriptor >= self._scarce_at:
            self.take_over()

    def take_over(self) -> None:
        """Accept with the acceptor of the chassis from now on: descriptors are scarce, here or on the whole node."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._accept_by_ourselves()

    def _accept_by_ourselves(self) -> None:
        starter = Starter(self._loop)

        def take(accepted: socket.socket, _address: object) -> None:
            starter.start(accepted, self._protocol)

        self._acceptor = Acceptor(self._loop, self._bound, take, is_my_turn=self._is_my_turn)

    def close(self) -> None:
        """Stop accepting, and close the socket."""
        if self._server is not None:
            self._server.close()
        if self._acceptor is not None:
            self._acceptor.close()
        else:
            self._bound.close()

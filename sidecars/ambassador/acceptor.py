"""Accepting from a socket that several processes share.

The event loop's own servers take all that waits whenever they are woken, so that the first worker to wake would get
most of the app's connections. This one takes one at a time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from chassis import logs

log = logs.get("ambassador")

_REST = 0.1  # seconds to wait when the process may not open more files


class Acceptor:
    """Accepts until it is closed."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, bound: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._loop = loop
        self._bound = bound
        self._protocol = protocol
        self._beginning: set[asyncio.Task[object]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        try:
            accepted, _ = self._bound.accept()
        except (BlockingIOError, ConnectionError):
            return  # another worker was faster, or the app has thought better of it
        except OSError as error:
            log.warning("a connection cannot be accepted", reason=error.strerror)
            self._loop.remove_reader(self._bound)
            self._later = self._loop.call_later(_REST, self._begin)
            return
        accepted.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, accepted))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def close(self) -> None:
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._bound)
        self._bound.close()

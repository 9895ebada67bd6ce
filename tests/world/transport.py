"""asyncio's transport over a socket of the world. It does what `asyncio.selector_events` does, step by step."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.world.sockets import VirtualSocket

if TYPE_CHECKING:
    from tests.world.event_loop import VirtualLoop

_READS = 256 * 1024  # bytes that one read takes at most, as asyncio's
_HIGH = 64 * 1024


class VirtualTransport(asyncio.Transport):
    """The transport of one connection. The loop makes it; the protocol uses it."""

    def __init__(
        self, loop: VirtualLoop, own: VirtualSocket, protocol: Any, waiter: asyncio.Future[None] | None
    ) -> None:
        super().__init__()
        self._loop = loop
        self._socket = own
        self._protocol = protocol
        self._buffer = bytearray()
        self._is_paused = self._is_closing = self._is_lost = self._ends = self._is_full = False
        self._context = contextvars.copy_context()  # says whose connection this is
        self.set_write_buffer_limits()
        own.transport = self
        loop.call_soon(protocol.connection_made, self)
        loop.call_soon(self._begin_reading)
        if waiter is not None:
            loop.call_soon(_settle, waiter)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known = {"socket": self._socket, "sockname": self._socket.address, "peername": self._socket.peer_address}
        return known.get(name, default)

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def is_closing(self) -> bool:
        return self._is_closing

    # -- reading --------------------------------------------------------------------------------------------------

    def _begin_reading(self) -> None:
        if not self._is_closing and not self._is_paused:
            self._loop.add_reader(self._socket, self._read)

    def is_reading(self) -> bool:
        return not self._is_closing and not self._is_paused

    def pause_reading(self) -> None:
        if self.is_reading():
            self._is_paused = True
            self._loop.remove_reader(self._socket)

    def resume_reading(self) -> None:
        if self._is_paused and not self._is_closing:
            self._is_paused = False
            self._loop.add_reader(self._socket, self._read)

    def _read(self) -> None:
        if self._is_lost:
            return
        universe = self._loop.universe
        size = _READS if universe.chance(0.8) else universe.dice.randint(1, 1000)
        protocol = self._protocol
        try:
            if isinstance(protocol, asyncio.BufferedProtocol):
                room = memoryview(protocol.get_buffer(-1))
                data = self._socket.recv(min(size, len(room)))
                room[: len(data)] = data
            else:
                data = self._socket.recv(size)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not data:
            self._read_end(protocol)
        elif isinstance(protocol, asyncio.BufferedProtocol):
            protocol.buffer_updated(len(data))
        else:
            protocol.data_received(data)

    def _read_end(self, protocol: Any) -> None:
        if protocol.eof_received():
            self._loop.remove_reader(self._socket)
        else:
            self.close()

    # -- writing --------------------------------------------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = _HIGH if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    @property
    def has_unsent(self) -> bool:
        return bool(self._buffer)

    def can_write_eof(self) -> bool:
        return True

    def write(self, data: Any) -> None:
        if self._ends:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._is_lost:
            return
        data = bytes(data)
        if not self._buffer:
            try:
                data = data[self._socket.send(data) :]
            except OSError as error:
                self._fail(error)
                return
        self._buffer += data
        if len(self._buffer) > self._high and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def write_ready(self) -> None:
        """Write more: the network has room, or the connection is broken. The network calls this."""
        self._context.run(self._write_more)

    def _write_more(self) -> None:
        if self._is_lost or not self._buffer:
            return
        try:
            del self._buffer[: self._socket.send(bytes(self._buffer))]
        except OSError as error:
            self._fail(error)
            return
        if self._is_full and len(self._buffer) <= self._low:
            self._is_full = False
            self._protocol.resume_writing()
        if not self._buffer:
            if self._is_closing:
                self._lose(None)
            elif self._ends:
                self._socket.shutdown(socket.SHUT_WR)

    def write_eof(self) -> None:
        if self._is_closing or self._ends:
            return
        self._ends = True
        if not self._buffer:
            self._socket.shutdown(socket.SHUT_WR)

    # -- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._loop.remove_reader(self._socket)
        if not self._buffer:
            self._lose(None)

    def abort(self) -> None:
        self._fail(None)

    def die(self) -> None:
        """Tell the protocol nothing any more: its process was killed."""
        self._is_closing = self._is_lost = True
        self._buffer.clear()

    def _fail(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._buffer.clear()
        if not self._is_closing:
            self._is_closing = True
            self._loop.remove_reader(self._socket)
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._loop.call_soon(self._connection_lost, error, context=self._context)

    def _connection_lost(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._socket.close()


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

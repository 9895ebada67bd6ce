"""The network of the world: who listens where, and the bytes that are under way.

A connection is two `Stream`s. What is sent on one is cut at places that the dice choose, and each piece arrives after a
delay that the dice choose, but never before the piece in front of it. Timers of equal time are not first in, first out
in asyncio (its heap is not stable), so a piece that arrives is taken from the stream's own queue.

`Weather` says how an address behaves: it refuses, never answers, or is slow.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.world.kernel import Kernel
from tests.world.sockets import VirtualSocket, error_of

_WINDOW = 64 * 1024  # bytes of one direction that are under way or unread at the other end
_RETRANSMITS = 20.0  # seconds until connect(2) gives up on a host that does not answer
_EPHEMERAL = 40_000
_FIN = None


@dataclass
class Weather:
    """The behaviour of one address for those who connect to it."""

    refuses: bool = False
    hangs: bool = False
    slowest: float = 0.003  # seconds that a piece needs at most
    stalls: float = 0.0  # the share of pieces that need much longer
    keeps_whole: float = 0.3  # the share of writes that arrive in one piece


_FAIR = Weather()


class Stream:
    """The bytes of one direction of a connection."""

    def __init__(self, network: Network, writer: VirtualSocket, reader: VirtualSocket, weather: Weather) -> None:
        self.arrived = bytearray()  # at the reader, and not read
        self.is_ended = False  # True if the writer's FIN has arrived
        self.acknowledged = 0
        self._network = network
        self._writer, self._reader = writer, reader
        self._weather = weather
        self._under_way: deque[bytes | None] = deque()
        self._size = 0  # bytes under way
        self._last = 0.0  # the time at which the last piece arrives

    def room(self) -> int:
        return _WINDOW - self._size - len(self.arrived)

    def send(self, data: bytes) -> int:
        """Send as much as there is room for; return how much that was."""
        taken = min(len(data), self.room())
        universe = self._network.universe
        at = 0
        while at < taken:
            size = taken - at
            if size > 1 and not universe.chance(self._weather.keeps_whole):
                size = universe.dice.randint(1, size)
            self._put(bytes(data[at : at + size]))
            at += size
        return taken

    def end(self) -> None:
        self._put(_FIN)

    def _put(self, piece: bytes | None) -> None:
        weather, universe = self._weather, self._network.universe
        delay = universe.between(0.00005, weather.slowest)
        if weather.stalls and universe.chance(weather.stalls):
            delay += universe.between(0.1, 3.0)
        self._last = max(self._last, universe.now + delay)
        self._under_way.append(piece)
        self._size += len(piece or b"")
        self._network.loop.call_at(self._last, self._arrive)

    def _arrive(self) -> None:
        if not self._under_way:
            return  # a reset has dropped it
        piece = self._under_way.popleft()
        self._size -= len(piece or b"")
        if self._reader.is_closed:
            if piece:
                self._reader.abort()  # the host of a socket that is closed answers with a reset
            return
        if self._reader.is_reset:
            return
        if piece is _FIN:
            self.is_ended = True
        else:
            self.acknowledged += len(piece)
            self.arrived += piece
        self._reader.wake()

    def take(self, size: int, *, peek: bool = False) -> bytes:
        """Return bytes that have arrived; the writer has room for more then."""
        data = bytes(self.arrived[:size])
        if not peek:
            del self.arrived[: len(data)]
            self._wake_writer()
        return data

    def _wake_writer(self) -> None:
        transport = self._writer.transport
        if transport is not None and transport.has_unsent:
            self._network.loop.call_later(
                self._network.universe.between(0, self._weather.slowest), transport.write_ready
            )

    def reset(self) -> None:
        """Send RST. It follows the pieces under way, or overtakes them: the reader may lose what it has not read."""
        universe = self._network.universe
        if universe.chance(0.5):
            self._under_way.clear()
            self._size = 0
            self._last = universe.now
        self._last = max(self._last, universe.now) + universe.between(0.00005, self._weather.slowest)
        self._network.loop.call_at(self._last, self._arrive_reset)

    def _arrive_reset(self) -> None:
        reader = self._reader
        if reader.is_closed:
            return
        self._under_way.clear()
        reader.is_reset = True
        reader.wake()
        if self._network.universe.chance(0.5):
            self.arrived.clear()
        if reader.outgoing is not None:
            reader.outgoing.drop()
        if reader.transport is not None:
            reader.transport.write_ready()  # a write that waits fails

    def drop(self) -> None:
        """Forget what is under way: the connection is reset."""
        self._under_way.clear()
        self._size = 0


class Network:
    """All hosts. The sidecar is on loopback; a peer may have any address."""

    def __init__(self, kernel: Kernel) -> None:
        self.universe = kernel.universe
        self.kernel = kernel
        self.weather: dict[tuple[str, int], Weather] = {}
        self.names: dict[str, list[str]] = {}
        self.connections: list[tuple[VirtualSocket, VirtualSocket]] = []  # those that were ever open
        self._listening: dict[tuple[str, int], VirtualSocket] = {}
        self._ports = _EPHEMERAL
        kernel.network = self

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.kernel.loop

    # -- names and listeners --------------------------------------------------------------------------------------

    def look_up(self, host: str, port: int) -> list[Any]:
        """Return what getaddrinfo(3) returns. Raises OSError."""
        addresses = self.names.get(host, [host])
        try:
            found = [ipaddress.ip_address(address) for address in addresses]
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        if not found:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [(families[each.version], socket.SOCK_STREAM, 6, "", (str(each), port)) for each in found]

    def bind(self, address: Any) -> tuple[str, int]:
        host, port = address[0] or "0.0.0.0", address[1]
        if not port:
            self._ports += 1
            port = self._ports
        if (host, port) in self._listening:
            raise error_of(errno.EADDRINUSE)
        return host, port

    def listen(self, own: VirtualSocket) -> None:
        self._listening.setdefault(own.address, own)

    def unlisten(self, own: VirtualSocket) -> bool:
        """Return True if nobody listens there any more: it was not a copy of a socket that goes on."""
        if self._listening.get(own.address) is not own:
            return False
        del self._listening[own.address]
        return True

    def is_listening(self, host: str, port: int) -> bool:
        return self._listener(host, port) is not None

    def _listener(self, host: str, port: int) -> VirtualSocket | None:
        for name in (host, "0.0.0.0", "::"):
            if (name, port) in self._listening:
                return self._listening[name, port]
        return None

    # -- connections ----------------------------------------------------------------------------------------------

    def connect(self, own: VirtualSocket, address: Any, outcome: asyncio.Future[Any]) -> None:
        """Connect, and settle `outcome` when that is decided."""
        host, port = address[0], address[1]
        weather = self.weather.get((host, port), _FAIR)

        def decide() -> None:
            if outcome.done() or own.is_closed:
                return
            listener = self._listener(host, port)
            if weather.hangs:
                outcome.set_exception(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            elif weather.refuses or listener is None:
                outcome.set_exception(ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
            else:
                self._join(own, listener, (host, port), weather)
                outcome.set_result(None)

        delay = _RETRANSMITS if weather.hangs else self.universe.between(0.0001, 2 * weather.slowest)
        self.loop.call_later(delay, decide)

    def _join(self, own: VirtualSocket, listener: VirtualSocket, address: tuple[str, int], weather: Weather) -> None:
        self._ports += 1
        other = VirtualSocket.__new__(VirtualSocket)
        VirtualSocket.__init__(other, listener.family, listener.type)
        self.kernel.close(other.number)  # accept(2) gives it its descriptor
        local = "127.0.0.1" if address[0].startswith("127.") else "::1" if address[0] == "::1" else "10.0.0.1"
        if own.address[1]:  # it was bound to an address of its own
            local = own.address[0]
        own.address, own.peer_address = (local, self._ports), address
        other.address, other.peer_address = address, own.address
        own.outgoing = other.incoming = Stream(self, own, other, weather)
        own.incoming = other.outgoing = Stream(self, other, own, weather)
        self.connections.append((own, other))
        listener.backlog.append(other)
        for each in (listener, *listener.copies):
            each.wake()

    def open_connections(self, wanted: Callable[[VirtualSocket], bool] = lambda _: True) -> list[VirtualSocket]:
        """Return the sockets that are open and for which `wanted` is true."""
        return [own for pair in self.connections for own in pair if not own.is_closed and wanted(own)]

    def sock_diag(self, query: bytes) -> bytes:
        """Return the reply of the kernel: the inode of the socket with the two addresses of the query."""
        sequence = struct.unpack_from("=I", query, 8)[0]
        local, remote = struct.unpack_from("!HH", query, 24)
        for own in (each for pair in self.connections for each in pair):
            if own.address[1] == local and own.peer_address[1] == remote:
                inode = 0 if own.is_closed else own.inode
                message = bytes(4) + struct.pack("!HH", local, remote) + bytes(60) + struct.pack("=I", inode)
                return struct.pack("=IHHII", 16 + len(message), 20, 0, sequence, 0) + message
        return struct.pack("=IHHII", 20, 2, 0, sequence, 0) + struct.pack("=i", -errno.ENOENT)

"""Sockets of the world: listening ones, connected ones, and the one that asks the kernel for inodes (sock_diag).

A `VirtualSocket` takes the place of `socket.socket`. It has the methods that the sidecars call. Two connected sockets
have a `Stream` for each direction (`network`).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from tests.world import kernel as kernels

if TYPE_CHECKING:
    from tests.world.network import Stream
    from tests.world.transport import VirtualTransport

_TCP_INFO_ACKNOWLEDGED = 120  # where `tcpi_bytes_acked` lies in struct tcp_info
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def error_of(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class VirtualSocket:
    """A TCP socket, or a netlink socket for sock_diag."""

    def __init__(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0, fileno: Any = None
    ) -> None:
        self.kernel = kernels.kernel()
        self.family, self.type, self.proto = family, kind, proto
        self.address: Any = ("0.0.0.0", 0)
        self.peer_address: Any = None
        self.is_listening = False
        self.backlog: deque[VirtualSocket] = deque()
        self.copies: list[VirtualSocket] = []
        self.incoming: Stream | None = None
        self.outgoing: Stream | None = None
        self.is_reset = False  # True if the peer has reset the connection
        self.is_closed = self.is_shut = False
        self.transport: VirtualTransport | None = None
        self.on_readable: Callable[[], object] | None = None
        self._lingers_zero = False
        self._replies: deque[bytes] = deque()
        if fileno is not None:  # another object for a descriptor that is open
            self.number, self.inode, self._is_alias = fileno, -1, True
            return
        self.inode, self._is_alias = self.kernel.new_inode(), False
        self.number = self.kernel.open(self)

    # -- names and options ----------------------------------------------------------------------------------------

    def fileno(self) -> int:
        return -1 if self.is_closed else self.number

    def getsockname(self) -> Any:
        return self.address

    def getpeername(self) -> Any:
        if self.peer_address is None:
            raise error_of(errno.ENOTCONN)
        return self.peer_address

    def setblocking(self, _flag: bool) -> None:  # noqa: FBT001 - as in `socket`
        pass

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._lingers_zero = struct.unpack("ii", value) == (1, 0)

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        if level != socket.IPPROTO_TCP or option != socket.TCP_INFO:
            return 0
        sent = 0 if self.outgoing is None else self.outgoing.acknowledged
        return (bytes(_TCP_INFO_ACKNOWLEDGED) + struct.pack("=Q", sent) + bytes(104))[:size]

    # -- listening ------------------------------------------------------------------------------------------------

    def bind(self, address: Any) -> None:
        self.address = self.kernel.network.bind(address)

    def listen(self, _backlog: int = 0) -> None:
        self.is_listening = True
        self.kernel.network.listen(self)

    def accept(self) -> tuple[VirtualSocket, Any]:
        if not self.backlog:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        own = self.backlog.popleft()
        own.number = self.kernel.open(own)
        return own, own.peer_address

    # -- connections ----------------------------------------------------------------------------------------------

    def connect(self, _address: Any) -> None:
        """Find a route, for UDP: every address of the world has one."""

    def wake(self) -> None:
        """Let the next poll look at this socket."""
        self.kernel.awake[self.inode] = self

    def is_readable(self) -> bool:
        if self.is_listening:
            return bool(self.backlog)
        incoming = self.incoming
        return self.is_reset or (incoming is not None and (bool(incoming.arrived) or incoming.is_ended))

    def run_reader(self) -> None:
        """Call the reader, unless it has gone since it was scheduled."""
        if self.on_readable is not None and self.is_readable():
            self.on_readable()
            self.wake()  # what is left is reported again

    def is_hung_up(self) -> bool:
        """Return True if poll(2) reports POLLHUP: it was reset, or both directions are shut down."""
        ended = self.incoming is not None and self.incoming.is_ended
        return self.is_reset or (ended and self.is_shut)

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self._replies:
            return self._replies.popleft()
        incoming = self.incoming
        if incoming is None:
            raise error_of(errno.ENOTCONN)
        if incoming.arrived:
            return incoming.take(size, peek=bool(flags & socket.MSG_PEEK))
        if self.is_reset:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        if incoming.is_ended:
            return b""
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def send(self, data: bytes, _flags: int = 0) -> int:
        """Send what there is room for, and return how much that was. Raises OSError."""
        if self.family == getattr(socket, "AF_NETLINK", -1):
            self._replies.append(self.kernel.network.sock_diag(data))
            return len(data)
        if self.outgoing is None or self.is_shut:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        if self.is_reset:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return self.outgoing.send(data)

    def shutdown(self, _how: int) -> None:
        if not self.is_shut and self.outgoing is not None and not self.is_reset:
            self.is_shut = True
            self.outgoing.end()

    # -- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if self.is_closed or self._is_alias:
            return
        self.is_closed = True
        if self.number in self.kernel.files:
            self.kernel.close(self.number)
        if self.is_listening:
            if self.kernel.network.unlisten(self):
                for waiting in self.backlog:
                    waiting.is_closed = True
                    waiting.abort()
        elif self.outgoing is not None and self.incoming is not None:
            # Bytes that nobody has read make the kernel reset the connection (RFC 9112 section 9.6).
            if self._lingers_zero or self.incoming.arrived:
                self.abort()
            elif not self.is_shut:
                self.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        if self.outgoing is not None and not self.is_reset:
            self.outgoing.reset()

    def detach(self) -> int:
        number: int = self.number
        return number

    def dup(self) -> VirtualSocket:
        """Return another descriptor for a listening socket; both accept the same connections."""
        other = VirtualSocket(self.family, self.type, self.proto)
        other.address, other.backlog = self.address, self.backlog
        self.copies.append(other)
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

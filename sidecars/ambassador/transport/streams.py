"""Stream transports of the event loop: their type, and two ways to close one that asyncio does not have."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections.abc import Iterable
from typing import Any, Protocol

_UNREAD = 256 * 1024  # bytes that `discard_unread` takes at the most
_LINGER_ZERO = struct.pack("ii", 1, 0)  # struct linger: on, for 0 seconds


class Transport(Protocol):
    """The part of asyncio.Transport that the data path uses.

    It is a Protocol because uvloop's transports have these methods without inheriting from asyncio's class.
    """

    def write(self, data: bytes) -> None: ...

    def writelines(self, pieces: Iterable[bytes], /) -> None: ...

    def can_write_eof(self) -> bool: ...

    def write_eof(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def is_closing(self) -> bool: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int: ...

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, name: str, /) -> Any: ...

    def set_protocol(self, protocol: Any, /) -> None: ...


def reset(transport: Transport) -> None:
    """Close with a TCP reset: drop the bytes that the peer has not taken. It cannot take this for an orderly end."""
    with contextlib.suppress(OSError, AttributeError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


def discard_unread(transport: Transport) -> None:
    """Read and drop the bytes that have arrived.

    The kernel resets a connection that is closed with unread bytes, and the peer loses the response.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.read(transport.get_extra_info("socket").fileno(), _UNREAD)


def has_unread(transport: Transport) -> bool:
    """Return True if bytes of the peer, or its end, have arrived and wait to be read."""
    own = transport.get_extra_info("socket")
    if own is None or own.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(own.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def peer_host(transport: Transport) -> str:
    """Return the host at the other end; "" if it has none, as with a unix socket."""
    peer = transport.get_extra_info("peername")
    return peer[0] if isinstance(peer, tuple) else ""


def report_untaken(transport: Transport) -> None:
    """Let the transport call `pause_writing` for each byte that its peer has not taken, and then `resume_writing`."""
    # Plain ones report more than the limit; those with TLS report the limit itself.
    transport.set_write_buffer_limits(0 if transport.can_write_eof() else 1)

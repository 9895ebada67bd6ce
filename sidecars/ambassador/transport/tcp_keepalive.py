"""Detect a host that is gone without closing: TCP keepalive (RFC 1122 section 4.2.3.6) and TCP_INFO.

The kernel sends no keepalive probes while data is under way: it retransmits the data, for about 15 minutes
(tcp_retries2). TCP_USER_TIMEOUT would shorten that, but would also end a live peer that takes nothing for as long, such
as an app that works through a batch. So `is_unreachable` reads TCP_INFO: a live peer acknowledges probes of its closed
window, and a peer that is gone acknowledges nothing.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct

# Seconds of silence before the first probe: Linux's name of the option, and that of macOS. TCP_INFO is Linux's alone.
_IDLE: int = getattr(socket, "TCP_KEEPIDLE", 0) or getattr(socket, "TCP_KEEPALIVE", 0)
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
_PROBES = 3  # probes without a reply after which the kernel ends the connection
_INFO = struct.Struct("=BBBBBxxx13I")  # tcp_info up to the time since the last acknowledgement came
_ACKNOWLEDGED = struct.Struct("=120xQ")  # tcp_info up to tcpi_bytes_acked, which Linux has since 4.1
_RETRANSMITS = 2  # consecutive ones, none of which was acknowledged
_LAST_ACK = -1  # milliseconds since it came


def set_keepalive(own: socket.socket | None, seconds: float) -> None:
    """Let the kernel probe the peer of this socket after this many seconds of silence; 0: never.

    Three probes follow at intervals of a third of that time, at least 1 s, which is also the kernel's unit: a peer that
    is gone is noticed after twice the time. Connections that a listening socket accepts inherit its options. A
    socket of another protocol, such as a unix socket, needs no probes and is not changed.
    """
    if not seconds or own is None or own.family not in (socket.AF_INET, socket.AF_INET6):
        return  # None: its transport has closed meanwhile
    idle, interval = max(1, math.ceil(seconds)), max(1, math.ceil(seconds / _PROBES))
    with contextlib.suppress(OSError, ValueError):  # it was reset meanwhile
        # The event loop's socket makes a copy of itself for each call; one that shares the descriptor costs less.
        shared = socket.socket(own.family, own.type, own.proto, fileno=own.fileno())
        try:
            shared.setsockopt(socket.IPPROTO_TCP, _IDLE, idle)
            shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
            shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        finally:
            shared.detach()


def is_unreachable(own: socket.socket | None, seconds: float) -> bool:
    """Return True if the peer of this TCP socket has acknowledged nothing for twice `seconds`."""
    if not seconds or own is None or _TCP_INFO is None:
        return False
    with contextlib.suppress(OSError):  # it was reset meanwhile, or is a unix socket
        return acknowledges_nothing(own.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO.size), 2 * seconds)
    return False


def acknowledged(own: socket.socket | None) -> int:
    """Return the number of bytes that the peer of this TCP socket has acknowledged; 0 if it is not known.

    It distinguishes a peer that takes little from one that takes nothing. The event loop learns that the kernel has
    room only when a third of the send buffer is free, which may have megabytes.
    """
    if own is None or _TCP_INFO is None:
        return 0
    with contextlib.suppress(OSError, struct.error):  # it is closed, is no TCP socket, or the kernel is older
        count: int = _ACKNOWLEDGED.unpack(own.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKNOWLEDGED.size))[0]
        return count
    return 0


def acknowledges_nothing(info: bytes, seconds: float) -> bool:
    """Return True if, by this tcp_info, data is retransmitted and nothing was acknowledged for so many seconds."""
    if len(info) < _INFO.size:
        return False
    known = _INFO.unpack_from(info)
    retransmits: int = known[_RETRANSMITS]
    last_ack: int = known[_LAST_ACK]
    return retransmits > 0 and last_ack >= seconds * 1000

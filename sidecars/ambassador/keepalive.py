"""TCP keepalive (RFC 1122 section 4.2.3.6): a host that is gone without a word is noticed on a silent connection."""

from __future__ import annotations

import contextlib
import math
import socket
from typing import Any

_PROBES = 3  # that get no reply until the connection is broken off


def set_keepalive(own: Any, seconds: float) -> None:
    """Have the kernel probe the peer of this socket after so many seconds of silence; 0: never.

    Three probes follow at intervals of a third of that time, at least 1 s, which is also the kernel's unit: a peer that
    is gone is noticed after twice the time. Connections that a listening socket accepts inherit what is set on it. A
    socket that is not TCP's, such as a unix socket, needs none and is left alone.
    """
    if not seconds or own.family not in (socket.AF_INET, socket.AF_INET6):
        return
    idle, interval = max(1, math.ceil(seconds)), max(1, math.ceil(seconds / _PROBES))
    with contextlib.suppress(OSError):  # it was reset meanwhile
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

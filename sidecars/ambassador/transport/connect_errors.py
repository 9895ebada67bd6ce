"""Translate errors of the operating system and of TLS to a `Cause`.

If this process or its node has no descriptors, memory or local ports left, no endpoint is blamed: such a cause has
`own_fault`, and `descriptors` counts and logs it.
"""

from __future__ import annotations

import errno
from ssl import SSLError
from typing import Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.transport import upstream_tls
from sidecars.ambassador.transport.host_routes import has_route
from sidecars.chassis.runtime import descriptors

_UNREACHABLE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EINVAL)
_USED_UP: Final = {
    descriptors.DESCRIPTORS: local_replies.NO_DESCRIPTORS,
    descriptors.MEMORY: local_replies.NO_MEMORY,
    descriptors.PORTS: local_replies.NO_PORTS,
}


class ConnectFailed(OSError):
    """A connection did not open, and the cause is known."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.text)
        self.cause = cause


def of_connecting(error: OSError, ip: str) -> Cause:
    """Return the cause why no connection to this IP address opened."""
    if isinstance(error, ConnectFailed | SSLError):
        return error.cause if isinstance(error, ConnectFailed) else upstream_tls.cause_of(error)
    if isinstance(error, ConnectionRefusedError):
        return local_replies.CONNECTION_REFUSED
    if error.errno in _UNREACHABLE:
        return local_replies.ADDRESS_UNREACHABLE
    # EADDRNOTAVAIL: all local ports are in use, or this host has no address of that family (ip(7), ipv6(7)).
    if error.errno == errno.EADDRNOTAVAIL and not has_route(ip):
        return local_replies.ADDRESS_UNREACHABLE
    used_up = descriptors.count_exhaustion(error)
    if used_up is not None:
        return _USED_UP[used_up]
    return local_replies.CONNECTION_CLOSED if isinstance(error, ConnectionError) else local_replies.ADDRESS_UNREACHABLE


def of_breaking(error: Exception | None) -> Cause:
    """Return the cause why an open connection broke."""
    if error is not None and descriptors.count_exhaustion(error) is not None:
        return local_replies.NO_MEMORY
    return local_replies.CONNECTION_CLOSED

"""Why a connection failed: from an error of the operating system or of TLS to a `Cause`.

What this process or its node has used up (descriptors, memory, local ports) is told apart from what an endpoint does:
such a cause is `own`, is counted and logged by `chassis.descriptors`, and no endpoint is blamed for it.
"""

from __future__ import annotations

import errno
from ssl import SSLError
from typing import Final

from chassis import descriptors
from sidecars.ambassador import answers, secure
from sidecars.ambassador.answers import Cause
from sidecars.ambassador.routes import has_route

_UNREACHABLE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EINVAL)
_USED_UP: Final = {
    descriptors.DESCRIPTORS: answers.NO_DESCRIPTORS,
    descriptors.MEMORY: answers.NO_MEMORY,
    descriptors.PORTS: answers.NO_PORTS,
}


def of_connecting(error: OSError, ip: str) -> Cause:
    """Return why no connection to this IP address was made."""
    if isinstance(error, SSLError):
        return secure.cause_of(error)
    if isinstance(error, ConnectionRefusedError):
        return answers.REFUSED
    if error.errno in _UNREACHABLE:
        return answers.UNREACHABLE
    # EADDRNOTAVAIL: all local ports are in use, or this host has no address of that family (ip(7), ipv6(7)).
    if error.errno == errno.EADDRNOTAVAIL and not has_route(ip):
        return answers.UNREACHABLE
    used_up = descriptors.count(error)
    if used_up is not None:
        return _USED_UP[used_up]
    return answers.CLOSED if isinstance(error, ConnectionError) else answers.UNREACHABLE


def of_breaking(error: Exception | None) -> Cause:
    """Return why an open connection broke."""
    if error is not None and descriptors.count(error) is not None:
        return answers.NO_MEMORY
    return answers.CLOSED

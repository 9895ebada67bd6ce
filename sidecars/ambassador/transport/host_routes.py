"""Routes of this host: find out if packets to an address would leave at all."""

from __future__ import annotations

import errno
import socket

_ANY_PORT = 9
# connect(2) of UDP: no route, no address of that family to speak from, no such family, no such scope.
_NO_ROUTE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL, errno.ENODEV}
)


def has_route(address: str) -> bool:
    """Return True if packets to this IP address would leave. Many Pods have no IPv6, while names have AAAA records.

    Nothing is sent. If this process may open no socket, the result is True.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect((address, _ANY_PORT))
    except (socket.gaierror, ValueError):  # it is no address: an unknown scope, or not even that
        return False
    except OSError as error:
        return error.errno not in _NO_ROUTE
    return True

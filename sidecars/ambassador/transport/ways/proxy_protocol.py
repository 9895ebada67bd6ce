"""The header of the PROXY protocol, version 2, with which a connection begins. No I/O.

    signature (12)  version and command (1)  family and transport (1)  length (2)  addresses

https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2. No TLV is sent.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL, _PROXY = 0x20, 0x21  # version 2, and the command
_TCP4, _TCP6 = 0x11, 0x21
_HEAD: Final = struct.Struct("!12sBBH")
_PORTS: Final = struct.Struct("!HH")
_MOST_PORT = 0xFFFF

LOCAL: Final = _HEAD.pack(_SIGNATURE, _LOCAL, 0, 0)
"""The connection is the sender's own: the receiver uses the address that it sees.

It is sent for a client of a unix socket, too. Its addresses could be "unspecified", which HAProxy refuses.
"""


def header(source: object, destination: object) -> bytes:
    """Return the header for a client's connection, by the two addresses of its socket, as Python has them."""
    ours, theirs = _packed(source), _packed(destination)
    if ours is None or theirs is None or len(ours[0]) != len(theirs[0]):
        return LOCAL
    addresses = ours[0] + theirs[0] + _PORTS.pack(ours[1], theirs[1])
    family = _TCP4 if len(ours[0]) == 4 else _TCP6  # noqa: PLR2004 - the bytes of an IPv4 address
    return _HEAD.pack(_SIGNATURE, _PROXY, family, len(addresses)) + addresses


def _packed(address: object) -> tuple[bytes, int] | None:
    """Return the IP address and the port; None if this is no address of IP."""
    match address:
        case (str(host), int(port), *_) if 0 <= port <= _MOST_PORT:
            host = host.partition("%")[0]  # without the scope of a link-local address, which is of this host alone
        case _:
            return None
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, host), port
        except OSError:
            continue
    return None

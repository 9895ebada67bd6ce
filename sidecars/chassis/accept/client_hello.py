"""Look at a ClientHello before there is a TLS session. No I/O.

A TLS session takes more than 100 KiB from its first byte on, so none is made before the client has sent a whole first
record: a header of 5 bytes (type, version, length) and its content (RFC 8446 section 5.1).
"""

from __future__ import annotations

HEADER = 5  # bytes
MOST = HEADER + 2**14  # bytes of a record without encryption
_HANDSHAKE = 22  # the type of a record
_MAJOR = 3  # the first byte of the version, from SSL 3.0 to TLS 1.3


def record_size(beginning: bytes) -> int:
    """Return the bytes of the record that begins so, its header included; 0 if no client of TLS begins so.

    `beginning` has at least `HEADER` bytes.
    """
    size = HEADER + int.from_bytes(beginning[3:HEADER], "big")
    is_handshake = beginning[0] == _HANDSHAKE and beginning[1] == _MAJOR
    return size if is_handshake and HEADER < size <= MOST else 0

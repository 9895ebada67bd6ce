"""Find the user whose process listens on a port, in `/proc/net/tcp` and `tcp6` (proc_net_tcp(5)).

These tables show the sockets of this network namespace with their users, to everybody. In a Pod, that is enough to
tell which container has taken the port of another one, if each has a user of its own.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN = "0A"  # TCP_LISTEN of include/net/tcp_states.h
_LOCAL, _STATE, _UID = 1, 3, 7  # columns
_WORD = 8  # hexadecimal digits: a word of 32 bits, in the byte order of this machine
_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2
_IPV4 = 4  # bytes


def find_uid(host: str, port: int) -> int | None:
    """Return the user that listens on this address or on one that includes it; None if it is not known."""
    wanted = _packed(host)
    for table in _TABLES:
        try:
            text = Path(table).read_text(encoding="ascii")
        except OSError:
            continue  # no IPv6, or no /proc
        for address, its_port, uid in listeners(text):
            if its_port == port and (address == wanted or not (any(address) and any(wanted))):
                return uid
    return None


def listeners(text: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield address, port and user of each listening socket in the table. IPv4-mapped addresses are unwrapped."""
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) <= _UID or columns[_STATE] != _LISTEN:
            continue
        address, _, port = columns[_LOCAL].partition(":")
        words = [int(address[at : at + _WORD], 16) for at in range(0, len(address), _WORD)]
        yield _unwrapped(struct.pack(f"={len(words)}I", *words)), int(port, 16), int(columns[_UID])


def _packed(host: str) -> bytes:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return _unwrapped(socket.inet_pton(family, host.partition("%")[0]))


def _unwrapped(address: bytes) -> bytes:
    return address[-_IPV4:] if address.startswith(_MAPPED) else address

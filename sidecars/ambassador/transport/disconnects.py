"""Tell an app that has closed its connection from one that has only ended its sending direction (half-close).

Both look alike on the connection: a FIN arrives. In a Pod both ends of it are sockets of one kernel and one network
namespace, and the kernel says of each socket whether a process still holds it:

- A connection that is reset, or a unix socket whose other end is closed, has `POLLHUP`.
- The other end of a TCP connection has an inode for as long as a process holds it, after `shutdown(SHUT_WR)` too; once
  it is closed its inode is 0. The kernel is asked for this one socket through `sock_diag` (sock_diag(7), needs no
  privilege); where that is refused, `/proc/net/tcp` is read, at most every `_TABLE_HOLDS`.

Where none of this answers, such as for a peer on another machine, the FIN is taken for a half-close (RFC 9112
section 9.6 lets a client do so), and the time-outs decide.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY: the type of the question, and of its answer
_REQUEST = 1  # NLM_F_REQUEST, without NLM_F_DUMP: exactly one socket
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_QUESTION = struct.Struct("=BBxxI")  # inet_diag_req_v2 up to its id: family, protocol, states
_PORTS = struct.Struct("!HH")  # the id begins with the ports of the socket and of its peer
_INODE = struct.Struct("=I")
_ID_AT = 4  # inet_diag_msg: family, state, timer and retransmissions come before its id
_INODE_AT = 68  # of inet_diag_msg
_IPV4 = 4  # bytes
_LOOPBACK = 127  # the first byte of all of 127.0.0.0/8
_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2
_TABLE_HOLDS = 0.2  # seconds
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
# Of /proc/net/tcp: both addresses; state, queues, timer, retransmissions, user and time-out; the inode.
_ROW = re.compile(r"^ *\d+: ([0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4})(?: +\S+){6} +(\d+) ", re.MULTILINE)


class Way(Protocol):
    """A way to learn the inode of a TCP socket."""

    def __call__(self, local: Any, remote: Any) -> int | None:
        """Return the inode of the socket with these addresses; None if there is no such socket."""

    def close(self) -> None:
        """Close what it holds open."""


class Disconnects:
    """Answers for the connections of one upstream's apps. Opens nothing before it is first asked."""

    def __init__(self, ways: tuple[Callable[[], Way], ...] | None = None) -> None:
        self._ways = list((SockDiag, Table) if ways is None else ways)  # that have not failed yet, the best one first
        self._way: Way | None = None

    def has_closed(self, transport: Any) -> bool:
        """Return True if the process at the other end has closed this connection for good; False if that is unknown."""
        own = transport.get_extra_info("socket")
        here, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if own is None or own.fileno() < 0:
            return False
        if _is_hung_up(own.fileno()):
            return True
        if own.family not in (socket.AF_INET, socket.AF_INET6) or not (here and peer and _same_host(here[0], peer[0])):
            return False
        with contextlib.suppress(OSError):
            way = self._chosen(own.fileno(), here, peer)
            return way is not None and way(peer, here) == 0
        return False

    def _chosen(self, descriptor: int, here: Any, peer: Any) -> Way | None:
        """Return the way that works here: it must know the inode of our own socket. Raises OSError."""
        while self._way is None and self._ways:
            try:
                way = self._ways[0]()
                if way(here, peer) == os.fstat(descriptor).st_ino:
                    self._way = way
                    break
                way.close()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    raise  # it may work the next time
            if _is_hung_up(descriptor):  # our own socket was reset meanwhile: that says nothing of the way
                break
            del self._ways[0]
        return self._way

    def close(self) -> None:
        if self._way is not None:
            self._way.close()


class SockDiag:
    """Ask the kernel for one TCP socket by its two addresses. Raises OSError where it refuses."""

    def __init__(self) -> None:
        if not hasattr(socket, "AF_NETLINK"):
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG)
        self._socket.setblocking(False)
        self._sequence = 0

    def __call__(self, local: Any, remote: Any) -> int | None:
        """Return the inode of the socket with these addresses; None if there is no such socket."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._socket.send(question(local, remote, self._sequence))
        while True:
            answer = self._socket.recv(4096)  # the kernel has answered before send() returned
            if _HEADER.unpack_from(answer)[3] == self._sequence:
                return inode_of(answer, remote[1])

    def close(self) -> None:
        self._socket.close()


def _is_hung_up(descriptor: int) -> bool:
    """Return True if the connection is reset, or is a unix socket whose other end is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)  # POLLHUP and POLLERR need not be asked for
    return bool(poll.poll(0))


def question(local: Any, remote: Any, sequence: int) -> bytes:
    """Return the netlink message that asks for the socket with these addresses."""
    ours, theirs = _packed(local[0]), _packed(remote[0])
    family = socket.AF_INET if len(ours) == len(theirs) == _IPV4 else socket.AF_INET6
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, _ALL_STATES)
    body += _PORTS.pack(local[1], remote[1]) + ours.ljust(16, b"\0") + theirs.ljust(16, b"\0") + bytes(4) + _NO_COOKIE
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, sequence, 0) + body


def inode_of(answer: bytes, remote_port: int) -> int | None:
    """Return the inode in the kernel's answer; None if it is an error, or of a listening socket (no remote port)."""
    message = answer[_HEADER.size :]
    if _HEADER.unpack_from(answer)[1] != _BY_FAMILY or len(message) < _INODE_AT + _INODE.size:
        return None
    if _PORTS.unpack_from(message, _ID_AT)[1] != remote_port:
        return None
    inode: int = _INODE.unpack_from(message, _INODE_AT)[0]
    return inode


class Table:
    """Look a TCP socket up in `/proc/net/tcp` and `tcp6`. One reading serves all who ask within `_TABLE_HOLDS`."""

    def __init__(self, folder: Path = Path("/proc/net"), clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._inodes: dict[str, int] = {}
        self._read_at = float("-inf")

    def __call__(self, local: Any, remote: Any) -> int | None:
        """Return the inode of the socket with these addresses; None if there is no such socket."""
        now = self._clock()
        if now - self._read_at >= _TABLE_HOLDS:
            paths = [path for name in ("tcp", "tcp6") if (path := self._folder / name).exists()]
            self._inodes = inodes_of("".join(path.read_text() for path in paths))
            self._read_at = now
        for mapped in (False, True):  # a socket for IPv6 that speaks IPv4 stands in tcp6, by its mapped address
            inode = self._inodes.get(f"{_shown(local, mapped=mapped)} {_shown(remote, mapped=mapped)}")
            if inode is not None:
                return inode
        return None

    def close(self) -> None:
        """It holds nothing open."""


def inodes_of(table: str) -> dict[str, int]:
    """Return the inode of each socket in the text of `/proc/net/tcp`, by its two addresses as they stand there."""
    return {addresses: int(inode) for addresses, inode in _ROW.findall(table)}


def _shown(address: Any, *, mapped: bool) -> str:
    """Return how the kernel prints an address there: words of 32 bits in the machine's own order, and the port."""
    packed = _packed(address[0])
    if mapped and len(packed) == _IPV4:
        packed = _MAPPED + packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"


def _packed(host: str) -> bytes:
    """Return the address as bytes; an IPv4 address in IPv6 clothes as IPv4."""
    if ":" not in host:
        return socket.inet_pton(socket.AF_INET, host)
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return packed.removeprefix(_MAPPED)


def _same_host(here: str, peer: str) -> bool:
    """Return True if both ends are this host's: the same address, or IPv4 loopback addresses."""
    one, other = _packed(here), _packed(peer)
    return one == other or (one[0] == other[0] == _LOOPBACK and len(one) == len(other) == _IPV4)

"""Distinguish an app that has closed its connection from one that has only sent EOF (half-close).

In both cases a FIN arrives. In a Pod both ends of the connection are sockets of one kernel and one network namespace,
and the kernel knows of each socket if a process still holds it:

- A connection that is reset, or a unix socket whose other end is closed, has `POLLHUP`.
- The other end of a TCP connection has an inode for as long as a process holds it, after `shutdown(SHUT_WR)` too; once
  it is closed its inode is 0. The kernel is asked for this one socket through `sock_diag` (sock_diag(7), needs no
  privilege). If that is refused, `/proc/net/tcp` is read, for a bounded share of the time (`_MAX_SHARE`).

If neither knows the socket, such as that of a peer on another machine, the FIN is taken for a half-close (RFC 9112
section 9.6 lets a client do so), and the time-outs end the connection.
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
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY: the message type of the query and of its reply
_REQUEST = 1  # NLM_F_REQUEST, without NLM_F_DUMP: exactly one socket
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_QUERY = struct.Struct("=BBxxI")  # inet_diag_req_v2 up to its id: family, protocol, states
_PORTS = struct.Struct("!HH")  # the id begins with the ports of the socket and of its peer
_INODE = struct.Struct("=I")
_ID_AT = 4  # inet_diag_msg: family, state, timer and retransmissions come before its id
_INODE_AT = 68  # of inet_diag_msg
_IPV4 = 4  # bytes
_LOOPBACK = 127  # the first byte of all of 127.0.0.0/8
_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2
_TABLE_HOLDS = 0.2  # seconds for which a table that was read is used, at the least
_MAX_SHARE = 0.05  # of the time is spent with reading the table, at the most
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
# Of /proc/net/tcp: both addresses; state, queues, timer, retransmissions, user and time-out; the inode.
_ROW = re.compile(r"^ *\d+: ([0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4})(?: +\S+){6} +(\d+) ", re.MULTILINE)


Address = tuple[Any, ...]  # of a socket: (host, port) or, of IPv6, (host, port, flow, scope)


class HasSocket(Protocol):
    """A transport, as far as its socket and its addresses can be had from it."""

    def get_extra_info(self, name: str, /) -> Any: ...


class InodeSource(Protocol):
    """A source of the inodes of TCP sockets."""

    def __call__(self, local: Address, remote: Address) -> int | None:
        """Return the inode of the socket with these addresses; None if there is no such socket."""

    def close(self) -> None:
        """Release its descriptors."""


class Disconnects:
    """Finds out which apps of one upstream, which owns it, have left. It opens nothing before its first use."""

    def __init__(self, sources: tuple[Callable[[], InodeSource], ...] | None = None) -> None:
        self._untested = list((SockDiag, ProcNetTcp) if sources is None else sources)  # the best one first
        self._source: InodeSource | None = None  # the one that works here

    def has_closed(self, transport: HasSocket) -> bool:
        """Return True if the process at the other end has closed this connection; False if that is unknown."""
        own = transport.get_extra_info("socket")
        here, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if own is None or own.fileno() < 0:
            return False
        if _is_hung_up(own.fileno()):
            return True
        if own.family not in (socket.AF_INET, socket.AF_INET6) or not (here and peer and _same_host(here[0], peer[0])):
            return False
        with contextlib.suppress(OSError):
            source = self._find_source(own.fileno(), here, peer)
            return source is not None and source(peer, here) == 0
        return False

    def _find_source(self, descriptor: int, here: Address, peer: Address) -> InodeSource | None:
        """Return the source that works here: it must know the inode of our own socket. Raises OSError."""
        while self._source is None and self._untested:
            try:
                source = self._untested[0]()
                if source(here, peer) == os.fstat(descriptor).st_ino:
                    self._source = source
                    break
                source.close()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    raise  # it may work the next time
            if _is_hung_up(descriptor):  # our own socket was reset meanwhile, which is no fault of the source
                break
            del self._untested[0]
        return self._source

    def close(self) -> None:
        if self._source is not None:
            self._source.close()


class SockDiag:
    """Asks the kernel for one TCP socket by its two addresses. Raises OSError if the kernel refuses."""

    def __init__(self) -> None:
        if not hasattr(socket, "AF_NETLINK"):
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG)
        self._socket.setblocking(False)
        self._sequence = 0

    def __call__(self, local: Address, remote: Address) -> int | None:
        """Return the inode of the socket with these addresses; None if there is no such socket."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._socket.send(encode_query(local, remote, self._sequence))
        while True:
            reply = self._socket.recv(4096)  # the kernel has replied before send() returned
            if _HEADER.unpack_from(reply)[3] == self._sequence:
                return parse_inode(reply, remote[1])

    def close(self) -> None:
        self._socket.close()


def _is_hung_up(descriptor: int) -> bool:
    """Return True if the connection is reset, or is a unix socket whose other end is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)  # POLLHUP and POLLERR need not be asked for
    return bool(poll.poll(0))


def encode_query(local: Address, remote: Address, sequence: int) -> bytes:
    """Return the netlink message that queries the socket with these addresses."""
    ours, theirs = _packed(local[0]), _packed(remote[0])
    family = socket.AF_INET if len(ours) == len(theirs) == _IPV4 else socket.AF_INET6
    body = _QUERY.pack(family, socket.IPPROTO_TCP, _ALL_STATES)
    body += _PORTS.pack(local[1], remote[1]) + ours.ljust(16, b"\0") + theirs.ljust(16, b"\0") + bytes(4) + _NO_COOKIE
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, sequence, 0) + body


def parse_inode(reply: bytes, remote_port: int) -> int | None:
    """Return the inode in the kernel's reply; None if it is an error, or of a listening socket (no remote port)."""
    message = reply[_HEADER.size :]
    if _HEADER.unpack_from(reply)[1] != _BY_FAMILY or len(message) < _INODE_AT + _INODE.size:
        return None
    if _PORTS.unpack_from(message, _ID_AT)[1] != remote_port:
        return None
    inode: int = _INODE.unpack_from(message, _INODE_AT)[0]
    return inode


class ProcNetTcp:
    """Looks a TCP socket up in `/proc/net/tcp` and `tcp6`.

    With many sockets a reading takes longer than it would hold, and a thousand apps that leave at once would each ask
    for one. So a table is used for `_TABLE_HOLDS` after it was read, and longer if it took long to read.
    """

    def __init__(self, folder: Path = Path("/proc/net"), clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._inodes: dict[str, int] = {}
        self._fresh_until = float("-inf")

    def __call__(self, local: Address, remote: Address) -> int | None:
        """Return the inode of the socket with these addresses; None if there is no such socket."""
        now = self._clock()
        if now >= self._fresh_until:
            paths = [path for name in ("tcp", "tcp6") if (path := self._folder / name).exists()]
            self._inodes = parse_table("".join(path.read_text() for path in paths))
            read_at = self._clock()
            self._fresh_until = read_at + max(_TABLE_HOLDS, (read_at - now) / _MAX_SHARE)
        for mapped in (False, True):  # a socket for IPv6 that speaks IPv4 stands in tcp6, by its mapped address
            inode = self._inodes.get(f"{_shown(local, mapped=mapped)} {_shown(remote, mapped=mapped)}")
            if inode is not None:
                return inode
        return None

    def close(self) -> None:
        """Do nothing: it has no descriptors."""


def parse_table(table: str) -> dict[str, int]:
    """Return the inode of each socket in the text of `/proc/net/tcp`, by its addresses as the kernel prints them."""
    return {addresses: int(inode) for addresses, inode in _ROW.findall(table)}


def _shown(address: Address, *, mapped: bool) -> str:
    """Return an address as the kernel prints it there: words of 32 bits in the machine's own order, and the port."""
    packed = _packed(address[0])
    if mapped and len(packed) == _IPV4:
        packed = _MAPPED + packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"


def _packed(host: str) -> bytes:
    """Return the address as bytes; an IPv4-mapped IPv6 address as IPv4."""
    if ":" not in host:
        return socket.inet_pton(socket.AF_INET, host)
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return packed.removeprefix(_MAPPED)


def _same_host(here: str, peer: str) -> bool:
    """Return True if both ends are this host's: the same address, or IPv4 loopback addresses."""
    one, other = _packed(here), _packed(peer)
    return one == other or (one[0] == other[0] == _LOOPBACK and len(one) == len(other) == _IPV4)

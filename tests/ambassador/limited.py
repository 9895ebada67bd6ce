"""Run the ambassador in a limited environment: few open files, or a network with few local ports.

    OPEN_FILES="64 100"        the soft and the hard limit of open files
    LOCAL_PORTS="40000 40003"  a network of its own with these local ports, and two servers at SERVERS

Programs in such a network are reached from outside through unix sockets only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import socket
import struct
import sys
from pathlib import Path

SERVERS = (9001, 9002)
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # unshare(2)
_SET_FLAGS, _UP = 0x8914, 0x1  # netdevice(7)


def new_network(ports: str) -> None:
    """Move this process into a network of its own, with loopback up and only these local ports."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    flags = _NEW_NETWORK if user == 0 else _NEW_NETWORK | _NEW_USER
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "no network namespace: it needs root, or user namespaces")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(ports)


def serve_beside() -> None:
    """Serve at SERVERS from a child that ends with this process. It responds to all requests but /hold.

    A pipe tells of the end. A confined process sends no signal out of its Landlock domain, not even that of its death.
    """
    ready, done = os.pipe()
    ended, held = os.pipe()
    if os.fork():
        os.close(done)
        os.close(ended)
        os.read(ready, 1)
        os.close(ready)
        return
    os.close(held)
    from tests.ambassador.support import Backend, Peer  # noqa: PLC0415 - only for the child

    def handle(peer: Peer) -> None:
        while head := peer.head():
            if b"/hold" not in head:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    for port in SERVERS:
        Backend(handle, port)
    os.write(done, b"1")
    os.read(ended, 1)
    os._exit(0)


def main() -> int:
    if limits := os.environ.get("OPEN_FILES"):
        soft, hard = map(int, limits.split())
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if ports := os.environ.get("LOCAL_PORTS"):
        new_network(ports)
        serve_beside()
    from sidecars.ambassador.__main__ import run  # noqa: PLC0415 - only for the child
    from sidecars.ambassador.settings import Settings  # noqa: PLC0415 - only for the child
    from sidecars.chassis import commandline  # noqa: PLC0415 - within the limits

    return commandline.service(Settings, run)


if __name__ == "__main__":
    sys.exit(main())

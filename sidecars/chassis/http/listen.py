"""Listening sockets from an `Address`, with a failure that names the variable behind it."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.runtime.lifecycle import IOFailed

BACKLOG = 1024  # who hands a socket to a server passes it on: uvloop would listen again with less


def bind(address: Address, variable: str, *, shared: bool = False) -> list[socket.socket]:
    """Listening, non-blocking sockets for the address; several where a host name has several addresses.

    `:port` is one socket for IPv6 and IPv4, or IPv4 alone on a machine without IPv6. Where others of ours listen on the
    same port, all say so by `shared`. Raises IOFailed.
    """
    sockets: list[socket.socket] = []
    try:
        for family, where in _places(address):
            sockets.append(_listening(family, where, shared=shared))
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name that DNS cannot carry
        for bound in sockets:
            bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise IOFailed(f"{variable}={address}: cannot listen there: {reason}") from None
    return sockets


def bind_per_process(address: Address, variable: str, count: int) -> list[list[socket.socket]]:
    """Listening sockets for each of `count` processes that share the address. Raises IOFailed.

    The kernel spreads the connections to a port over the sockets that are bound to it. A unix socket cannot be shared
    so: there all are given the same one.
    """
    first = bind(address, variable)
    if address.path:
        return [first] * count
    # That it could be bound alone shows that nobody else has the port; bound as a shared one it would not be noticed.
    where = Address(address.host, first[0].getsockname()[1])
    for bound in first:
        bound.close()
    return [bind(where, variable, shared=True) for _ in range(count)]


def bound_address(sockets: list[socket.socket]) -> str:
    """Where the first of the sockets really listens: `host:port`, with the port that the system chose for 0."""
    name = sockets[0].getsockname()
    return f"unix:{name}" if isinstance(name, str) else str(Address(name[0], name[1]))


def _places(address: Address) -> list[tuple[socket.AddressFamily, object]]:
    if address.path:
        _remove_stale(address.path)
        return [(socket.AF_UNIX, address.path)]
    if not address.host:
        family = socket.AF_INET6 if _has_ipv6() else socket.AF_INET
        return [(family, ("", address.port))]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list({(family, where): None for family, _, _, _, where in found})


def _listening(family: socket.AddressFamily, where: object, *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        if family == socket.AF_INET6:
            only = isinstance(where, tuple) and where[0] != ""
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only))
        bound.bind(where)  # type: ignore[arg-type] # every family has its own shape of address
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _has_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as trial:
        trial.bind(("::1", 0))
        return True
    return False


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody serves any more, such as a killed predecessor's; leave anything else."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
                try:
                    trial.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)  # noqa: PTH108 - beside lstat

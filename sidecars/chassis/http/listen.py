"""Listening sockets from an `Address`, with a failure that names the variable behind it."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.runtime.lifecycle import IOFailed

BACKLOG = 1024  # connections; pass it to the server that gets a socket: uvloop listens again, by default with less


def bind(address: Address, variable: str, *, shared: bool = False) -> list[socket.socket]:
    """Return listening, non-blocking sockets for the address: one for each address of a host name.

    `:port` is one socket for IPv6 and IPv4, or for IPv4 alone on a machine without IPv6. `shared` lets several
    processes listen on the same port (SO_REUSEPORT); each of them has to set it. Raises IOFailed.
    """
    sockets: list[socket.socket] = []
    try:
        for family, where in _endpoints(address):
            sockets.append(_listen(family, where, shared=shared))
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name that is too long or empty for DNS
        for bound in sockets:
            bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise IOFailed(f"{variable}={address}: cannot listen there: {reason}") from None
    return sockets


def bind_per_process(address: Address, variable: str, count: int) -> list[list[socket.socket]]:
    """Return listening sockets for each of `count` processes that share the address. Raises IOFailed.

    The kernel spreads the connections to a port over the sockets that are bound to it. For a unix socket it does not,
    so all processes get the same one.
    """
    first = bind(address, variable)
    if address.path:
        return [first] * count
    # Bound without `shared` first: a shared bind would succeed even if another program had the port, too.
    where = Address(address.host, first[0].getsockname()[1])
    for bound in first:
        bound.close()
    return [bind(where, variable, shared=True) for _ in range(count)]


def bound_address(sockets: list[socket.socket]) -> str:
    """Return the address of the first socket, `host:port`, with the port that the system has chosen for 0."""
    name = sockets[0].getsockname()
    return f"unix:{name}" if isinstance(name, str) else str(Address(name[0], name[1]))


def _endpoints(address: Address) -> list[tuple[socket.AddressFamily, object]]:
    if address.path:
        _remove_stale(address.path)
        return [(socket.AF_UNIX, address.path)]
    if not address.host:
        family = socket.AF_INET6 if _has_ipv6() else socket.AF_INET
        return [(family, ("", address.port))]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list({(family, where): None for family, _, _, _, where in found})


def _listen(family: socket.AddressFamily, where: object, *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        if family == socket.AF_INET6:
            only = isinstance(where, tuple) and where[0] != ""
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only))
        bound.bind(where)  # type: ignore[arg-type] # each family has its own type of address
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
    """Remove a socket file that no process listens on, such as that of a killed predecessor. Keep any other file."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
                try:
                    trial.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)  # noqa: PTH108 - beside lstat

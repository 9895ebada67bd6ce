"""Listening sockets from an `Address`, so that no other process can take a part of its clients.

An address of loopback is bound for IPv4 and for IPv6: `127.0.0.1:8500` listens on `[::1]:8500`, too. The kubelet writes
`::1 localhost` into each container's /etc/hosts, and getaddrinfo(3) returns it first, so another process that had
`[::1]:8500` would get the clients of "localhost". For the same reason all interfaces (`:8500`, `0.0.0.0:8500`) are one
socket for both families: it keeps all other addresses with that port. Without IPv6, IPv4 alone is bound, which is
logged.

SO_REUSEPORT is never set. Where one socket has it, each process of the same user may listen on the port, too, and gets
a part of its connections. Processes that share a port inherit the same socket.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import stat

from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.lifecycle import IOFailed, Unavailable

log = logs.get("listen")

# Connections that wait to be accepted; the kernel caps it (net.core.somaxconn). Pass it to the server that gets a
# socket: uvloop listens again, by default with less.
BACKLOG = 4096
EVERYWHERE = frozenset({"", "0.0.0.0", "::"})
LOOPBACKS = ("127.0.0.1", "::1")

_PORT_TRIES = 32  # for a port, chosen by the system, that is free for both families

_Endpoint = tuple[socket.AddressFamily, object]


def bind(address: Address, variable: str, mode: int | None = None) -> list[socket.socket]:
    """Return listening, non-blocking sockets for the address: one for each address of a host name.

    `mode` is the mode of the file of a unix socket, from its first instant on; without it, the umask decides.

    Raises Unavailable if another process has one of them, and IOFailed if the address cannot be had otherwise.
    """
    try:
        endpoints = _endpoints(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name that is too long or empty for DNS
        raise IOFailed(
            f"{variable}={address}: cannot listen there: {_reason(error)}", code="address-unusable"
        ) from None
    tries = _PORT_TRIES if address.port == 0 else 1
    while True:
        tries -= 1
        sockets: list[socket.socket] = []
        try:
            for family, where in endpoints:
                sockets.append(_listen(family, _with_port(where, sockets), mode))
        except OSError as error:
            where = _with_port(where, sockets)
            for bound in sockets:
                bound.close()
            if error.errno != errno.EADDRINUSE:
                raise IOFailed(
                    f"{variable}={address}: cannot listen there: {_reason(error)}", code="address-unusable"
                ) from None
            if not tries:
                raise Unavailable(
                    f"{variable}={address}: cannot listen there: {_in_use(where, error)}", code="address-in-use"
                ) from None
        else:
            return sockets


def bound_address(sockets: list[socket.socket]) -> str:
    """Return the address of the first socket, `host:port`, with the port that the system has chosen for 0."""
    name = sockets[0].getsockname()
    return f"unix:{name}" if isinstance(name, str) else str(Address(name[0], name[1]))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _in_use(where: object, error: OSError) -> str:
    """Return the reason, with the user that has the address if the system tells it."""
    if not isinstance(where, tuple):
        return _what_is_there(str(where)) or _reason(error)
    from sidecars.chassis.accept import port_holder  # noqa: PLC0415 - only for a port that is taken

    uid = port_holder.find_uid(where[0], where[1])
    holder = "" if uid is None else f" by a process of uid {uid}"
    return f"{Address(where[0], where[1])} is in use{holder}"


def _what_is_there(path: str) -> str:
    """Return the reason why no unix socket can be made at the path; "" if nothing is there any more."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return ""
    if stat.S_ISSOCK(mode):
        return "a process listens there already"
    kind = "a directory" if stat.S_ISDIR(mode) else "a link" if stat.S_ISLNK(mode) else "a file"
    return f"{kind} is there, and no socket"


# -- where ----------------------------------------------------------------------------------------------------------


def _endpoints(address: Address) -> list[_Endpoint]:
    """Return the addresses to bind, in their order. Raises OSError or UnicodeError for a host name without any."""
    if address.path:
        _remove_stale(address.path)
        return [(socket.AF_UNIX, address.path)]
    if address.host in EVERYWHERE:
        if _has_ipv6():
            return [(socket.AF_INET6, ("::", address.port))]
        _tell_that_ipv6_is_missing()
        return [(socket.AF_INET, ("0.0.0.0", address.port))]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    endpoints: dict[_Endpoint, None] = {(family, where): None for family, _, _, _, where in found}
    if any(where[0] in LOOPBACKS for *_, where in found):
        return _with_both_loopbacks(endpoints, address.port)
    return list(endpoints)


def _with_both_loopbacks(endpoints: dict[_Endpoint, None], port: int | None) -> list[_Endpoint]:
    """Return the endpoints with those of loopback of both families, or of IPv4 alone without IPv6."""
    ipv4: _Endpoint = (socket.AF_INET, (LOOPBACKS[0], port))
    ipv6: _Endpoint = (socket.AF_INET6, (LOOPBACKS[1], port, 0, 0))
    if not _has_ipv6() and list(endpoints) != [ipv6]:  # `[::1]` alone fails without IPv6, as it was asked for
        _tell_that_ipv6_is_missing()
        endpoints.pop(ipv6, None)
        return list(endpoints | {ipv4: None})
    return list(endpoints | {ipv4: None, ipv6: None})


def _with_port(where: object, before: list[socket.socket]) -> object:
    """Return the address with the port that the system chose for the first socket, if it asks for any."""
    if isinstance(where, tuple) and where[1] == 0 and before:
        return (where[0], before[0].getsockname()[1], *where[2:])
    return where


def _listen(family: socket.AddressFamily, where: object, mode: int | None) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_UNIX and mode is not None:
            os.fchmod(bound.fileno(), mode)  # bind(2) gives the file the mode of the socket, less the umask
        if family != socket.AF_UNIX:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            only = isinstance(where, tuple) and where[0] != "::"
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


@functools.cache
def _tell_that_ipv6_is_missing() -> None:
    log.info("IPv6 is not available here: only IPv4 addresses are listened on")


def _remove_stale(path: str) -> None:
    """Remove a socket file that no process listens on, such as that of a killed predecessor. Keep any other file."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
                try:
                    trial.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)  # noqa: PTH108 - beside lstat

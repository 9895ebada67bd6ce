"""File descriptors and the other resources of this process: limits, a reserve, and the errors that mean "used up".

`raise_limit` runs once, at the start of a service. It raises the soft limit of open files (RLIMIT_NOFILE), which is
1,024 in most containers, to the hard limit less a reserve:

    0 ──── descriptors for all uses ──── soft limit ── reserve ── hard limit

The kernel gives out no descriptor whose number is the soft limit or above (setrlimit(2)), so the numbers of the reserve
stay free. `reserved` raises the soft limit while one call opens a file or a socket. A descriptor of the reserve that is
closed is free for the reserve again, and for no other use.

The reserve is for the admin port, for state files, and for connections without which no work goes on. A job opens a
handful of files and uses none of this.
"""

from __future__ import annotations

import errno
import os
import resource
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    import socket
    from typing import Any

log = logs.get("descriptors")

# The highest soft limit that is set: the kernel's default ceiling (fs.nr_open). Some container runtimes set a hard
# limit of 2^30; a child process that closes every possible descriptor would then take minutes.
MOST = 1 << 20
RESERVE = 32  # descriptors
_SHARE = 4  # the reserve is at most a quarter of the limit
_LOG_INTERVAL = 10.0  # seconds between log lines about one resource

DESCRIPTORS, MEMORY, PORTS = "descriptors", "memory", "ports"
_RESOURCES = {
    errno.EMFILE: DESCRIPTORS,  # of this process
    errno.ENFILE: DESCRIPTORS,  # of the whole node
    errno.ENOBUFS: MEMORY,  # of the kernel, for sockets
    errno.ENOMEM: MEMORY,
    errno.EADDRNOTAVAIL: PORTS,  # connect(2): every local port to this peer is in use
}
_SENTENCES = {
    DESCRIPTORS: "no file descriptor is free: raise the container's limit of open files (ulimit -n)",
    MEMORY: "the kernel has no memory for another socket: raise the container's memory limit",
    PORTS: "no local port is free for another connection: reuse connections, or widen net.ipv4.ip_local_port_range",
}
_CODES = {DESCRIPTORS: "file-descriptors-used-up", MEMORY: "socket-memory-used-up", PORTS: "local-ports-used-up"}


@dataclass(frozen=True)
class DescriptorLimits:
    """The limits of open files in force. `reserve` is the number of descriptors above `soft` that `reserved` opens."""

    soft: int
    hard: int
    reserve: int


def descriptor_limits(hard: int) -> DescriptorLimits:
    """Return the limits to set where the hard limit is `hard` (-1: unlimited)."""
    most = MOST if hard < 0 else min(hard, MOST)
    reserve = min(RESERVE, most // _SHARE)
    return DescriptorLimits(most - reserve, hard, reserve)


class _State:
    """The limits and counts of this process. There is one, as a process has one table of descriptors."""

    def __init__(self) -> None:
        self.limits: DescriptorLimits | None = None
        self.lock = threading.Lock()
        self.lifted = 0  # open contexts of `reserved`
        self.counts = dict.fromkeys(_SENTENCES, 0)
        self.logged_at: dict[str, float] = {}


_state = _State()


def raise_limit() -> DescriptorLimits:
    """Raise the soft limit of open files as far as possible, less the reserve. Return the limits in force.

    If the system refuses (a seccomp profile may), the limits stay, and there is no reserve.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = descriptor_limits(hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted.soft, hard))
    except (OSError, ValueError):
        wanted = DescriptorLimits(soft, hard, 0)
    _state.limits = wanted
    return wanted


@contextmanager
def reserved() -> Iterator[None]:
    """Let files and sockets that are opened in this context use the reserve.

    It is for single calls, because other threads may use the reserve meanwhile. Never hold it over an `await`.
    """
    limits = _state.limits
    if limits is None or not limits.reserve:
        yield
        return
    with _state.lock:
        _state.lifted += 1
        if _state.lifted == 1:
            _set_soft(limits.soft + limits.reserve, limits.hard)
    try:
        yield
    finally:
        with _state.lock:
            _state.lifted -= 1
            if not _state.lifted:
                _set_soft(limits.soft, limits.hard)


def _set_soft(soft: int, hard: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def accept_with_reserve(bound: socket.socket) -> tuple[socket.socket, Any]:
    """Return a connection and its peer's address, with a descriptor of the reserve if no other is free.

    Raises OSError.
    """
    try:
        return bound.accept()
    except OSError as error:
        if exhausted_resource(error) != DESCRIPTORS:
            raise
        count_exhaustion(error)
    with reserved():
        return bound.accept()


def is_reserved(number: int) -> bool:
    """Return True if this descriptor is one of the reserve."""
    return _state.limits is not None and number >= _state.limits.soft


# -- the errors that mean "used up" -----------------------------------------------------------------------------------


def exhausted_resource(error: BaseException) -> str | None:
    """Return the resource that is used up according to the error: DESCRIPTORS, MEMORY or PORTS; None if none is.

    Such an error of connect(2) says nothing about the peer. (For bind(2), EADDRNOTAVAIL means a wrong address.)
    """
    if type(error) is not OSError or error.errno is None:
        return None  # subclasses (of TLS, of name look-ups) have other numbers, or another meaning
    return _RESOURCES.get(error.errno)


def count_exhaustion(error: BaseException) -> str | None:
    """Count an error that means "used up" and return the resource. Log it, at most every 10 s for each resource."""
    used_up = exhausted_resource(error)
    if used_up is None:
        return None
    _state.counts[used_up] += 1
    now = time.monotonic()
    if now - _state.logged_at.get(used_up, -_LOG_INTERVAL) >= _LOG_INTERVAL:
        _state.logged_at[used_up] = now
        log.warning(_SENTENCES[used_up], code=_CODES[used_up], times=_state.counts[used_up])
    return used_up


def exhaustion_counts() -> Mapping[str, int]:
    """Return the number of errors so far, for each resource."""
    return dict(_state.counts)


# -- status -----------------------------------------------------------------------------------------------------


def free_count() -> int:
    """Return the number of descriptors that are free without the reserve. It lists a directory."""
    limits = _state.limits
    soft = limits.soft if limits else resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(0, soft - _open())


def is_any_free() -> bool:
    """Return True if a descriptor can be opened without the reserve."""
    try:
        os.close(os.dup(0))
    except OSError as error:
        return count_exhaustion(error) is None
    return True


def status() -> dict[str, int]:
    """Return limits, reserve and open descriptors, for `/status`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = _state.limits or DescriptorLimits(soft, hard, 0)
    return {"soft_limit": limits.soft, "hard_limit": limits.hard, "reserve": limits.reserve, "open": _open()}


def _open() -> int:
    """Return the number of open descriptors; 0 without /proc."""
    try:
        with reserved():
            return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - only the number of names is needed
    except OSError:
        return 0

"""File descriptors and the other resources of this process: limits, a reserve, and the errors that mean "used up".

`raise_limit` runs once, at a service's start. It raises the soft limit of open files (RLIMIT_NOFILE), which is 1,024 in
most containers, to the hard one, less a reserve. The reserve costs nothing while it is not used: the kernel gives out
no descriptor whose number is the soft limit or above (setrlimit(2)), so the numbers between the soft and the hard limit
stay free, whatever takes the rest. `reserved` lifts the soft limit for as long as one call needs to open something. A
descriptor of the reserve that is closed is free for the reserve again, and for nobody else.

The reserve is for the admin port, for state files and for connections without which nothing moves on. A job that ends
by itself opens a handful of files and does not pay for any of this.
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

log = logs.get("descriptors")

# Descriptors that are asked for at most. It is the kernel's own ceiling (fs.nr_open) unless somebody raised that. Some
# container runtimes set a hard limit of 2^30: a child that closes every possible descriptor would take minutes for it.
MOST = 1 << 20
RESERVE = 32  # descriptors
_SHARE = 4  # the reserve is at most this part of the limit: a quarter
_EVERY = 10.0  # seconds between log lines about one resource

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


@dataclass(frozen=True)
class DescriptorLimits:
    """The limits of open files in force. `reserve` is what lies between `soft` and what `reserved` may use."""

    soft: int
    hard: int
    reserve: int


def descriptor_limits(hard: int) -> DescriptorLimits:
    """Return the limits to set where the hard limit is `hard` (-1: unlimited)."""
    most = MOST if hard < 0 else min(hard, MOST)
    reserve = min(RESERVE, most // _SHARE)
    return DescriptorLimits(most - reserve, hard, reserve)


class _State:
    """What this process has set and counted. There is one, as there is one table of descriptors."""

    def __init__(self) -> None:
        self.limits: DescriptorLimits | None = None
        self.lock = threading.Lock()
        self.lifted = 0  # contexts of `reserved` that are open
        self.counts = dict.fromkeys(_SENTENCES, 0)
        self.told: dict[str, float] = {}


_state = _State()


def raise_limit() -> DescriptorLimits:
    """Set the soft limit of open files as high as it goes, less the reserve. Return the limits in force.

    Where the system refuses (a seccomp profile may), everything stays as it is and there is no reserve.
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
    """Let what is opened meanwhile use the reserve. For single calls: other threads may use it in that time, too.

    Never hold this over an `await`.
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


def accept_with_reserve(bound: socket.socket) -> socket.socket:
    """Accept a connection, with a descriptor of the reserve where no other is free. Raises OSError."""
    try:
        return bound.accept()[0]
    except OSError as error:
        if exhausted_resource(error) != DESCRIPTORS:
            raise
        count_exhaustion(error)
    with reserved():
        return bound.accept()[0]


def is_reserved(number: int) -> bool:
    """Return True if this descriptor is one of the reserve, which other things may need next."""
    return _state.limits is not None and number >= _state.limits.soft


# -- the errors that mean "used up" -----------------------------------------------------------------------------------


def exhausted_resource(error: BaseException) -> str | None:
    """Return the resource of ours that the error says is used up: DESCRIPTORS, MEMORY or PORTS; None for other errors.

    An error of connecting that has one says nothing about the peer. (For bind(2), EADDRNOTAVAIL means a wrong address.)
    """
    if type(error) is not OSError or error.errno is None:
        return None  # the kinds of OSError (of TLS, of name lookups) have numbers of their own, or mean something else
    return _RESOURCES.get(error.errno)


def count_exhaustion(error: BaseException) -> str | None:
    """Count an error that means "used up", and log it, at most every 10 s for each resource. Return the resource."""
    used_up = exhausted_resource(error)
    if used_up is None:
        return None
    _state.counts[used_up] += 1
    now = time.monotonic()
    if now - _state.told.get(used_up, -_EVERY) >= _EVERY:
        _state.told[used_up] = now
        log.warning(_SENTENCES[used_up], times=_state.counts[used_up])
    return used_up


def exhaustion_counts() -> Mapping[str, int]:
    """Return how often each resource was found used up."""
    return dict(_state.counts)


# -- what is told -----------------------------------------------------------------------------------------------------


def free_count() -> int:
    """Return how many descriptors may still be opened without the reserve. Costs a directory listing."""
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
    """For `/status`: limits, reserve and open descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = _state.limits or DescriptorLimits(soft, hard, 0)
    return {"soft_limit": limits.soft, "hard_limit": limits.hard, "reserve": limits.reserve, "open": _open()}


def _open() -> int:
    """The number of open descriptors; 0 where the system does not tell."""
    try:
        with reserved():
            return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - it needs no more than names
    except OSError:
        return 0

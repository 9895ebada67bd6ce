"""Ports for servers that start later, or never: no other process of these tests gets the same ones.

A port that is free now may have been chosen by another worker of pytest, too, whose server starts in between. So each
process takes blocks of ports, and holds the lock of a file for each block until it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 100  # ports
_ENOUGH = 5_000  # ports to choose from, for parallel runs to keep out of each other's way


def free_ports() -> Iterator[int]:
    """Yield free TCP ports of loopback, none of them twice.

    They are outside the range from which the system takes the ports of outgoing connections. Otherwise such a
    connection, of this test or of another process, could take the port before the program under test listens.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    below = range(min(10_000, lowest - 1), lowest)
    given: set[int] = set()
    for port in _ours(below) if len(below) > _ENOUGH else ():
        if _bound(port) is not None:
            given.add(port)
            yield port
    while True:  # no block is left: a port that was chosen here and elsewhere is unlikely
        found = _bound(random.SystemRandom().choice(below) if len(below) > _ENOUGH else 0)
        if found is not None and found not in given:
            given.add(found)
            yield found


def _ours(ports: range) -> Iterator[int]:
    """Yield the ports of each block that no other process holds."""
    folder = Path(tempfile.gettempdir()) / f"sidecars-tests-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    firsts = list(range(ports.start, ports.stop - _BLOCK + 1, _BLOCK))
    random.SystemRandom().shuffle(firsts)  # a server of a run that ended just now may still have clients
    for first in firsts:
        lock = os.open(folder / str(first), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        yield from range(first, first + _BLOCK)  # the descriptor stays open, and with it the lock


def _bound(port: int) -> int | None:
    """Bind the port, any free one for 0, and let it go again. Return it, or nothing if somebody has it."""
    with contextlib.suppress(OSError), socket.socket() as trial:
        trial.bind(("127.0.0.1", port))
        found: int = trial.getsockname()[1]
        return found
    return None

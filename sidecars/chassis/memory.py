"""The entries of the memory ledger that all sidecars have: the log, and the port of the admin server."""

from __future__ import annotations

from collections.abc import Iterator

from sidecars.chassis.config.memory_ledger import KIB, Entry
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http.messages import SENT_AT_ONCE, ClientLimits
from sidecars.chassis.runtime import log_writer

_CONNECTION = 3 * KIB  # an idle connection with its transport, 2 KiB as measured
_TLS_SESSION = 256 * KIB  # the read buffer of the event loop for each


def entries(admin: Address) -> Iterator[Entry]:
    """Yield the entries of a process with this admin address."""
    yield Entry("lines of the log that wait", 1, log_writer.QUEUE)
    if admin:
        yield from server_entries("the admin port", ClientLimits(), tls=False)


def server_entries(what: str, limits: ClientLimits, *, tls: bool) -> Iterator[Entry]:
    """Yield the entries of a server (`chassis.http.server`) with these limits."""
    yield Entry(f"connections of {what}", limits.connections, _CONNECTION + SENT_AT_ONCE)
    yield Entry(f"unfinished requests at {what}", 1, limits.unfinished)
    yield Entry(f"responses of {what} that are not read", 1, limits.unsent)
    if tls:
        yield Entry(f"TLS sessions of {what}", limits.connections, _TLS_SESSION)

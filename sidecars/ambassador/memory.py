"""The memory ledger of the ambassador: its connections, and the bytes on their way in both directions."""

from __future__ import annotations

from sidecars.ambassador.settings import Settings, UpstreamSettings
from sidecars.ambassador.upstream import client_registry
from sidecars.chassis import memory
from sidecars.chassis.config.memory_ledger import KIB, MIB, Entry, MemoryLedger

_BASE = 36 * MIB
_EXCHANGE = 16 * KIB  # a connection of the app, its exchange, and the connection to the endpoint
_BUFFER = 64 * KIB + 250 * KIB  # of a transport whose peer does not read: up to its mark, and the last read
_TLS_SESSION = 256 * KIB  # the read buffer of the event loop for each


def ledger(settings: Settings) -> MemoryLedger:
    """Return the memory that all processes of the ambassador take at most."""
    entries = [*memory.entries(settings.admin_listen)]
    for upstream in settings.upstreams.values():
        entries += _upstream_entries(upstream)
    processes = settings.workers + (settings.workers > 1)  # with workers, one more that supervises them
    return MemoryLedger(_BASE, tuple(entries), processes)


def _upstream_entries(upstream: UpstreamSettings) -> list[Entry]:
    name, connections = upstream.name, upstream.max_connections
    response = max(_BUFFER, upstream.max_header_size)  # an unfinished head comes before what the app does not read
    entries = [
        Entry(f"connections of the app to {name}", connections, _EXCHANGE),
        Entry(f"responses of {name} that the app does not read", connections, response),
        Entry(f"requests that {name} does not read", connections, _BUFFER),
        Entry(f"unfinished requests to {name}", 1, client_registry.most_unfinished(upstream)),
    ]
    if upstream.upstream.protocol == "http":
        entries.append(Entry(f"bodies that are kept for a retry to {name}", connections, upstream.retry_buffer))
    if upstream.upstream.tls:
        entries.append(Entry(f"TLS sessions with {name}", connections, _TLS_SESSION))
    return entries

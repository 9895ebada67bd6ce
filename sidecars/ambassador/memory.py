"""The memory ledger of the ambassador: its connections, and the bytes on their way in both directions."""

from __future__ import annotations

from sidecars.ambassador.settings import Settings, UpstreamSettings
from sidecars.chassis import memory
from sidecars.chassis.config.memory_ledger import KIB, MIB, Entry, MemoryLedger

_BASE = 36 * MIB
# A connection of the app with its exchange, and the connection to the endpoint. What does not count for BUFFER_MEMORY
# (`upstream/buffer_memory`): 4 KiB that wait in either direction, 8 KiB of a body, and the parsed heads, 8 KiB.
_CONNECTION = (12 + 2 * 4 + 8 + 8) * KIB
_BEYOND = 2 * MIB  # what is read and written in one turn of the loop, after which the budget holds
# Buffers of the event loop: 256 KiB to read into, as much that is not decrypted while the app does not read, with one
# read beyond it, and what is encrypted and not sent.
_TLS_SESSION = (256 + 2 * 256 + 64 + 250) * KIB


def ledger(settings: Settings) -> MemoryLedger:
    """Return the memory that all processes of the ambassador take at most."""
    entries = [
        *memory.entries(settings.admin_listen),
        Entry("bytes that wait for a peer, bodies for a retry and unfinished heads", 1, settings.buffer_memory),
        Entry("one turn of the event loop", 1, _BEYOND),
    ]
    for upstream in settings.upstreams.values():
        entries += _upstream_entries(upstream)
    processes = settings.workers + (settings.workers > 1)  # with workers, one more that supervises them
    return MemoryLedger(_BASE, tuple(entries), processes)


def _upstream_entries(upstream: UpstreamSettings) -> list[Entry]:
    entries = [Entry(f"connections of the app to {upstream.name}", upstream.max_connections, _CONNECTION)]
    if upstream.upstream.tls:
        entries.append(Entry(f"TLS sessions with {upstream.name}", upstream.max_connections, _TLS_SESSION))
    return entries

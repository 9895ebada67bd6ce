"""The memory ledger of the ambassador: its connections, and the bytes on their way in both directions."""

from __future__ import annotations

from sidecars.ambassador.config.beside_settings import MOST_HEDGES
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.http2.decoder import STATE
from sidecars.ambassador.http2.work_limits import endpoint_connections
from sidecars.ambassador.settings import Settings
from sidecars.chassis import memory
from sidecars.chassis.config.memory_ledger import KIB, MIB, Entry, MemoryLedger

_BASE = 36 * MIB
# A connection of HTTP/2 from the app: its objects, HPACK's table with the memo of blocks, and 4 KiB of an unfinished
# frame and of what waits to be sent. One of HTTP/1.1 with its exchange and the connection to the endpoint takes less:
# 12 KiB, and the part that does not count for BUFFER_MEMORY (`upstream/buffer_memory`), which is 4 KiB that wait in
# either direction, 8 KiB of a body, and the parsed heads, 8 KiB. A place that is not taken carries three streams of
# HTTP/2 instead (`upstream/client_registry`), each with its exchange: 15 KiB as measured, beside the bytes that count.
_CONNECTION = (4 + 2 * 4) * KIB + STATE
# Connections of the app to a shared port serve one request at a time, but each upstream may keep as many idle ones.
_IDLE_CONNECTION = 4 * KIB
# A connection of HTTP/2 to an endpoint: its streams, HPACK's table with the memo of blocks, an unfinished frame, and 4
# KiB that wait. Each endpoint may have eight; 16 are expected.
_HTTP2_CONNECTION = (8 + 16 + 4) * KIB + STATE
_HTTP2_CONNECTIONS = 16
_HEDGE = (8 + 2 * 4) * KIB  # a connection to an endpoint, and what waits there
# The notes of an exchange that is observed: its trace, request id, attempts and times.
_NOTES = 3 * KIB
# Spans in the queue with the objects around them, and two copies of a batch on its way (`proxy/observed/span_queue`).
_SPANS = 6 * MIB + 2 * 512 * KIB
_BEYOND = 2 * MIB  # what is read and written in one turn of the loop, after which the budget holds
# Buffers of the event loop: 256 KiB to read into, as much that is not decrypted while the app does not read, with one
# read beyond it, and what is encrypted and not sent.
_TLS_SESSION = (256 + 2 * 256 + 64 + 250) * KIB

# Of EndpointSlices: one document while it is parsed (the text, and at most 100,000 values), and for each Service a page
# of a list in two copies, and 10,000 endpoints with what is chosen of them.
_API_DOCUMENT = 20 * MIB
_SERVICE = (2 * 2 + 6) * MIB


def ledger(settings: Settings) -> MemoryLedger:
    """Return the memory that all processes of the ambassador take at most."""
    entries = [
        *memory.entries(settings.admin_listen),
        Entry("bytes that wait for a peer, bodies for a retry and unfinished heads", 1, settings.buffer_memory),
        Entry("one turn of the event loop", 1, _BEYOND),
    ]
    if settings.traces_endpoint is not None:
        entries.append(Entry("spans that wait for the collector, and a request to it", 1, _SPANS))
    for name, group in settings.ports.items():
        entries.append(Entry(f"connections of the app to {name}", group[0].max_connections, _CONNECTION))
        for position, upstream in enumerate(group):
            entries += _upstream_entries(upstream, shares=position > 0)
            if upstream.mirror is not None:
                entries += _mirror_entries(upstream, settings.upstreams[upstream.mirror.name])
    if settings.needs_kubernetes:
        entries.append(Entry("one document of the Kubernetes API", 1, _API_DOCUMENT))
    processes = settings.workers + (settings.workers > 1)  # with workers, one more that supervises them
    return MemoryLedger(_BASE, tuple(entries), processes)


def _mirror_entries(upstream: UpstreamSettings, other: UpstreamSettings) -> list[Entry]:
    """Return the bytes that the copies for the other upstream take: an exchange and a connection, or a stream, each."""
    entries = [Entry(f"copies of requests to {upstream.name}", upstream.mirror_limit, _CONNECTION)]
    if other.upstream.tls:
        entries.append(Entry(f"TLS sessions of copies with {other.name}", upstream.mirror_limit, _TLS_SESSION))
    return entries


def _upstream_entries(upstream: UpstreamSettings, *, shares: bool) -> list[Entry]:
    """Return the memory of an upstream. `shares`: True if the connections of its port are counted already."""
    entries = []
    if shares:
        entries.append(Entry(f"idle connections to {upstream.name}", upstream.max_connections, _IDLE_CONNECTION))
    if upstream.is_observed:
        entries.append(Entry(f"notes of requests to {upstream.name}", upstream.max_connections, _NOTES))
    if upstream.upstream.tls:
        entries.append(Entry(f"TLS sessions with {upstream.name}", upstream.max_connections, _TLS_SESSION))
    if upstream.hedge_after:  # a second connection, or stream, each
        hedges = min(MOST_HEDGES, upstream.max_connections)
        entries.append(Entry(f"hedges of requests to {upstream.name}", hedges, _HEDGE))
        if upstream.upstream.tls:
            entries.append(Entry(f"TLS sessions of hedges with {upstream.name}", hedges, _TLS_SESSION))
    if upstream.proxy is not None and upstream.proxy.scheme == "https":
        entries.append(Entry(f"TLS sessions with the proxy of {upstream.name}", upstream.max_connections, _TLS_SESSION))
    services = sum(target.is_kubernetes for target in upstream.upstream.targets)
    if services:
        entries.append(Entry(f"EndpointSlices of {upstream.name}", services, _SERVICE))
    if upstream.upstream.speaks_http2:
        connections = max(_HTTP2_CONNECTIONS, endpoint_connections(upstream.max_connections))
        entries.append(Entry(f"connections of HTTP/2 to {upstream.name}", connections, _HTTP2_CONNECTION))
    return entries

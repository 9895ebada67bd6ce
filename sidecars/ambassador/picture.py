"""The ambassador's page: which parts of `/status` are shown, and how. Loaded with the first request for the page."""

from __future__ import annotations

from typing import Final

from sidecars.chassis.page.picture import Column, Picture, Table, Words

_ENDPOINTS: Final = "upstreams.*.targets.*.endpoints.*"
_UPSTREAM: Final = Column("Upstream", "key:0")

# Of the rows `….http` and `….tcp` each upstream and each endpoint has one: what stands around it is looked up, too.
_STATE: Final = (
    Column("State", "state", "state"),
    Column("Why", "reasons", "list"),
    Column("For", "state_seconds", "seconds"),
)
_CONDITION: Final = (
    Column("Endpoint", "address"),
    _UPSTREAM,
    Column("State", "condition", "state"),
    Column("Why", "reason"),
    Column("For", "condition_seconds", "seconds"),
    Column("Ends in", "ends_in_seconds", "seconds"),
)

PICTURE: Final = Picture(
    Words("Notes", "notes"),
    Table(
        "Upstreams",
        rows="upstreams.*.http",
        columns=(
            _UPSTREAM,
            *_STATE,
            Column("Requests", "requests", "rate-spark"),
            Column("p50", "latency", "p50-spark"),
            Column("p99", "latency", "p99-spark"),
            Column("Responses", "responses", "list"),
            Column("Retries", "retries", "rate"),
            Column("Retries left", "retry_budget_left", "bar", of="retry_budget_limit"),
        ),
        empty="",
    ),
    Table(
        "Upstreams of TCP",
        rows="upstreams.*.tcp",
        columns=(
            _UPSTREAM,
            *_STATE,
            Column("Tunnels", "tunnels", "count"),
            Column("Opened", "tunnels_opened", "rate-spark"),
            Column("p50 to open", "latency", "p50-spark"),
            Column("p99 to open", "latency", "p99-spark"),
            Column("Sent", "sent_bytes", "rate", unit="bytes"),
            Column("Received", "received_bytes", "rate", unit="bytes"),
        ),
        empty="",
    ),
    Table(
        "Routes",
        rows="routes.*",
        key="target",
        columns=(
            Column("Port", "port"),
            Column("Order", "position"),
            Column("Route", "route"),
            Column("Upstream", "upstream"),
            Column("Sent as", "sent_as"),
            Column("Rewritten", "rewrites"),
            Column("Requests", "requests", "rate-spark"),
        ),
        empty="",
    ),
    Table(
        "Ports with routes",
        rows="ports.*",
        columns=(
            Column("Port", "key:0"),
            Column("Upstreams", "upstreams"),
            Column("Connections of the app", "connections", "bar", of="connections_limit"),
            Column("No route", "unrouted", "rate-spark"),
            Column("Responses of the port", "responses", "list"),
        ),
        empty="",
    ),
    Table(
        "Endpoints",
        rows=f"{_ENDPOINTS}.http",
        key="address",
        columns=(
            *_CONDITION,
            Column("Share", "requests", "rate-share", of="key:0"),
            Column("Attempts", "requests", "rate-spark"),
            Column("p50", "latency", "p50-spark"),
            Column("p99", "latency", "p99-spark"),
            Column("Failed", "failed", "rate"),
            Column("Open", "connections", "count"),
        ),
        empty="",
    ),
    Table(
        "Endpoints of TCP",
        rows=f"{_ENDPOINTS}.tcp",
        key="address",
        columns=(
            *_CONDITION,
            Column("Share", "connections", "share", of="key:0"),
            Column("Tunnels", "connections", "count"),
            Column("Opened", "requests", "rate-spark"),
            Column("p99 to open", "latency", "p99-spark"),
            Column("Failed", "failed", "rate"),
        ),
        empty="",
    ),
    Table(
        "Limits",
        rows="upstreams.*",
        columns=(
            _UPSTREAM,
            Column("Connections of the app", "connections", "bar", of="connections_limit"),
            Column("Opening", "pool_opening", "bar", of="pool_opening_limit"),
            Column("Under way", "requests_under_way", "count"),
            Column("Queued", "requests_queued", "count"),
            Column("Pool, open", "pool_open", "count"),
            Column("Pool, idle", "pool_idle", "bar", of="pool_open"),
            Column("Failed to open", "connect_failures", "rate"),
        ),
    ),
    Table(
        "Errors",
        rows="upstreams.*.errors_by_reason.*",
        key="error",
        columns=(
            Column("Error", "error"),
            _UPSTREAM,
            Column("Meaning", "meaning"),
            Column("Count", "count", "count"),
            Column("Rate", "count", "rate-spark"),
        ),
        empty="No error since the start.",
    ),
    Table(
        "DNS",
        rows="upstreams.*.targets.*.dns",  # of names, not of addresses
        key="target",
        columns=(
            Column("Target", "target"),
            _UPSTREAM,
            Column("Answer", "answer", "state"),
            Column("Age", "dns_age_seconds", "seconds"),
            Column("Valid for", "dns_holds_seconds", "seconds"),
            Column("Error", "dns_error"),
        ),
        empty="",
    ),
    Table(
        "Kubernetes",
        rows="upstreams.*.targets.*.kubernetes",  # of k8s://
        key="target",
        columns=(
            Column("Target", "target"),
            _UPSTREAM,
            Column("Source", "source"),
            Column("API", "answer", "state"),
            Column("Heard of", "age_seconds", "seconds"),
            Column("Slices", "slices", "count"),
            Column("Addresses", "listed", "count"),
            Column("Choice", "note"),
            Column("Error", "error"),
        ),
        empty="",
    ),
    Table(
        "Buffer memory",
        rows="buffers",
        columns=(
            Column("Held", "held", "bar", of="most", unit="bytes"),
            Column("Limit", "most", "bytes"),
            Column("Unfinished heads", "unfinished", "bytes"),
            Column("Is short", "short"),
            Column("Times it was short", "shortages", "count"),
        ),
    ),
    Table(
        "Workers",
        rows="workers.*",
        columns=(
            Column("Worker", "worker"),
            Column("Process", "pid"),
            Column("Restarts", "restarts", "count"),
            Column("Connections", "connections_together", "bar"),
            Column("Requests", "requests_together", "rate-spark"),
        ),
        empty="",
    ),
)

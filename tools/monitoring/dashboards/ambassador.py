"""The ambassador's dashboard."""

from __future__ import annotations

from tools.monitoring.alerts.ambassador import SLOW
from tools.monitoring.alerts.rules import BUDGET
from tools.monitoring.dashboards.common import level, process_row, quantiles, rate, ready, total
from tools.monitoring.dashboards.panels import AMBER, GREEN, RED, SELECTED, Dashboard, Panel, Query, Row, stat, table

_REQUESTS = f"ambassador_requests_total{{{SELECTED}}}[$__rate_interval]"
_FAILED = f'ambassador_requests_total{{code=~"5..", {SELECTED}}}[$__rate_interval]'
_GRPC = "gRPC {{grpc_status}}"
_BY_ENDPOINT = "upstream, endpoint"
_ENDPOINT = "{{upstream}} {{endpoint}}"

WELL = Row(
    "Is it well?",
    [
        ready("ambassador"),
        stat(
            "Failed",
            "Share of requests that got a 5xx, from the upstream or from the ambassador. Red: the error budget of 30"
            " days is spent in two days.",
            "percentunit",
            f"sum(rate({_FAILED})) / sum(rate({_REQUESTS}))",
            (None, GREEN),
            (BUDGET, AMBER),
            (14.4 * BUDGET, RED),
            width=5,
        ),
        stat(
            "p99",
            "One request in a hundred takes longer.",
            "s",
            quantiles("ambassador_request_duration_seconds")[2].expression,
            (None, GREEN),
            (SLOW / 2, AMBER),
            (SLOW, RED),
            width=5,
        ),
        stat(
            "Endpoints down",
            "Endpoints that are ejected or fail their checks, of all Pods.",
            "none",
            f"sum(ambassador_upstream_endpoints_down{{{SELECTED}}})",
            (None, GREEN),
            (1, AMBER),
            width=5,
        ),
        stat(
            "Age of DNS",
            "Age of the oldest answer in use. It grows while look-ups fail.",
            "s",
            f"max(ambassador_upstream_dns_age_seconds{{{SELECTED}}})",
            (None, GREEN),
            (120, AMBER),
            (300, RED),
            width=5,
        ),
    ],
)
REQUESTS = Row(
    "Requests",
    [
        Panel(
            "Requests by status",
            "Requests by the status that the app got. 499: the app left before its response.",
            "reqps",
            [rate("ambassador_requests_total", "code")],
            stacked=True,
        ),
        Panel(
            "Errors",
            "Responses of the ambassador itself, and responses that broke off, by the error type of RFC 9209. Calls of"
            " gRPC that ended with another status than 0 (OK) and 1 (the app has cancelled them).",
            "reqps",
            [
                rate("ambassador_errors_total", "error"),
                rate("ambassador_grpc_calls_total", "grpc_status", matchers='grpc_status!~"0|1"', legend=_GRPC),
                total("ambassador_defects_total", "defects"),
            ],
        ),
        Panel(
            "Latency",
            "From a request's head to its response's end.",
            "s",
            quantiles("ambassador_request_duration_seconds"),
            steps=((None, GREEN), (SLOW, RED)),
        ),
    ],
)
CONNECTIONS = Row(
    "Connections and memory",
    [
        Panel(
            "Connections of the app",
            "Open now; admitted at most (AMBASSADOR_MAX_CONNECTIONS); closed for newcomers.",
            "short",
            [
                level("ambassador_downstream_connections_open", "upstream", "{{upstream}} open"),
                level("ambassador_downstream_connections_limit", "upstream", "{{upstream}} limit"),
                rate("ambassador_downstream_connections_shed_total", "upstream", legend="{{upstream}} closed, 1/s"),
                rate("ambassador_downstream_unfinished_ended_total", "upstream", legend="{{upstream}} ended, 1/s"),
            ],
            width=6,
        ),
        Panel(
            "Connections to endpoints",
            "Open and idle now; opened and failed a second.",
            "short",
            [
                level("ambassador_upstream_connections_open", "upstream", "{{upstream}} open"),
                level("ambassador_upstream_connections_idle", "upstream", "{{upstream}} idle"),
                rate("ambassador_upstream_connects_total", "upstream", legend="{{upstream}} opened, 1/s"),
                rate("ambassador_upstream_connect_failures_total", "upstream", legend="{{upstream}} failed, 1/s"),
            ],
            width=6,
        ),
        Panel(
            "Bytes",
            "Bytes to the endpoints, from them, and to the app.",
            "Bps",
            [
                total("ambassador_upstream_sent_bytes_total", "to endpoints"),
                total("ambassador_upstream_received_bytes_total", "from endpoints"),
                total("ambassador_downstream_sent_bytes_total", "to the app"),
            ],
            width=6,
        ),
        Panel(
            "Buffer memory",
            "Bytes of each Pod that wait because a peer does not take them, and AMBASSADOR_BUFFER_MEMORY. Near it reads"
            " are small, and large bodies are not kept for a retry.",
            "bytes",
            [
                level("ambassador_buffer_bytes", "pod", "{{pod}} held"),
                level("ambassador_buffer_limit_bytes", "pod", "{{pod}} limit"),
            ],
            width=6,
        ),
    ],
)
ENDPOINTS = Row(
    "Endpoints",
    [
        Panel(
            "Attempts",
            "Attempts begun at each endpoint, and those that failed or got a 5xx. Retries after a failure, and requests"
            " repeated because an idle connection closed under them, or because an endpoint had provably not processed"
            " them.",
            "reqps",
            [
                rate("ambassador_endpoint_requests_total", _BY_ENDPOINT, legend=_ENDPOINT),
                rate("ambassador_endpoint_failures_total", _BY_ENDPOINT, legend=f"{_ENDPOINT} failed"),
                rate("ambassador_upstream_retries_total", "upstream", legend="{{upstream}} retries"),
                rate("ambassador_upstream_idle_races_total", "upstream", legend="{{upstream}} idle races"),
                rate("ambassador_upstream_unprocessed_total", "upstream", legend="{{upstream}} unprocessed"),
            ],
            width=8,
        ),
        Panel(
            "Latency by endpoint, p99",
            "From the start of an attempt to the head of its response; for TCP until the connection is open.",
            "s",
            [
                Query(
                    f"histogram_quantile(0.99, sum by (le, {_BY_ENDPOINT})"
                    f" (rate(ambassador_endpoint_response_seconds_bucket{{{SELECTED}}}[$__rate_interval])))",
                    _ENDPOINT,
                )
            ],
            width=8,
        ),
        Panel(
            "DNS and health",
            "Endpoints known, down and leaving; failed look-ups and ejections a second; 1 in panic.",
            "short",
            [
                level("ambassador_upstream_endpoints", "upstream", "{{upstream}} known"),
                level("ambassador_upstream_endpoints_leaving", "upstream", "{{upstream}} leaving"),
                rate("ambassador_upstream_dns_failures_total", "upstream", legend="{{upstream}} failed look-ups, 1/s"),
                rate("ambassador_upstream_ejections_total", "upstream", legend="{{upstream}} ejections, 1/s"),
                Query(f"max by (upstream) (ambassador_upstream_panic{{{SELECTED}}})", "{{upstream}} panic"),
            ],
            width=8,
        ),
        table(
            "Endpoints",
            "Each endpoint now, over all Pods: Pods that have ejected it; its least health (0: checks fail); attempts"
            " under way; open connections; the cost by which it is chosen, in seconds.",
            "short",
            level("ambassador_endpoint_ejected", _BY_ENDPOINT, "ejected"),
            Query(f"min by ({_BY_ENDPOINT}) (ambassador_endpoint_healthy{{{SELECTED}}})", "healthy"),
            level("ambassador_endpoint_pending", _BY_ENDPOINT, "pending"),
            level("ambassador_endpoint_connections_open", _BY_ENDPOINT, "connections"),
            Query(f"max by ({_BY_ENDPOINT}) (ambassador_endpoint_cost_seconds{{{SELECTED}}})", "cost"),
            width=24,
            height=5,
        ),
    ],
)
AMBASSADOR = Dashboard(
    "sidecars-ambassador",
    "Sidecars / ambassador",
    "Requests of the app through its ambassador: errors, latency, endpoints, connections.",
    "ambassador",
    [WELL, REQUESTS, CONNECTIONS, ENDPOINTS, process_row("ambassador")],
)

"""The ambassador's alerts: its error budget by burn rates, then what usually lies behind it.

Burn rates and windows are those of the Google SRE workbook, chapter 5 ("Alerting on SLOs"): a budget that burns 14.4
times too fast is spent by 2 % in an hour, and the short window ends the alert soon after the trouble.
"""

from __future__ import annotations

from tools.monitoring.alerts.rules import BUDGET, CRITICAL, WARNING, Alert, Recording

SLOW = 1.0
"""Seconds of the 99th percentile that `AmbassadorSlow` takes for slow."""


def _ratio(window: str) -> str:
    return f"namespace_upstream:ambassador_errors:ratio_rate{window}"


def _burns(rate: float, long: str, short: str) -> str:
    threshold = f"{rate:g} * {BUDGET:g}"
    return f"{_ratio(long)} > {threshold} and {_ratio(short)} > {threshold}"


RECORDINGS = tuple(
    Recording(
        _ratio(window),
        f'sum by (namespace, upstream) (rate(ambassador_requests_total{{code=~"5.."}}[{window}]))'
        f" / sum by (namespace, upstream) (rate(ambassador_requests_total[{window}]))",
    )
    for window in ("5m", "30m", "1h", "6h", "3d")
)

ALERTS = (
    Alert(
        "AmbassadorErrorBudgetFast",
        _burns(14.4, "1h", "5m"),
        "2m",
        CRITICAL,
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.upstream }} in {{ $labels.namespace }} fail",
        "In the last hour 2 % of the error budget of 30 days is spent. The panel 'Errors' has the error types.",
    ),
    Alert(
        "AmbassadorErrorBudgetSlow",
        _burns(6, "6h", "30m"),
        "15m",
        CRITICAL,
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.upstream }} in {{ $labels.namespace }} have"
        " failed for hours",
        "In the last six hours 5 % of the error budget of 30 days is spent.",
    ),
    Alert(
        "AmbassadorErrorBudgetTicket",
        _burns(1, "3d", "6h"),
        "1h",
        WARNING,
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.upstream }} in {{ $labels.namespace }} have"
        " failed for days",
        "The error budget is spent before its 30 days are over. Nobody need wake up for it.",
    ),
    Alert(
        "AmbassadorUpstreamDown",
        "(ambassador_upstream_endpoints_down >= ambassador_upstream_endpoints and ambassador_upstream_endpoints > 0)"
        " or ambassador_upstream_panic == 1",
        "1m",
        CRITICAL,
        "too few endpoints of {{ $labels.upstream }} work for {{ $labels.namespace }}/{{ $labels.pod }}",
        "All endpoints are ejected or fail their checks, or so many that health is ignored (panic).",
    ),
    Alert(
        "AmbassadorNoEndpoints",
        "ambassador_upstream_endpoints == 0",
        "2m",
        CRITICAL,
        "{{ $labels.upstream }} has no address for {{ $labels.namespace }}/{{ $labels.pod }}",
        "DNS has never named an endpoint: every request gets 503, and the Pod is not ready.",
    ),
    Alert(
        "AmbassadorDnsStale",
        "ambassador_upstream_dns_age_seconds > 300"
        " and on (namespace, pod, upstream) rate(ambassador_upstream_dns_failures_total[5m]) > 0",
        "5m",
        WARNING,
        "the addresses of {{ $labels.upstream }} in {{ $labels.namespace }}/{{ $labels.pod }} are"
        " {{ $value | humanizeDuration }} old",
        "Look-ups fail. Requests still go to the last known addresses, which may be wrong by now.",
    ),
    Alert(
        "AmbassadorKubernetesAway",
        "ambassador_upstream_kubernetes_away > 0",
        "10m",
        WARNING,
        "{{ $labels.upstream }} is not followed in Kubernetes by {{ $labels.namespace }}/{{ $labels.pod }}",
        "The API server is away or refuses. The last endpoints or those of DNS are used; the log has the reason.",
    ),
    Alert(
        "AmbassadorRetryStorm",
        "sum by (namespace, upstream) (rate(ambassador_upstream_retries_total[10m]))"
        " / sum by (namespace, upstream) (rate(ambassador_requests_total[10m])) > 0.2",
        "10m",
        WARNING,
        "{{ $labels.upstream }} gets {{ $value | humanizePercentage }} more requests from {{ $labels.namespace }}"
        " by retries",
        "The upstream fails often, and retries add to its load. The retry budget limits them.",
    ),
    Alert(
        "AmbassadorSlow",
        "histogram_quantile(0.99, sum by (namespace, upstream, le)"
        f" (rate(ambassador_request_duration_seconds_bucket[5m]))) > {SLOW:g}",
        "10m",
        WARNING,
        "one request in a hundred to {{ $labels.upstream }} in {{ $labels.namespace }} takes longer than"
        " {{ $value | humanizeDuration }}",
        "Compare with the latency of each endpoint: one slow endpoint, a slow upstream, or a queue in the ambassador.",
    ),
    Alert(
        "AmbassadorEndpointEjectedByMost",
        "sum by (namespace, upstream, endpoint) (ambassador_endpoint_ejected)"
        " / count by (namespace, upstream, endpoint) (ambassador_endpoint_ejected) > 0.5"
        " and count by (namespace, upstream, endpoint) (ambassador_endpoint_ejected) > 1",
        "10m",
        WARNING,
        "{{ $value | humanizePercentage }} of the ambassadors in {{ $labels.namespace }} have ejected"
        " {{ $labels.endpoint }} of {{ $labels.upstream }}",
        "Several ambassadors agree, so this endpoint is broken, and not the way of one Pod to it.",
    ),
    Alert(
        "AmbassadorConnectionsNearLimit",
        "ambassador_downstream_connections_open / ambassador_downstream_connections_limit > 0.9",
        "10m",
        WARNING,
        "{{ $value | humanizePercentage }} of the connections that {{ $labels.namespace }}/{{ $labels.pod }} may have"
        " to {{ $labels.upstream }} are open",
        "Beyond AMBASSADOR_MAX_CONNECTIONS idle connections are closed, and then newcomers get 503.",
    ),
    Alert(
        "AmbassadorBufferMemoryShort",
        "ambassador_buffer_short == 1",
        "5m",
        WARNING,
        "the ambassador of {{ $labels.namespace }}/{{ $labels.pod }} has had little memory for buffers for 5 minutes",
        "It reads little at a time, keeps no large body for a retry, and refuses large heads.",
    ),
    Alert(
        "AmbassadorSpansLost",
        'sum by (namespace, pod) (rate(ambassador_spans_total{outcome=~"dropped|refused"}[10m])) > 0',
        "15m",
        WARNING,
        "the ambassador of {{ $labels.namespace }}/{{ $labels.pod }} has lost spans for 15 minutes",
        "The collector is away, too slow, or refuses them. Requests are served as before; their traces have gaps.",
    ),
    Alert(
        "AmbassadorDefects",
        "increase(ambassador_defects_total[1h]) > 0",
        "",
        WARNING,
        "the ambassador of {{ $labels.namespace }}/{{ $labels.pod }} met a defect of its own",
        "An exchange ended with 500. The log has a traceback for each place: please report it.",
    ),
)

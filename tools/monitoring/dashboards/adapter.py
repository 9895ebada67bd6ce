"""The adapter's dashboard."""

from __future__ import annotations

from tools.monitoring.dashboards.common import process_row, quantiles, rate, ready
from tools.monitoring.dashboards.panels import (
    AMBER,
    GREEN,
    RED,
    SELECTED,
    Dashboard,
    Panel,
    Query,
    Row,
    of,
    stat,
    table,
    yes_no,
)


def _per_second(counter: str) -> str:
    """Return the rates, by listener, of a counter that other sidecars of the Pod have, too."""
    return f"sum by (listener) (rate({counter}{{{SELECTED}}}[$__rate_interval]){of('adapter')})"


_ERRORS = f"sum(rate(adapter_upstream_errors_total{{{SELECTED}}}[$__rate_interval]))"
_TO_THE_APP = f"sum(rate(adapter_upstream_requests_total{{{SELECTED}}}[$__rate_interval]))"

WELL = Row(
    "Is it well?",
    [
        ready("adapter"),
        yes_no(
            "App",
            "Yes if the last response of every route passes.",
            f"min(adapter_up{{{SELECTED}}})",
            "up",
            "down",
        ),
        stat(
            "Verdicts that fail",
            "Routes of all Pods whose verdict is fail.",
            "none",
            f'sum(adapter_verdict{{status="fail", {SELECTED}}})',
            (None, GREEN),
            (1, RED),
        ),
        stat(
            "Verdicts that warn",
            "Routes of all Pods whose verdict is warn.",
            "none",
            f'sum(adapter_verdict{{status="warn", {SELECTED}}})',
            (None, GREEN),
            (1, AMBER),
        ),
        stat(
            "App errors",
            "Share of requests to the app that get no usable response.",
            "percentunit",
            f"{_ERRORS} / {_TO_THE_APP}",
            (None, GREEN),
            (0.01, AMBER),
            (0.1, RED),
        ),
        yes_no(
            "Rules",
            "No if a file of rules has changed and has a mistake: then the rules of before are in force.",
            f"min(adapter_rules_current{{{SELECTED}}})",
            "current",
            "stale",
        ),
    ],
)
PROBES = Row(
    "Probes",
    [
        Panel(
            "Responses to probers",
            "Responses by status, a second. 503 is the verdict fail, or an app that does not answer.",
            "reqps",
            [rate("adapter_requests_total", "code")],
            stacked=True,
        ),
        Panel(
            "Time of a probe",
            "From a route's request to its response. A kubelet waits for 1 s.",
            "s",
            quantiles("adapter_request_duration_seconds"),
            steps=((None, GREEN), (1, RED)),
        ),
        Panel(
            "Verdicts",
            "Routes of all Pods by their verdict.",
            "short",
            [Query(f"sum by (status) (adapter_verdict{{{SELECTED}}})", "{{status}}")],
            stacked=True,
        ),
    ],
)
APP = Row(
    "The app",
    [
        Panel(
            "Requests to the app",
            "Requests a second. Probers that come together share one.",
            "reqps",
            [rate("adapter_upstream_requests_total", "app")],
            width=8,
        ),
        Panel(
            "Errors of the app",
            "Requests without a usable response, by reason.",
            "reqps",
            [rate("adapter_upstream_errors_total", "reason")],
            width=8,
        ),
        Panel(
            "Faults of the app's metrics pages",
            "Faults by kind, and the metric families that the last page lost because they contradict themselves.",
            "short",
            [
                rate("adapter_page_faults_total", "kind"),
                Query(f"sum by (app) (adapter_families_left_out{{{SELECTED}}})", "{{app}} families left out"),
            ],
            width=8,
        ),
        table(
            "Rules",
            "Each rule now: its least result of all Pods (0: it does not pass), and its greatest value.",
            "short",
            Query(f"min by (route, rule) (adapter_rule_pass{{{SELECTED}}})", "passes"),
            Query(f"max by (route, rule) (adapter_rule_value{{{SELECTED}}})", "value"),
            width=12,
        ),
        Panel(
            "Connections of probers",
            "Idle connections that were closed for newer ones, and connections that were refused, by listener.",
            "short",
            [
                Query(_per_second("sidecar_connections_shed_total"), "{{listener}} closed"),
                Query(_per_second("sidecar_connections_refused_total"), "{{listener}} refused"),
            ],
            width=12,
        ),
    ],
)
ADAPTER = Dashboard(
    "sidecars-adapter",
    "Sidecars / adapter",
    "Health of the app as its probers see it: verdicts, rules, errors.",
    "adapter",
    [WELL, PROBES, APP, process_row("adapter")],
)

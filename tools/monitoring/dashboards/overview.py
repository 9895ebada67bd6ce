"""The dashboard of all sidecars together: the one to begin with."""

from __future__ import annotations

from tools.monitoring.alerts.groups import ALERTS
from tools.monitoring.dashboards.panels import AMBER, GREEN, RED, SELECTED, Dashboard, Panel, Query, Row, stat, table

_NAMES = "|".join(alert.name for alert in ALERTS)
_BUILD = f"sidecar_build_info{{{SELECTED}}}"
_BY_NAME = f"* on (instance) group_left (name) {_BUILD}"

WELL = Row(
    "Is it well?",
    [
        stat("Sidecars", "Sidecars that Prometheus scrapes.", "none", f"count({_BUILD})"),
        stat(
            "Not ready",
            "Sidecars whose /readyz does not answer 200.",
            "none",
            f"count(sidecar_ready{{{SELECTED}}} == 0) or vector(0)",
            (None, GREEN),
            (1, RED),
        ),
        stat(
            "Alerts that fire",
            "Alerts of the sidecars that fire now.",
            "none",
            f'count(ALERTS{{alertstate="firing", alertname=~"{_NAMES}"}}) or vector(0)',
            (None, GREEN),
            (1, RED),
        ),
        stat(
            "Versions",
            "Different versions of one sidecar, the greatest number.",
            "none",
            f"max(count by (name) (count by (name, version) ({_BUILD})))",
            (None, GREEN),
            (2, AMBER),
        ),
        stat(
            "Without Landlock",
            "Sidecars whose kernel does not confine them to the files that they need.",
            "none",
            f'count(sidecar_confinement{{layer="landlock", {SELECTED}}} == 0) or vector(0)',
            (None, GREEN),
            (1, AMBER),
        ),
        stat(
            "Secrets scrubbed in an hour",
            "Secrets that were replaced by *** in an output. Each one is a defect: please report it.",
            "short",
            f"sum(increase(sidecar_secrets_scrubbed_total{{{SELECTED}}}[1h]))",
            (None, GREEN),
            (1, RED),
        ),
    ],
)
USE = Row(
    "Use",
    [
        Panel(
            "Sidecars",
            "Sidecars by name and version.",
            "none",
            [Query(f"count by (name, version) ({_BUILD})", "{{name}} {{version}}")],
            stacked=True,
        ),
        Panel(
            "CPU",
            "CPU seconds a second of all Pods together, by sidecar.",
            "short",
            [
                Query(
                    f"sum by (name) (rate(process_cpu_seconds_total{{{SELECTED}}}[$__rate_interval]) {_BY_NAME})",
                    "{{name}}",
                )
            ],
        ),
        Panel(
            "Memory",
            "Resident memory of the largest Pod, by sidecar.",
            "bytes",
            [Query(f"max by (name) (process_resident_memory_bytes{{{SELECTED}}} {_BY_NAME})", "{{name}}")],
        ),
    ],
)
TROUBLE = Row(
    "Trouble",
    [
        Panel(
            "Warnings and errors in the log",
            "Lines of the log of all Pods, by sidecar and level.",
            "short",
            [
                Query(
                    "sum by (name, level) (increase(sidecar_log_messages_total"
                    f'{{level=~"warning|error", {SELECTED}}}[$__rate_interval]) {_BY_NAME})',
                    "{{name}} {{level}}",
                )
            ],
        ),
        Panel(
            "Starts",
            "Starts of sidecars. More than one for each Pod are restarts.",
            "short",
            [
                Query(
                    f"sum by (name) (changes(process_start_time_seconds{{{SELECTED}}}[$__rate_interval]) {_BY_NAME})",
                    "{{name}}",
                )
            ],
        ),
        Panel(
            "Used up",
            "Times that descriptors, memory or ports were used up; dropped log lines; connections refused.",
            "short",
            [
                Query(
                    f"sum by (resource) (increase(sidecar_resource_exhausted_total{{{SELECTED}}}[$__rate_interval]))",
                    "{{resource}}",
                ),
                Query(f"sum(increase(sidecar_log_lines_dropped_total{{{SELECTED}}}[$__rate_interval]))", "log lines"),
                Query(
                    f"sum(increase(sidecar_connections_refused_total{{{SELECTED}}}[$__rate_interval]))",
                    "connections",
                ),
            ],
        ),
        table(
            "Alerts",
            "Alerts of the sidecars that fire or wait for their time.",
            "none",
            Query(
                "count by (alertname, alertstate, severity, namespace)"
                f' (ALERTS{{alertname=~"{_NAMES}", namespace=~"$namespace"}})',
                "alerts",
            ),
            width=24,
            height=5,
        ),
    ],
)
OVERVIEW = Dashboard(
    "sidecars-overview",
    "Sidecars / overview",
    "All sidecars of all Pods: which run, which are ready, which alert.",
    "",
    [WELL, USE, TROUBLE],
)

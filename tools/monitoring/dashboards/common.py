"""Panels that every dashboard has, and the shapes of queries that they share."""

from __future__ import annotations

from tools.monitoring.dashboards.panels import GREEN, SELECTED, Panel, Query, Row, of, yes_no


def quantiles(histogram: str, by: str = "") -> list[Query]:
    """Return the median, the 90th and the 99th percentile of a histogram; `by` is one more label to keep."""
    kept, legend = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    buckets = f"sum by ({kept}) (rate({histogram}_bucket{{{SELECTED}}}[$__rate_interval]))"
    return [
        Query(f"histogram_quantile({quantile}, {buckets})", f"{legend}p{quantile * 100:g}")
        for quantile in (0.5, 0.9, 0.99)
    ]


def rate(metric: str, by: str, *, matchers: str = "", legend: str = "") -> Query:
    """Return the rate of a counter, a series for each value of the label `by`."""
    matchers = f"{matchers}, {SELECTED}" if matchers else SELECTED
    return Query(f"sum by ({by}) (rate({metric}{{{matchers}}}[$__rate_interval]))", legend or f"{{{{{by}}}}}")


def total(metric: str, legend: str) -> Query:
    """Return the rate of a counter, all series together."""
    return Query(f"sum(rate({metric}{{{SELECTED}}}[$__rate_interval]))", legend)


def level(metric: str, by: str, legend: str = "") -> Query:
    """Return the sum of a gauge, a series for each value of the label `by`."""
    return Query(f"sum by ({by}) ({metric}{{{SELECTED}}})", legend or f"{{{{{by}}}}}")


def ready(name: str) -> Panel:
    return yes_no(
        "Ready",
        "Yes if /readyz of every selected Pod answers 200. The response of /readyz has the reason.",
        f"min(sidecar_ready{{{SELECTED}}}{of(name)})",
        "ready",
        "not ready",
    )


def process_row(name: str) -> Row:
    """Return the row about the process itself: CPU, memory with its limit, descriptors, and the log."""
    limit = f'max(kube_pod_init_container_resource_limits{{container="{name}", resource="memory", {SELECTED}}})'
    each = "{{pod}}"
    return Row(
        "Process",
        [
            Panel(
                "CPU",
                "CPU seconds a second, of each Pod. 1 is one core.",
                "short",
                [Query(f"rate(process_cpu_seconds_total{{{SELECTED}}}[$__rate_interval]){of(name)}", each)],
                width=6,
            ),
            Panel(
                "Memory",
                "Resident memory of each Pod, and the container's limit if kube-state-metrics tells it.",
                "bytes",
                [
                    Query(f"process_resident_memory_bytes{{{SELECTED}}}{of(name)}", each),
                    Query(limit, "limit"),
                ],
                width=6,
            ),
            Panel(
                "File descriptors",
                "Open descriptors of each Pod, and the lowest limit.",
                "short",
                [
                    Query(f"process_open_fds{{{SELECTED}}}{of(name)}", each),
                    Query(f"min(process_max_fds{{{SELECTED}}}{of(name)})", "limit"),
                ],
                width=6,
            ),
            Panel(
                "Warnings and errors in the log",
                "Lines of the log, by level. Each warning and error has a section in the page of troubleshooting.",
                "short",
                [
                    Query(
                        "sum by (level) (increase(sidecar_log_messages_total"
                        f'{{level=~"warning|error", {SELECTED}}}[$__rate_interval]){of(name)})',
                        "{{level}}",
                    )
                ],
                width=6,
                steps=((None, GREEN),),
            ),
        ],
    )

"""What a platform team sees of the sidecars: alerts, dashboards, and the reference of all metrics.

    alerts/ ─────────▶ deploy/monitoring/alerts.yaml, prometheusrule.yaml
    dashboards/ ─────▶ deploy/monitoring/dashboards/*.json, configmaps.yaml
    objects ─────────▶ deploy/monitoring/podmonitor.yaml, prometheus.yaml, otel-collector.yaml
    exposed (runs the sidecars) ──▶ reference ──▶ docs/reference/metrics.md

`python -m tools.monitoring --write` writes all of it, and `--check` fails if a committed file differs.
"""

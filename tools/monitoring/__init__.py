"""What a platform team sees of the sidecars: alerts, dashboards, and the reference of all metrics.

    alerts/ ─────────▶ deploy/monitoring/alerts.yaml, prometheusrule.yaml
    dashboards/ ─────▶ deploy/monitoring/dashboards/*.json, configmaps.yaml
    objects ─────────▶ deploy/monitoring/podmonitor.yaml, prometheus.yaml, opentelemetry-collector.yaml
    exposed (runs the sidecars) ──▶ reference ──▶ docs/reference/metrics.md
    pictures/ (runs a Prometheus with sample data) ──▶ docs/pictures/*.svg

`python -m tools.monitoring --write` writes all of it but the pictures, and `--check` fails if a committed file
differs. `make pictures` draws the dashboards; they name the digest of the JSON that they show.
"""

"""Pictures of the dashboards for the docs: `python -m tools.monitoring.pictures`. It needs Debian's prometheus.

    exposed (pages of sidecars that run) ─▶ sample_data ─▶ promtool: blocks ─▶ Prometheus ─▶ results of each query
    deploy/monitoring/dashboards/*.json ────────────────────────────────────▶ drawing, panel_drawing ─▶ docs/pictures

Grafana cannot be had where this is made, so these are drawings from its JSON, and no screenshots: the places, titles,
units, thresholds and legends are those of the JSON, and the values are those of a Prometheus. The samples are invented
(`sample_data`): three hours of three Pods, with an upstream that fails, a sink that is down, and a release.
"""

"""Kubernetes objects and scrape configurations around the alerts and the dashboards."""

from __future__ import annotations

import json
from typing import Any

import yaml

from tools.monitoring.alerts.groups import groups
from tools.monitoring.dashboards.catalogue import DASHBOARDS
from tools.names import SIDECARS

PORTS = {name: f"adm-{name}" for name in SIDECARS}
"""Names of the admin ports, which no other container has."""
_LABELS = {"app.kubernetes.io/name": "sidecars", "app.kubernetes.io/part-of": "sidecars"}
# The port's name as a label would hide the ambassador's own label `endpoint`. The container's name says the same.
_NO_ENDPOINT = {"action": "labeldrop", "regex": "endpoint"}
_GENERATED = "Made by `make docs` from tools/monitoring; do not edit."


class _Block(str):
    """Text that is written as a block of lines."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes lists indented, blocks as blocks, and equal parts twice rather than as anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's
        super().increase_indent(flow, indentless=False)


_Dumper.add_representer(_Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


def to_yaml(comment: str, *documents: object) -> str:
    """Return the documents as YAML, below a comment."""
    head = "".join(f"# {line}\n" for line in (*comment.splitlines(), _GENERATED))
    return head + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def alerts() -> str:
    return to_yaml(
        "Rules for a Prometheus (`rule_files`), and the `spec` of a PrometheusRule.\n"
        "`runbook_url` begins with an address that never resolves: put the one of your copy of the docs in its place.",
        groups(),
    )


def prometheus_rule() -> str:
    return to_yaml(
        "The alerts for the Prometheus Operator. Some installations select rules by a label such as `release`: add it.",
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": "sidecars", "labels": _LABELS},
            "spec": groups(),
        },
    )


def pod_monitor() -> str:
    endpoints = [{"port": port, "path": "/metrics", "relabelings": [_NO_ENDPOINT]} for port in PORTS.values()]
    return to_yaml(
        "Scrapes each sidecar of each Pod by the name of its admin port, for the Prometheus Operator.\n"
        "Pods without such a port give no target. Narrow `selector` and `namespaceSelector` as you like.",
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {"name": "sidecars", "labels": _LABELS},
            "spec": {"namespaceSelector": {"any": True}, "selector": {}, "podMetricsEndpoints": endpoints},
        },
    )


def scrape_config() -> dict[str, Any]:
    """Return the job of a Prometheus without the operator. Its targets have the same labels."""
    port = "__meta_kubernetes_pod_container_port_name"
    copied = {"namespace": "namespace", "pod_name": "pod", "pod_container_name": "container"}
    return {
        "job_name": "sidecars",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            {"source_labels": [port], "regex": f"adm-({'|'.join(SIDECARS)})", "action": "keep"},
            {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Failed|Succeeded", "action": "drop"},
            *(
                {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target}
                for source, target in copied.items()
            ),
        ],
    }


def prometheus() -> str:
    return to_yaml(
        "For a Prometheus without the operator: merge this into its configuration. It may list Pods (RBAC).",
        {"scrape_configs": [scrape_config()], "rule_files": ["alerts.yaml"]},
    )


def collector() -> str:
    pipeline = {"receivers": ["prometheus/sidecars"]}
    return to_yaml(
        "For an OpenTelemetry Collector: its receiver scrapes as Prometheus does. Add your exporter to the pipeline.",
        {
            "receivers": {"prometheus/sidecars": {"config": {"scrape_configs": [scrape_config()]}}},
            "service": {"pipelines": {"metrics/sidecars": pipeline}},
        },
    )


def dashboard_json(name: str) -> str:
    return json.dumps(DASHBOARDS[name].json(), indent=1, ensure_ascii=False) + "\n"


def config_maps() -> str:
    """Return the dashboards for Grafana's side-car, and the alerts, as ConfigMaps."""
    maps = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"sidecars-dashboard-{name}",
                "labels": {**_LABELS, "grafana_dashboard": "1"},
                "annotations": {"grafana_folder": "Sidecars"},
            },
            "data": {f"sidecars-{name}.json": _Block(dashboard_json(name))},
        }
        for name in DASHBOARDS
    ]
    rules = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "sidecars-alerts", "labels": _LABELS},
        "data": {"alerts.yaml": _Block(alerts())},
    }
    return to_yaml(
        "Dashboards and alerts for plain kubectl: kubectl apply -n monitoring -f configmaps.yaml\n"
        "Grafana's Helm chart loads ConfigMaps with the label grafana_dashboard. A Prometheus mounts sidecars-alerts.",
        *maps,
        rules,
    )

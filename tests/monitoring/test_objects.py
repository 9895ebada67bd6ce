"""The objects of Kubernetes around alerts and dashboards, and the scrape configurations."""

from __future__ import annotations

import re
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml
from kubernetes_validate import validate  # type: ignore[import-untyped] # it ships no types

from tests.support import ROOT
from tools.monitoring import __main__ as generator
from tools.monitoring.alerts.groups import ALERTS, groups
from tools.monitoring.alerts.rules import SEVERITIES
from tools.monitoring.dashboards.catalogue import DASHBOARDS
from tools.names import SIDECARS

FOLDER = ROOT / "deploy" / "monitoring"
TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "object", "additionalProperties": TEXT}
DURATION = {"type": "string", "pattern": "^[0-9]+[smhd]$"}


def closed(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these keys and no other: the published schemas let a misspelt key pass."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


RULE = {
    "oneOf": [
        closed(("record", "expr"), record=TEXT, expr=TEXT),
        closed(
            ("alert", "expr", "labels", "annotations"),
            alert={"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
            expr=TEXT,
            **{"for": DURATION},
            labels=closed(("severity",), severity={"enum": list(SEVERITIES)}),
            annotations=closed(
                ("summary", "description", "runbook_url"), summary=TEXT, description=TEXT, runbook_url=TEXT
            ),
        ),
    ]
}
GROUPS = closed(
    ("groups",), groups={"type": "array", "items": closed(("name", "rules"), name=TEXT, rules={"items": RULE})}
)
RELABELING = closed(("action", "regex"), action={"enum": ["labeldrop"]}, regex=TEXT)
ENDPOINT = closed(
    ("port", "path"), port=TEXT, path=TEXT, interval=DURATION, relabelings={"type": "array", "items": RELABELING}
)
MONITOR = closed(
    ("selector", "podMetricsEndpoints"),
    selector=closed((), matchLabels=TEXTS, matchExpressions={"type": "array"}),
    namespaceSelector=closed((), any={"type": "boolean"}, matchNames={"type": "array"}),
    podMetricsEndpoints={"type": "array", "minItems": 1, "items": ENDPOINT},
)


def custom(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = closed(("name",), name=TEXT, labels=TEXTS, annotations=TEXTS)
    version = {"const": "monitoring.coreos.com/v1"}
    keys = ("apiVersion", "kind", "metadata", "spec")
    return closed(keys, apiVersion=version, kind={"const": kind}, metadata=metadata, spec=spec)


SCHEMAS = {
    "alerts.yaml": GROUPS,
    "prometheusrule.yaml": custom("PrometheusRule", GROUPS),
    "podmonitor.yaml": custom("PodMonitor", MONITOR),
}


def load(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_object_has_the_keys_of_its_kind_and_no_other(name: str) -> None:
    jsonschema.validate(load(name), SCHEMAS[name])


def test_a_misspelt_key_would_be_found() -> None:
    monitor = load("podmonitor.yaml")
    monitor["spec"]["podMetricsEndpoints"][0]["prot"] = "adm-adapter"
    with pytest.raises(jsonschema.ValidationError, match="prot"):
        jsonschema.validate(monitor, SCHEMAS["podmonitor.yaml"])


def test_the_pod_monitor_has_the_admin_port_of_every_sidecar_by_its_name() -> None:
    scraped = [endpoint["port"] for endpoint in load("podmonitor.yaml")["spec"]["podMetricsEndpoints"]]
    named = {
        port
        for path in (ROOT / "deploy" / "kustomize").glob("*/kustomization.yaml")
        for port in re.findall(r"\badm-\w+", path.read_text())
    }
    assert named <= set(scraped) == {f"adm-{name}" for name in SIDECARS}
    assert all(len(name) <= 15 for name in scraped)  # a port's name (RFC 6335)


def test_no_label_of_the_target_hides_the_endpoints_of_the_ambassador() -> None:
    for endpoint in load("podmonitor.yaml")["spec"]["podMetricsEndpoints"]:
        assert endpoint["relabelings"] == [{"action": "labeldrop", "regex": "endpoint"}]


def test_the_rule_object_and_the_config_map_have_the_rules_of_the_file() -> None:
    assert load("alerts.yaml") == groups()
    assert load("prometheusrule.yaml")["spec"] == groups()
    *_, last = yaml.safe_load_all((FOLDER / "configmaps.yaml").read_text())
    assert last["data"]["alerts.yaml"] == (FOLDER / "alerts.yaml").read_text()


def test_the_config_maps_are_valid_and_small_enough_and_have_the_dashboards_as_they_are() -> None:
    maps = list(yaml.safe_load_all((FOLDER / "configmaps.yaml").read_text()))
    for each in maps:
        validate(each, "1.30", strict=True)
        assert len(yaml.safe_dump(each)) < 250_000  # the annotation of `kubectl apply` holds 256 KiB
    for name, each in zip(DASHBOARDS, maps, strict=False):
        assert each["data"] == {f"sidecars-{name}.json": (FOLDER / "dashboards" / f"{name}.json").read_text()}
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_scrape_configurations_keep_the_admin_ports_and_give_the_labels_of_the_pod_monitor() -> None:
    (job,) = load("prometheus.yaml")["scrape_configs"]
    assert job["relabel_configs"][0]["regex"] == f"adm-({'|'.join(SIDECARS)})"
    given = {one["target_label"] for one in job["relabel_configs"] if "target_label" in one}
    assert given == {"namespace", "pod", "container"}
    receivers = load("opentelemetry-collector.yaml")["receivers"]
    assert receivers["prometheus/sidecars"]["config"]["scrape_configs"] == [job]


def test_the_files_are_those_of_the_generator() -> None:
    assert generator.stale(generator.files()) == [], "run make docs"


def test_every_alert_has_its_section_in_the_page_of_troubleshooting() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    section = page.partition("\n## Alerts\n")[2]
    headings = {line.removeprefix("### ") for line in section.splitlines() if line.startswith("### ")}
    for alert in ALERTS:
        assert alert.runbook.endswith(f"/troubleshooting.md#{alert.name.lower()}")
        assert alert.name in headings

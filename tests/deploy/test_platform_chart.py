"""The platform chart, rendered by the real helm: each part is off until a value turns it on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import kubernetes
from tests.deploy.charts import HELM, by_kind, refused, rendered
from tests.deploy.conftest import Run
from tests.support import ROOT
from tools.manifests.containers import SIDECARS

INJECT: dict[str, Any] = {"registry": "registry.example/sidecars", "inject": {"enabled": True}}
EVERYTHING: dict[str, Any] = {
    **INJECT,
    "monitoring": {"podMonitor": True, "rules": True, "dashboards": True},
    "networkPolicy": {"enabled": True, "namespaces": ["shop", "bank"]},
    "labels": {"release": "prometheus"},
    "annotations": {"team": "platform"},
}
DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chart's folder alone, as someone takes it along. A link that leads out of it is broken there."""
    alone = tmp_path_factory.mktemp("platform") / "sidecars-platform"
    return shutil.copytree(HELM / "sidecars-platform", alone, symlinks=True)


def test_nothing_is_installed_unless_a_value_says_so(run: Run, chart: Path) -> None:
    assert rendered(run, chart) == []


@pytest.mark.parametrize("name", ["sidecars", "sidecars-platform"])
def test_a_chart_has_no_links_since_tools_that_fetch_charts_leave_them_out(name: str) -> None:
    assert [path for path in (HELM / name).rglob("*") if path.is_symlink()] == []


def test_there_is_no_server_no_right_and_no_definition_in_it(run: Run, chart: Path) -> None:
    documents = rendered(run, chart, EVERYTHING)
    assert {document["kind"] for document in documents} == {
        "ConfigMap", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "NetworkPolicy", "PodMonitor",
        "PrometheusRule", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
    }  # fmt: skip
    assert not (chart / "crds").exists()
    assert not [document for document in documents if "helm.sh/hook" in document["metadata"].get("annotations", {})]


def test_kubernetes_accepts_everything_that_is_no_custom_resource(run: Run, chart: Path) -> None:
    own = [each for each in rendered(run, chart, EVERYTHING) if "monitoring.coreos.com" not in each["apiVersion"]]
    kubernetes.accepts(own, ["1.36", "1.37"])
    older = [each for each in own if not each["kind"].startswith("Mutating")]
    kubernetes.accepts(older, kubernetes.VERSIONS[1:])


def test_every_object_has_the_labels_and_annotations_of_the_values(run: Run, chart: Path) -> None:
    for document in rendered(run, chart, EVERYTHING):
        assert document["metadata"]["labels"]["release"] == "prometheus", document["kind"]
        assert document["metadata"]["annotations"]["team"] == "platform", document["kind"]


# -- injection --------------------------------------------------------------------------------------------------------


def test_registry_digests_prefix_and_sizes_are_those_of_the_values(run: Run, chart: Path) -> None:
    given = {
        **INJECT,
        "tag": "2.0.0",
        "digests": {"adapter": DIGEST},
        "labelPrefix": "pods.shop.example",
        "inject": {"enabled": True, "resources": {"adapter": {"limit": "1Gi"}}},
        "global": {"imageRegistry": "mirror.example"},
    }
    documents = rendered(run, chart, given)
    (policy,) = by_kind(documents, "MutatingAdmissionPolicy")
    text = json.dumps(policy)
    assert f"mirror.example/sidecars/adapter@{DIGEST}" in text
    assert "mirror.example/sidecars/logshipper:2.0.0" in text
    assert "registry.example" not in text
    assert "1Gi" in text
    assert "sidecars.invalid" not in json.dumps([policy["spec"] for policy in documents])
    assert by_kind(documents, "MutatingAdmissionPolicyBinding")[0]["spec"]["matchResources"] == {
        "namespaceSelector": {"matchLabels": {"pods.shop.example/inject": "on"}},
        "objectSelector": {"matchLabels": {"pods.shop.example/ambassador": "on"}},
    }


def test_a_namespace_may_opt_in_by_a_label_of_ones_own(run: Run, chart: Path) -> None:
    given = {**INJECT, "inject": {"enabled": True, "namespaceLabel": "shop.example/helpers"}}
    for binding in by_kind(rendered(run, chart, given), "MutatingAdmissionPolicyBinding"):
        selector = binding["spec"]["matchResources"]["namespaceSelector"]
        assert selector == {"matchLabels": {"shop.example/helpers": "on"}}


@pytest.mark.parametrize(("actions", "count"), [(["Deny", "Audit"], len(SIDECARS)), ([], 0)])
def test_the_guard_denies_or_is_off_as_a_value_says(run: Run, chart: Path, actions: list[str], count: int) -> None:
    documents = rendered(run, chart, {**INJECT, "inject": {"enabled": True, "guard": actions}})
    bindings = by_kind(documents, "ValidatingAdmissionPolicyBinding")
    assert [binding["spec"]["validationActions"] for binding in bindings] == [actions] * count
    assert len(by_kind(documents, "ValidatingAdmissionPolicy")) == count


@pytest.mark.parametrize(
    ("given", "sentence", "arguments"),
    [
        ({"inject": {"enabled": True}}, "set registry, such as registry.example/sidecars: no registry is built in", []),
        ({"inject": {"enabld": True}}, "'enabld' not allowed", []),
        ({"inject": {"guard": ["warn"]}}, "/inject/guard/0", []),
        ({"registry": 'a"b'}, "/registry", []),
        ({"labelPrefix": "Not a name"}, "/labelPrefix", []),
        ({"digests": {"adapter": "latest"}}, "/digests/adapter", []),
        ({"digests": {"adaptor": DIGEST}}, "'adaptor' not allowed", []),
        (INJECT, "inject.enabled needs Kubernetes 1.36", ["--kube-version", "1.35.0"]),
        ({}, "1.29", ["--kube-version", "1.28.0"]),
    ],
)
def test_a_mistake_is_refused_and_named(
    run: Run, chart: Path, given: dict[str, Any], sentence: str, arguments: list[str]
) -> None:
    assert sentence in refused(run, chart, given, *arguments)


# -- monitoring -------------------------------------------------------------------------------------------------------


def test_alerts_dashboards_and_the_pod_monitor_are_those_of_the_folder(run: Run, chart: Path) -> None:
    folder = ROOT / "deploy/monitoring"
    documents = rendered(run, chart, EVERYTHING)
    (rules,) = by_kind(documents, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((folder / "alerts.yaml").read_text())
    (monitor,) = by_kind(documents, "PodMonitor")
    assert monitor["spec"] == yaml.safe_load((folder / "podmonitor.yaml").read_text())["spec"]
    dashboards = by_kind(documents, "ConfigMap")
    assert {text for each in dashboards for text in each["data"].values()} == {
        path.read_text() for path in (folder / "dashboards").glob("*.json")
    }
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in dashboards)
    assert len({name for each in dashboards for name in each["data"]}) == len(dashboards)


def test_runbooks_lead_to_the_address_of_the_values(run: Run, chart: Path) -> None:
    given = {"monitoring": {"rules": True, "runbooks": "https://docs.shop.example/sidecars"}}
    (rules,) = rendered(run, chart, given)
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert alerts
    assert all(rule["annotations"]["runbook_url"].startswith("https://docs.shop.example/sidecars/") for rule in alerts)


def test_runbooks_of_the_dashboards_lead_there_too(run: Run, chart: Path) -> None:
    given = {"monitoring": {"dashboards": True, "runbooks": "https://docs.shop.example/sidecars"}}
    texts = [text for each in rendered(run, chart, given) for text in each["data"].values()]
    assert texts
    assert all("https://docs.shop.example/sidecars/troubleshooting.md" in text for text in texts)
    assert not any("https://sidecars.invalid" in text for text in texts)


def test_the_burn_rates_are_multiples_of_the_error_budget_of_the_values(run: Run, chart: Path) -> None:
    (rules,) = rendered(run, chart, {"monitoring": {"rules": True, "errorBudget": "0.01"}})
    alerts = {
        rule["alert"]: rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule
    }
    for name, rate in (("Fast", "14.4"), ("Slow", "6"), ("Ticket", "1")):
        assert alerts[f"AmbassadorErrorBudget{name}"].count(f"> {rate} * 0.01") == 2
    assert "0.001" not in " ".join(alerts.values())


# -- NetworkPolicies --------------------------------------------------------------------------------------------------


def allowed(policies: list[dict[str, Any]], labels: dict[str, str], port: int, *, monitoring: bool) -> bool:
    """Return True if one of the policies that select a Pod lets TCP through; also if none selects it."""
    selecting = [policy for policy in policies if selects(policy["spec"]["podSelector"], labels)]
    rules = [rule for policy in selecting for rule in policy["spec"]["ingress"]]
    open_to_it = [rule for rule in rules if "from" not in rule or monitoring]
    tcp = [each for rule in open_to_it for each in rule["ports"] if each.get("protocol", "TCP") == "TCP"]
    return not selecting or any(each["port"] <= port <= each.get("endPort", each["port"]) for each in tcp)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(labels.get(each["key"]) not in each["values"] for each in selector.get("matchExpressions", []))


@pytest.mark.parametrize("adapter", [["adapter"], []])
@pytest.mark.parametrize("others", [[], ["logshipper"], ["ambassador", "logshipper"]])
def test_only_monitoring_reaches_the_admin_ports_and_an_adapter_and_the_apps_ports_stay_open(
    run: Run, chart: Path, adapter: list[str], others: list[str]
) -> None:
    policies = rendered(run, chart, {"networkPolicy": {"enabled": True}})
    names = [*others, *adapter]
    labels = {f"sidecars.invalid/{name}": "on" for name in names}
    for port in (9912, 9913, 9914):
        assert allowed(policies, labels, port, monitoring=True)
        assert allowed(policies, labels, port, monitoring=False) is (not names)
    assert allowed(policies, labels, 8081, monitoring=True)
    assert allowed(policies, labels, 8081, monitoring=False) is (not adapter)
    for port in (1, 80, 8080, 8082, 9910, 9915, 65535):
        assert allowed(policies, labels, port, monitoring=False)


def test_each_namespace_of_the_values_gets_them_and_names_where_monitoring_is(run: Run, chart: Path) -> None:
    given = {"networkPolicy": {"enabled": True, "namespaces": ["shop", "bank"], "monitoring": ["watch"]}}
    policies = rendered(run, chart, given)
    assert {policy["metadata"]["namespace"] for policy in policies} == {"shop", "bank"}
    assert len(policies) == 2 * len([sidecar for sidecar in SIDECARS if sidecar.admin])
    assert all('"values": ["watch"]' in json.dumps(policy) for policy in policies)


# -- the notes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, EVERYTHING, {**INJECT, "labelPrefix": "pods.shop.example"}])
def test_the_notes_name_the_labels_and_the_command_that_shows_the_injection(
    run: Run, chart: Path, given: dict[str, Any]
) -> None:
    file = chart.parent / "values-of-the-notes.json"
    file.write_text(json.dumps(given))
    said = run("helm", "install", "sidecars", chart, "--dry-run=client", "--values", file).stdout
    notes = said.partition("NOTES:\n")[2]
    prefix = given.get("labelPrefix", "sidecars.invalid")
    on = bool(given)
    assert ("kubectl create --dry-run=server -o yaml -f pod.yaml" in notes) is on
    assert (f"kubectl label namespace NAMESPACE {prefix}/inject=on" in notes) is on
    assert (f'{prefix}/adapter: "on"' in notes) is on
    assert ("PodMonitor, rules, dashboards, NetworkPolicy" in notes) is ("monitoring" in given)

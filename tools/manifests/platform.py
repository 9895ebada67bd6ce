"""The platform chart `sidecars-platform`: injection, monitoring and NetworkPolicies for a cluster, each off by default.

It has no Deployment, no RBAC and no CustomResourceDefinition. Alerts, dashboards and the PodMonitor are those of
`deploy/monitoring`, copied into the chart's folder `files`. Their own braces are not those of a template.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from tools import names
from tools.manifests import guard, injection
from tools.manifests.chart_values import (
    BOOLEAN,
    DIGEST,
    DNS_NAME,
    HOST_AND_PATH,
    STRINGS,
    TAG,
    Value,
    listed,
    readme,
    schema,
    schema_text,
    text,
    values_yaml,
)
from tools.manifests.containers import SIDECARS, Sidecar, container
from tools.manifests.injection import Texts
from tools.manifests.library import OWN_IMAGE, chart_yaml
from tools.manifests.yaml_text import Raw, block
from tools.monitoring.alerts.rules import BUDGET

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "deploy/helm/sidecars-platform"
SOURCES = Path(__file__).parent / "templates" / "platform"
LABEL_KEY = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi)?$"
ADAPTER_PORT = 8081
HIGHEST_PORT = 65535


def values() -> tuple[Value, ...]:
    """Return all values of the chart, in the order of values.yaml."""
    actions = {"type": "array", "items": {"enum": ["Warn", "Audit", "Deny"]}, "uniqueItems": True, "maxItems": 2}
    prefix = names.LABEL_PREFIX.rstrip("/")
    found = [
        Value(
            "registry",
            "",
            text(HOST_AND_PATH),
            "registry and path of the images, such as `registry.example/sidecars`; required for the injection",
        ),
        Value("tag", "", text(TAG), f"tag of the images; empty is the chart's version, {names.VERSION}"),
    ]
    for sidecar in _injected():
        meaning = f"digest of the {sidecar.name}'s image, `sha256:…`; it is used in place of the tag"
        found.append(Value(f"digests.{sidecar.name}", "", text(DIGEST), meaning))
    found += [
        Value("labelPrefix", prefix, text(DNS_NAME), "prefix of labels and annotations, a DNS name that is yours"),
        Value("labels", {}, STRINGS, "further labels of all objects, such as those by which Prometheus selects rules"),
        Value("annotations", {}, STRINGS, "further annotations of all objects"),
        Value("inject.enabled", False, BOOLEAN, "the injection policy; Kubernetes 1.36"),
        Value(
            "inject.namespaceLabel",
            "",
            text(LABEL_KEY),
            "key of the label with which a namespace opts in; empty is `<labelPrefix>/inject`",
        ),
        Value(
            "inject.guard",
            list(guard.ACTIONS),
            actions,
            "actions of the guard on a Pod that gets no sidecar: Warn, Audit, Deny; `[]` is no guard",
        ),
    ]
    for sidecar in SIDECARS:
        limits = container(sidecar)["resources"]
        sizes = {
            "cpu": limits["requests"]["cpu"],
            "memory": limits["requests"]["memory"],
            "limit": limits["limits"]["memory"],
        }
        meanings = {"cpu": "CPU request", "memory": "memory request", "limit": "memory limit"}
        found += [
            Value(
                f"inject.resources.{sidecar.name}.{key}", size, text(QUANTITY), f"{meanings[key]} of the {sidecar.name}"
            )
            for key, size in sizes.items()
        ]
    found += [
        Value(
            "monitoring.podMonitor",
            False,
            BOOLEAN,
            "a PodMonitor of all sidecars in all namespaces; needs the Prometheus Operator",
        ),
        Value("monitoring.rules", False, BOOLEAN, "a PrometheusRule with the alerts; needs the Prometheus Operator"),
        Value(
            "monitoring.runbooks",
            "",
            text(),
            "address in place of `https://sidecars.invalid/docs` in the links of alerts and dashboards",
        ),
        Value(
            "monitoring.errorBudget",
            f"{BUDGET:g}",
            text(r"^0\.[0-9]*[1-9][0-9]*$"),
            "share of requests through the ambassador that may fail; the alerts' burn rates are multiples of it",
        ),
        Value("monitoring.dashboards", False, BOOLEAN, "a ConfigMap for each Grafana dashboard"),
        Value(
            "monitoring.dashboardLabels",
            {"grafana_dashboard": "1"},
            STRINGS,
            "labels by which Grafana's loader finds the ConfigMaps",
        ),
        Value(
            "networkPolicy.enabled",
            False,
            BOOLEAN,
            "NetworkPolicies: only monitoring reaches the admin ports and the adapter",
        ),
        Value(
            "networkPolicy.namespaces",
            [],
            listed(text(DNS_NAME)),
            "namespaces that get them; empty is the release's own",
        ),
        Value(
            "networkPolicy.monitoring", ["monitoring"], listed(text(DNS_NAME)), "namespaces from which monitoring comes"
        ),
    ]
    return tuple(found)


def _injected() -> list[Sidecar]:
    """Return the sidecars whose image is one of ours; that of the warcopier is named by each Pod."""
    return [sidecar for sidecar in SIDECARS if sidecar.name != OWN_IMAGE]


# -- the policies -----------------------------------------------------------------------------------------------------

_PREAMBLE = """\
{{- $prefix := .Values.labelPrefix }}
{{- $namespaceLabel := .Values.inject.namespaceLabel | default (printf "%s/inject" $prefix) }}
"""


def _texts() -> Texts:
    """Return what the policies have in a template: variables of it, whose names have no quotes within CEL's quotes."""

    def resources(sidecar: Sidecar) -> dict[str, Any]:
        own = f"$resources.{sidecar.name}"
        requests = {"cpu": f"{{{{ {own}.cpu }}}}", "memory": f"{{{{ {own}.memory }}}}"}
        return {"requests": requests, "limits": {"memory": f"{{{{ {own}.limit }}}}"}}

    return Texts(
        name="{{ .Release.Name }}",
        prefix="{{ $prefix }}",
        namespace_label="{{ $namespaceLabel }}",
        image=lambda name: f"{{{{ $image.{name} }}}}",
        resources=resources,
    )


def _document(document: dict[str, Any]) -> str:
    """Return a document with the chart's labels and annotations below its name."""
    printed = block(document)
    metadata = block({"metadata": document["metadata"]})
    name = block({"name": document["metadata"]["name"]})
    more = '  {{- include "sidecars-platform.metadata" . | nindent 2 }}'
    if printed.count(metadata) != 1:
        raise ValueError(f"{name}: the metadata must stand there once")
    return printed.replace(metadata, f"metadata:\n  {name}\n{more}") + "\n"


def _injection() -> str:
    images = " ".join(
        f'"{each.name}" (include "sidecars-platform.image" (list . "{each.name}"))' for each in _injected()
    )
    texts = _texts()
    documents = "---\n".join(_document(each) for each in [injection.policy(texts), *injection.bindings(texts)])
    too_old = "sidecars-platform: inject.enabled needs Kubernetes 1.36; before, use the library chart or the components"
    return (
        "{{- if .Values.inject.enabled }}\n"
        '{{- if semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version }}\n'
        f'{{{{- fail "{too_old}" }}}}\n'
        "{{- end }}\n"
        f"{_PREAMBLE}{{{{- $resources := .Values.inject.resources }}}}\n{{{{- $image := dict {images} }}}}\n"
        f"{documents}{{{{- end }}}}\n"
    )


def _guard() -> str:
    actions = Raw("{{ toJson .Values.inject.guard }}")
    documents = "---\n".join(_document(each) for each in guard.documents(actions, _texts()))
    return f"{{{{- if and .Values.inject.enabled .Values.inject.guard }}}}\n{_PREAMBLE}{documents}{{{{- end }}}}\n"


# -- NetworkPolicies --------------------------------------------------------------------------------------------------


def ranges(closed: list[int]) -> list[dict[str, int]]:
    """Return all ports but the closed ones, as ranges of a NetworkPolicy."""
    edges = [0, *sorted(closed), HIGHEST_PORT + 1]
    gaps = [(low + 1, high - 1) for low, high in pairwise(edges) if high - low > 1]
    return [{"port": low, "endPort": high} for low, high in gaps]


def network_policy(sidecar: Sidecar) -> dict[str, Any]:
    """Return the NetworkPolicy of the Pods with one sidecar.

    Policies add up: what one allows, no other takes back. So each leaves out the ports of all sidecars. The adapter's
    port is any app's where there is no adapter: the others select only Pods without an adapter.
    """
    admin = [each.admin for each in SIDECARS if each.admin] + [9911]  # the warcopier's, when it watches
    serves = sidecar.name == "adapter"
    selector: dict[str, Any] = {"matchLabels": {f"{{{{ $prefix }}}}/{sidecar.name}": "on"}}
    if not serves:
        other = {"key": "{{ $prefix }}/adapter", "operator": "NotIn", "values": ["on"]}
        selector["matchExpressions"] = [other]
    closed = [*admin, ADAPTER_PORT] if serves else admin
    monitored = [{"port": port} for port in ([ADAPTER_PORT, *sorted(admin)] if serves else sorted(admin))]
    everybody = [*ranges(closed), {"protocol": "UDP", "port": 1, "endPort": HIGHEST_PORT}]
    namespaces = Raw("{{ toJson $.Values.networkPolicy.monitoring }}")
    name = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}
    monitoring = {"namespaceSelector": {"matchExpressions": [name]}}
    return {
        "podSelector": selector,
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": everybody}, {"from": [monitoring], "ports": monitored}],
    }


def _network_policies() -> str:
    lines = ["{{- if .Values.networkPolicy.enabled }}", "{{- $prefix := .Values.labelPrefix }}"]
    lines += ["{{- range $namespace := .Values.networkPolicy.namespaces | default (list .Release.Namespace) }}"]
    for sidecar in SIDECARS:
        if not sidecar.admin:
            continue
        lines += ["---", "apiVersion: networking.k8s.io/v1", "kind: NetworkPolicy", "metadata:"]
        lines += [f"  name: {{{{ $.Release.Name }}}}-{sidecar.name}", "  namespace: {{ $namespace }}"]
        lines += ['  {{- include "sidecars-platform.metadata" $ | nindent 2 }}']
        lines += block({"spec": network_policy(sidecar)}).split("\n")
    return "\n".join([*lines, "{{- end }}", "{{- end }}"]) + "\n"


# -- what monitoring has rendered before -------------------------------------------------------------------------------


def _monitoring() -> dict[str, str]:
    """Return the copies of the files of `deploy/monitoring` that the chart installs.

    Links would do for helm, but not for a copy of the chart's folder alone, nor for tools that leave links out.
    """
    folder = ROOT / "deploy/monitoring"
    paths = [folder / "alerts.yaml", folder / "podmonitor.yaml", *sorted((folder / "dashboards").glob("*.json"))]
    return {f"files/{path.relative_to(folder)}": path.read_text() for path in paths}


# -- the chart --------------------------------------------------------------------------------------------------------


def render() -> dict[str, str]:
    """Return the text of each file of the chart, by its path below the repository's root."""
    description = "Injection of the sidecars by policy, their monitoring and NetworkPolicies; no server"
    head = "# Rendered by `make docs` from tools/manifests; do not edit.\n"
    files = {
        "Chart.yaml": chart_yaml("sidecars-platform", "application", description),
        "values.yaml": head + values_yaml(values()),
        "values.schema.json": schema_text(schema(values(), "values of the chart sidecars-platform")),
        "templates/injection.yaml": _injection(),
        "templates/guard.yaml": _guard(),
        "templates/networkpolicy.yaml": _network_policies(),
        **{f"templates/{path.name}": path.read_text() for path in sorted(SOURCES.iterdir())},
        "README.md": readme(ROOT / FOLDER / "README.md", values()),
        **_monitoring(),
    }
    return {f"{FOLDER}/{name}": content for name, content in files.items()}

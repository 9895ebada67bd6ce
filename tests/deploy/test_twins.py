"""Three ways into a Pod, one container: kubectl with a component, helm with the library chart, the injection policy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.charts import by_kind, rendered, with_library
from tests.deploy.conftest import Run
from tests.deploy.pods import APP, NAMES, VOLUMES, WAR, pod
from tests.deploy.test_components import kustomized, pod_spec, workload
from tests.deploy.test_injection import injected
from tests.support import ROOT
from tools.names import label

REGISTRY = "registry.invalid/sidecars"
SHOP_WAR = WAR[label("warcopier-image")]


def parts(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what the sidecars' ways add to a Pod: the init containers and volumes by name, the group, the token."""
    return {
        "containers": {each["name"]: without_nothing(each) for each in spec["initContainers"]},
        "order": [each["name"] for each in spec["initContainers"]],
        "volumes": {each["name"]: each for each in spec["volumes"]},
        "group": spec["securityContext"].get("fsGroup"),
        "token": spec["automountServiceAccountToken"],
        "app": spec["containers"],
    }


def without_nothing(container: dict[str, Any]) -> dict[str, Any]:
    """Return the container without an empty list of variables, which means the same as none."""
    return {key: value for key, value in container.items() if (key, value) != ("env", [])}


@pytest.fixture(scope="module")
def by_component(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    repository, tag = SHOP_WAR.rsplit(":", 1)
    images = [{"name": f"{REGISTRY}/warcopier", "newName": repository, "newTag": tag}]
    made = kustomized(run, tmp_path_factory.mktemp("component"), workload("Deployment"), images=images)
    return parts(pod_spec(made["Deployment"]))


@pytest.fixture(scope="module")
def by_chart(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    chart = with_library(tmp_path_factory.mktemp("chart"), run)
    (chart / "templates/web.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec:\n  template:\n    spec:\n"
        "      automountServiceAccountToken: false\n"
        '      securityContext: {{- include "sidecars.podSecurityContext" (dict "root" $) | nindent 8 }}\n'
        '      initContainers: {{- include "sidecars.initContainers" (dict "root" $) | nindent 8 }}\n'
        f"      containers: [{{name: {APP['name']}, image: {APP['image']}}}]\n"
        "      volumes:\n        - {name: logs, emptyDir: {}}\n        - {name: webapps, emptyDir: {}}\n"
        '        {{- include "sidecars.volumes" (dict "root" $) | nindent 8 }}\n'
    )
    (chart / "values.yaml").write_text("")
    (chart / "templates/report.yaml").unlink()
    on: dict[str, Any] = {name: {"enabled": True} for name in NAMES}
    on["warcopier"]["image"] = SHOP_WAR
    (deployment,) = by_kind(rendered(run, chart, {"sidecars": {"registry": REGISTRY, **on}}), "Deployment")
    return parts(pod_spec(deployment))


@pytest.fixture(scope="module")
def by_policy() -> dict[str, Any]:
    return parts(injected(pod(*NAMES, annotations=WAR, volumes=VOLUMES))["spec"])


@pytest.mark.parametrize("name", NAMES)
def test_the_three_ways_give_the_same_container(
    by_component: dict[str, Any], by_chart: dict[str, Any], by_policy: dict[str, Any], name: str
) -> None:
    assert by_component["containers"][name] == by_chart["containers"][name] == by_policy["containers"][name]


@pytest.mark.parametrize("part", ["order", "volumes", "group", "token", "app"])
def test_the_three_ways_give_the_same_pod(
    by_component: dict[str, Any], by_chart: dict[str, Any], by_policy: dict[str, Any], part: str
) -> None:
    assert by_component[part] == by_chart[part] == by_policy[part]


def test_the_policy_of_the_chart_is_the_one_in_the_folder_of_policies(run: Run, tmp_path: Path) -> None:
    chart = shutil.copytree(ROOT / "deploy/helm/sidecars-platform", tmp_path / "sidecars-platform")
    made = rendered(run, chart, {"registry": REGISTRY, "inject": {"enabled": True}})
    given = [
        document
        for name in ("inject", "guard")
        for document in yaml.safe_load_all((ROOT / f"deploy/policies/{name}.yaml").read_text())
    ]
    assert {document["metadata"]["name"] + document["kind"]: document["spec"] for document in made} == {
        document["metadata"]["name"] + document["kind"]: document["spec"] for document in given
    }

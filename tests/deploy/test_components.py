"""The kustomize components, applied by the real kubectl: how many containers each kind of workload gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import kubernetes
from tests.deploy.conftest import Run
from tests.support import ROOT
from tools.manifests.containers import SIDECARS
from tools.manifests.kustomize import WORKLOADS
from tools.names import label

NAMES = [sidecar.name for sidecar in SIDECARS]
APP = {"name": "app", "image": "registry.invalid/example/app:1"}
VOLUMES = [{"name": "logs", "emptyDir": {}}, {"name": "webapps", "emptyDir": {}}]
KINDS = {
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ReplicaSet": "apps/v1",
    "Job": "batch/v1", "CronJob": "batch/v1", "Pod": "v1",
}  # fmt: skip


def workload(kind: str, labels: list[str] = NAMES, **pod: Any) -> dict[str, Any]:
    """Return a workload that asks for sidecars by its labels. `pod` has further fields of its Pod."""
    metadata = {"name": f"shop-{kind.lower()}", "labels": {label(name): "on" for name in labels}}
    spec = {"containers": [APP], "volumes": VOLUMES, **pod}
    if kind in ("Job", "CronJob"):
        spec["restartPolicy"] = "Never"
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": spec}
    body: dict[str, Any] = {"template": template}
    if kind == "Pod":
        body = spec
    elif kind == "CronJob":
        body = {"schedule": "17 3 * * *", "jobTemplate": {"spec": body}}
    elif kind != "Job":
        body["selector"] = {"matchLabels": {"app": "shop"}}
    if kind == "StatefulSet":
        body["serviceName"] = "shop"
    return {"apiVersion": KINDS.get(kind, "argoproj.io/v1alpha1"), "kind": kind, "metadata": metadata, "spec": body}


def pod_spec(found: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of the Pod of a workload of any kind."""
    spec: dict[str, Any] = found["spec"]
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    inner: dict[str, Any] = spec.get("template", {}).get("spec", spec)
    return inner


def kustomized(run: Run, folder: Path, *workloads: dict[str, Any], **more: Any) -> dict[str, dict[str, Any]]:
    """Return what kubectl makes of the workloads with all components, by kind."""
    components = [os.path.relpath(ROOT / "deploy/kustomize" / name, folder) for name in reversed(NAMES)]
    (folder / "app.yaml").write_text(yaml.safe_dump_all(workloads))
    (folder / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["app.yaml"], "components": components, **more})
    )
    made = run("kubectl", "kustomize", folder).stdout
    return {document["kind"]: document for document in yaml.safe_load_all(made)}


def init_containers(found: dict[str, Any]) -> list[str]:
    return [container["name"] for container in pod_spec(found).get("initContainers", [])]


@pytest.fixture(scope="module")
def all_kinds(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every kind of workload with all four labels, as kubectl makes it."""
    mine = [{"name": "migrate", "image": "registry.invalid/example/app:1"}]
    folder = tmp_path_factory.mktemp("kinds")
    return kustomized(run, folder, *(workload(kind, initContainers=mine) for kind in (*KINDS, "Rollout")))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_workload_gets_the_four_in_their_order_before_its_own(
    all_kinds: dict[str, dict[str, Any]], kind: str
) -> None:
    assert init_containers(all_kinds[kind]) == [*NAMES, "migrate"]
    assert pod_spec(all_kinds[kind])["containers"] == [APP]
    names = [volume["name"] for volume in pod_spec(all_kinds[kind])["volumes"]]
    assert sorted(names) == sorted({"adapter-rules", "adapter-secrets", "logshipper-state", "logs", "webapps"})


@pytest.mark.parametrize("kind", KINDS)
def test_kubernetes_accepts_the_result_from_the_first_version_with_native_sidecars_on(
    all_kinds: dict[str, dict[str, Any]], kind: str
) -> None:
    kubernetes.accepts([all_kinds[kind]])


@pytest.mark.parametrize("kind", KINDS)
def test_logs_can_be_read_by_the_group_and_no_container_gets_a_token(
    all_kinds: dict[str, dict[str, Any]], kind: str
) -> None:
    assert pod_spec(all_kinds[kind])["securityContext"] == {"fsGroup": 65532}
    assert pod_spec(all_kinds[kind])["automountServiceAccountToken"] is False


def test_the_kinds_are_those_that_the_components_speak_of() -> None:
    assert {*WORKLOADS.split("|"), "CronJob", "Pod"} == set(KINDS)


# -- what gets nothing -------------------------------------------------------------------------------------------------


def test_a_kind_of_others_gets_nothing_and_no_message(all_kinds: dict[str, dict[str, Any]]) -> None:
    assert init_containers(all_kinds["Rollout"]) == ["migrate"]


def test_a_label_that_the_same_kustomization_adds_selects_nothing(run: Run, tmp_path: Path) -> None:
    labels = [{"pairs": {label(name): "on" for name in NAMES}, "includeTemplates": True}]
    made = kustomized(run, tmp_path, workload("Deployment", labels=[]), labels=labels)["Deployment"]
    assert made["metadata"]["labels"][label("adapter")] == "on"
    assert init_containers(made) == []


def test_a_label_of_the_base_selects(run: Run, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "app.yaml").write_text(yaml.safe_dump(workload("Deployment", labels=[])))
    labels = [{"pairs": {label("adapter"): "on"}}]
    (base / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["app.yaml"], "labels": labels}))
    component = os.path.relpath(ROOT / "deploy/kustomize/adapter", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["base"], "components": [component]}))
    made = yaml.safe_load(run("kubectl", "kustomize", tmp_path).stdout)
    assert init_containers(made) == ["adapter"]


@pytest.mark.parametrize("value", ["true", "On", ""])
def test_a_label_with_another_value_selects_nothing(run: Run, tmp_path: Path, value: str) -> None:
    asking = workload("Deployment", labels=[])
    asking["metadata"]["labels"] = {label("adapter"): value}
    assert init_containers(kustomized(run, tmp_path, asking)["Deployment"]) == []


def test_a_label_of_the_pods_template_selects_nothing(run: Run, tmp_path: Path) -> None:
    asking = workload("Deployment", labels=[])
    asking["spec"]["template"]["metadata"]["labels"][label("adapter")] = "on"
    assert init_containers(kustomized(run, tmp_path, asking)["Deployment"]) == []


# -- what a kustomization of ones own changes --------------------------------------------------------------------------


def test_images_config_maps_and_the_fs_group_are_the_workloads_to_choose(run: Run, tmp_path: Path) -> None:
    repository = "registry.invalid/sidecars/logshipper"
    patch = {"op": "replace", "path": "/spec/template/spec/securityContext/fsGroup", "value": 1000}
    base, overlay = tmp_path / "base", tmp_path / "overlay"
    base.mkdir()
    overlay.mkdir()
    kustomized(
        run,
        base,
        workload("Deployment", labels=["logshipper"]),
        configMapGenerator=[{"name": "logshipper", "literals": ["LOGSHIPPER_PATHS=/logs/*.log"]}],
        images=[{"name": repository, "newName": "registry.example/logshipper", "digest": f"sha256:{'0' * 64}"}],
    )
    (overlay / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": ["../base"],
                "patches": [{"target": {"kind": "Deployment"}, "patch": yaml.safe_dump([patch])}],
            }
        )
    )
    made = list(yaml.safe_load_all(run("kubectl", "kustomize", overlay).stdout))
    config, found = sorted(made, key=lambda document: str(document["kind"]))
    (shipper,) = pod_spec(found)["initContainers"]
    assert shipper["image"] == f"registry.example/logshipper@sha256:{'0' * 64}"
    assert shipper["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"], "optional": False}}]
    assert config["metadata"]["name"].startswith("logshipper-")
    assert pod_spec(found)["securityContext"] == {"fsGroup": 1000}

"""The node agent by the real kubectl: valid for each version of Kubernetes, with the rights that it needs alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from sidecars.chassis.config.effective_settings import declared_roots
from sidecars.chassis.config.memory_ledger import SHARE
from sidecars.chassis.config.settings import load
from sidecars.chassis.isolation import roots
from sidecars.logshipper.input import discovery
from sidecars.logshipper.settings import Settings
from tests.deploy import kubernetes
from tests.deploy.conftest import Run
from tests.repo.test_memory_ledgers import ledger_of
from tests.support import ROOT

FOLDER = ROOT / "examples/node-agent/kubernetes"


@pytest.fixture(scope="module")
def made(run: Run) -> dict[str, dict[str, Any]]:
    documents = list(yaml.safe_load_all(run("kubectl", "kustomize", FOLDER).stdout))
    assert len(documents) == 4
    return {document["kind"]: document for document in documents}


@pytest.fixture(scope="module")
def spec(made: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = made["DaemonSet"]["spec"]["template"]["spec"]
    return found


@pytest.fixture(scope="module")
def environ(made: dict[str, dict[str, Any]], spec: dict[str, Any]) -> dict[str, str]:
    """Return the variables of the container, as a Pod `node-agent-x` in `logging` gets them."""
    (container,) = spec["containers"]
    config = made["ConfigMap"]
    assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
    pod = {"POD_NAME": "node-agent-x", "POD_NAMESPACE": "logging", "NODE_NAME": "node-1"}
    values = {item["name"]: item["value"] for item in container["env"] if "value" in item}
    for name, value in pod.items():
        values = {key: text.replace(f"$({name})", value) for key, text in values.items()}
    found: dict[str, str] = {**config["data"], **pod, **values}
    return found


def test_it_and_its_pods_are_valid_for_each_version_of_kubernetes(made: dict[str, dict[str, Any]]) -> None:
    kubernetes.accepts([*made.values(), *yaml.safe_load_all((FOLDER / "pods.yaml").read_text())])


def test_it_is_root_with_one_capability_and_nothing_else_that_the_restricted_profile_forbids(
    spec: dict[str, Any],
) -> None:
    (container,) = spec["containers"]
    context = container["securityContext"]
    assert (context["runAsUser"], context["runAsNonRoot"]) == (0, False)
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "privileged" not in context
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & spec.keys()


def test_it_has_no_token_and_no_rights_in_the_api(made: dict[str, dict[str, Any]], spec: dict[str, Any]) -> None:
    assert spec["automountServiceAccountToken"] is False
    assert made.keys() == {"Namespace", "ConfigMap", "DaemonSet", "NetworkPolicy"}
    labels = made["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


def test_the_pods_files_are_read_only_and_its_state_is_the_one_other_mount(
    spec: dict[str, Any], environ: dict[str, str]
) -> None:
    (container,) = spec["containers"]
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"]}
    mounts = {
        mount["mountPath"]: (paths[mount["name"]], mount.get("readOnly", False)) for mount in container["volumeMounts"]
    }
    assert mounts == {"/var/log/pods": ("/var/log/pods", True), "/state": ("/var/lib/logshipper", False)}
    assert str(load(Settings, environ).state_dir) == "/state"


def test_landlock_allows_the_pods_files_for_reading_and_the_state_for_writing(environ: dict[str, str]) -> None:
    declared = {str(root.path): root.access for root in declared_roots(load(Settings, environ), environ)}
    assert declared["/var/log/pods"] & ~(roots.READ_FILE | roots.READ_DIR) == 0
    assert declared["/state"] & roots.WRITE_FILE


def test_its_own_pod_is_not_read_and_that_of_another_namespace_with_its_name_is(environ: dict[str, str]) -> None:
    inputs = load(Settings, environ).inputs
    assert discovery.inputs_of("/var/log/pods/logging_node-agent-x_ff/logshipper/0.log", inputs) == []
    assert discovery.inputs_of("/var/log/pods/shop_node-agent-x_ff/logshipper/0.log", inputs) == ["default"]
    assert discovery.inputs_of("/var/log/pods/shop_web_ff/app/0.log.20261130-101112.tmp", inputs) == []


def test_what_it_may_take_at_most_fits_into_its_memory_limit(spec: dict[str, Any], environ: dict[str, str]) -> None:
    (container,) = spec["containers"]
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Mi")) << 20
    assert ledger_of("logshipper", environ).total <= SHARE * limit

"""Manifests keep the containers of a Pod apart: users, mounts of state and secrets, tokens, processes, ports.

A rule here is one of SECURITY.md's conditions: what the sidecars promise beside a hostile container holds with these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.repo.test_examples import pod_spec, sidecar_of
from tests.support import ROOT

USERS = {"warcopier": 64911, "logshipper": 64912, "ambassador": 64913, "adapter": 64914}
ADMIN_PORTS = {"warcopier": 9911, "logshipper": 9912, "ambassador": 9913, "adapter": 9914}
PODS = sorted(
    path for path in (ROOT / "examples").glob("*/*.yaml") if path.name not in ("compose.yaml", "prometheus.yml")
)
COMPOSE = sorted((ROOT / "examples").glob("*/compose.yaml"))
KUSTOMIZATIONS = sorted((ROOT / "deploy" / "kustomize").glob("*/kustomization.yaml"))
COMPONENTS = [path for path in KUSTOMIZATIONS if "kind: Component" in path.read_text()]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def documents(path: Path) -> list[dict[str, Any]]:
    if path in COMPONENTS:
        patches = yaml.safe_load(path.read_text())["patches"]
        texts = [patch.get("patch") or (path.parent / patch["path"]).read_text() for patch in patches]
        return [yaml.safe_load(text) for text in texts]
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def pod_specs(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the spec of each Pod, or template of Pods, in a file."""
    for document in documents(path):
        if spec := pod_spec(document):
            yield spec


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def user(spec: dict[str, Any], container: dict[str, Any]) -> int:
    context = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
    return int(context["runAsUser"])


def mounts(container: dict[str, Any]) -> dict[str, str]:
    """Return the volume of each path at which one is mounted."""
    return {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}


@pytest.mark.parametrize("path", [*PODS, *COMPONENTS], ids=name_of)
def test_no_two_containers_of_a_pod_have_one_user_and_each_sidecar_has_its_own(path: Path) -> None:
    for spec in pod_specs(path):
        users = {container["name"]: user(spec, container) for container in containers(spec)}
        assert len(set(users.values())) == len(users), users
        for container in containers(spec):
            own = USERS.get(sidecar_of(container["image"]))
            assert own is None or users[container["name"]] == own, container["name"]
            assert own is not None or users[container["name"]] not in USERS.values(), container["name"]


@pytest.mark.parametrize("path", COMPOSE, ids=name_of)
def test_no_two_containers_in_one_network_of_compose_have_one_user(path: Path) -> None:
    services = documents(path)[0]["services"]
    profiles = {tuple(service.get("profiles", [])) for service in services.values()}
    for profile in profiles:
        together = {
            name: service
            for name, service in services.items()
            if tuple(service.get("profiles", [])) == profile
            and (name == "pod" or service.get("network_mode") == "service:pod" or profile)
        }
        users = {name: service["user"].partition(":")[0] for name, service in together.items()}
        assert len(set(users.values())) == len(users), users
        for name, service in together.items():
            own = USERS.get(sidecar_of(service["image"]))
            assert own is None or users[name] == str(own), name


@pytest.mark.parametrize("path", [*PODS, *COMPONENTS], ids=name_of)
def test_no_pod_gets_a_service_accounts_token(path: Path) -> None:
    specs = list(pod_specs(path))
    assert specs
    assert all(spec["automountServiceAccountToken"] is False for spec in specs)


@pytest.mark.parametrize("path", [*PODS, *COMPONENTS], ids=name_of)
def test_state_and_secrets_lie_on_mounts_that_no_other_container_has(path: Path) -> None:
    for spec in pod_specs(path):
        secret = {volume["name"] for volume in spec.get("volumes", []) if "secret" in volume}
        for container in containers(spec):
            environ = {item["name"]: item.get("value", "") for item in container.get("env", [])}
            own = secret & set(mounts(container).values())
            if sidecar_of(container["image"]) == "logshipper":
                state = environ.get("LOGSHIPPER_STATE_DIR", "/state")
                assert state in mounts(container), "the state has a mount of its own"
                own = own | {mounts(container)[state]}
            others = {
                volume for other in containers(spec) if other is not container for volume in mounts(other).values()
            }
            assert own & others == set(), container["name"]


@pytest.mark.parametrize("path", COMPOSE, ids=name_of)
def test_in_compose_too_the_state_has_a_volume_of_its_own(path: Path) -> None:
    services = documents(path)[0]["services"]
    volumes = {name: [text.split(":")[:2] for text in service.get("volumes", [])] for name, service in services.items()}
    for name, service in services.items():
        if sidecar_of(service["image"]) == "logshipper":
            (state,) = [volume for volume, place in volumes[name] if place == "/state"]
            assert [other for other in services if state in [volume for volume, _ in volumes[other]]] == [name]


@pytest.mark.parametrize("path", [*PODS, *COMPONENTS], ids=name_of)
def test_the_logs_are_read_only_for_the_logshipper(path: Path) -> None:
    for spec in pod_specs(path):
        for container in containers(spec):
            if sidecar_of(container["image"]) == "logshipper":
                (logs,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == "/logs"]
                assert logs["readOnly"] is True


@pytest.mark.parametrize("path", [*PODS, *COMPONENTS, *COMPOSE], ids=name_of)
def test_processes_are_shared_with_nobody_unless_a_comment_says_why(path: Path) -> None:
    for line in path.read_text().splitlines():
        if re.match(r"\s*(shareProcessNamespace|hostPID|hostNetwork|pid|ipc):", line):
            assert "#" in line, line


@pytest.mark.parametrize("path", [path for path in PODS if path.name == "pod.yaml"], ids=name_of)
def test_only_the_monitoring_system_reaches_the_admin_ports_and_the_adapter(path: Path) -> None:
    pod = next(document for document in documents(path) if document["kind"] == "Pod")
    policies = [document for document in documents(path) if document["kind"] == "NetworkPolicy"]
    labels = pod["metadata"]["labels"]
    (policy,) = [one for one in policies if one["spec"]["podSelector"]["matchLabels"] == labels]
    assert "CNI" in path.read_text()
    guarded = set()
    for container in containers(pod["spec"]):
        name = sidecar_of(container["image"])
        if name in ADMIN_PORTS and container.get("restartPolicy") == "Always":
            guarded |= {ADMIN_PORTS[name], *([8081] if name == "adapter" else [])}
    for rule in policy["spec"]["ingress"]:
        ports = {item["port"] for item in rule["ports"]}
        if "from" not in rule:
            assert not ports & guarded
        else:
            assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}} in rule["from"]
            guarded -= ports
    assert guarded == set(), "a port that nobody may reach: monitoring would be blind"

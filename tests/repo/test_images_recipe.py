"""The Dockerfile, the table of images and the deployments agree. These checks need no engine."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml

from tests.support import ROOT
from tools.names import label, official

NAMES = sorted(path.parent.name for path in (ROOT / "sidecars").glob("*/__main__.py"))
EXAMPLE = ROOT / "examples/tomcat"
COMPONENTS = ROOT / "deploy/kustomize"
RECIPE = (ROOT / "Dockerfile").read_text()
TABLE = (ROOT / "docker-bake.hcl").read_text()
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def stage(name: str) -> str:
    """Return the instructions of one stage of the Dockerfile."""
    found = re.search(rf"^FROM [^\n]* AS {name}\n(.*?)(?=^FROM |\Z)", RECIPE, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())
    return loaded


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLE / "pod.yaml").read_text()))


def pod() -> dict[str, Any]:
    found: dict[str, Any] = next(document["spec"] for document in manifests() if document["kind"] == "Pod")
    return found


# -- the recipe ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sidecar", "infra"])
def test_a_final_image_begins_with_nothing_runs_as_a_numbered_user_and_starts_without_a_shell(name: str) -> None:
    assert f"FROM scratch AS {name}\n" in RECIPE
    assert "USER 65532:65532\n" in stage(name)
    assert re.search(r'^ENTRYPOINT \["/', stage(name), re.MULTILINE)
    assert "RUN " not in stage(name)


def test_a_sidecars_image_checks_its_own_health_without_a_shell() -> None:
    assert re.search(r'^HEALTHCHECK .*CMD \["/', stage("sidecar"), re.MULTILINE)


def test_the_layer_that_the_images_share_does_not_depend_on_the_sidecar() -> None:
    assert "SIDECAR" not in stage("debian")
    assert "SIDECAR" not in stage("runtime")


def test_a_machine_is_named_in_one_stage_and_nowhere_else() -> None:
    instructions = re.sub(r"^#.*\n", "", RECIPE.replace(stage("builder"), ""), flags=re.MULTILINE)
    assert re.search(r"amd64.*x86_64.*\n.*arm64.*aarch64", stage("builder"))
    assert not re.search(r"x86.64|amd64|aarch64|arm64", instructions)


def test_every_stage_that_runs_something_runs_on_the_builders_machine_and_leaves_the_target_alone() -> None:
    """So no image needs emulation. A stage that begins with another one has its platform."""
    begins = dict(re.findall(r"^FROM (.*) AS (\S+)", RECIPE, re.MULTILINE)).items()
    platforms = {name: base for base, name in begins}
    assert platforms["debian"] == "--platform=${BUILDPLATFORM} ${BASE}"
    assert {base for name, base in platforms.items() if name != "debian"} == {"scratch", "debian", "builder", "target"}
    assert "chroot" not in RECIPE
    assert "ldd " not in RECIPE


def test_packages_are_installed_by_hash_and_never_compiled() -> None:
    assert "--require-hashes --only-binary :all:" in stage("packages")


def test_only_the_base_image_comes_from_elsewhere_and_no_registry_is_named() -> None:
    sources = re.findall(r"^FROM (?:--platform=\S+ )?(\S+)", RECIPE, re.MULTILINE)
    assert set(sources) == {"${BASE}", "scratch", "debian", "builder", "target"}
    assert f"ARG BASE={official('debian')}\n" in RECIPE
    assert f'variable "BASE" {{ default = "{official("debian")}" }}' in TABLE


def test_pause_is_built_with_the_documented_flags() -> None:
    documented = re.search(r"^cc (.*) -o pause", (ROOT / "infra/README.md").read_text(), re.MULTILINE)
    assert documented is not None
    assert documented[1] in stage("pause")


# -- the table ----------------------------------------------------------------------------------------------------


def test_every_variable_of_the_table_is_described() -> None:
    lines = TABLE.splitlines()
    bare = [line for before, line in pairwise(lines) if line.startswith("variable") and before[:1] != "#"]
    assert bare == []


# -- the example --------------------------------------------------------------------------------------------------


def test_the_war_is_the_same_bytes_each_time_it_is_packed(tmp_path: Path) -> None:
    wars = [tmp_path / "first.war", tmp_path / "second.war"]
    for war in wars:
        subprocess.run([sys.executable, EXAMPLE / "pack.py", EXAMPLE / "webapp", war], check=True)
    assert wars[0].read_bytes() == wars[1].read_bytes()
    with zipfile.ZipFile(wars[0]) as archive:
        assert {"index.jsp", "offer.jsp", "WEB-INF/web.xml"} <= set(archive.namelist())


def test_a_war_of_ones_own_gets_into_the_image_and_a_shop_war_takes_the_place_of_the_examples() -> None:
    """tests/images builds it; this checks the files that the engine gets."""
    ignored = (EXAMPLE / ".dockerignore").read_text().splitlines()
    assert "!artifacts" in ignored
    assert not [line for line in ignored if line.endswith(".war")]
    recipe = (EXAMPLE / "Dockerfile").read_text()
    steps = ['"/wars/shop.war"', "COPY artifacts /wars/", "COPY --from=pack /wars /artifacts/"]
    assert sorted(steps, key=recipe.index) == steps


def test_every_container_of_the_compose_file_keeps_what_the_restricted_profile_asks_for() -> None:
    for name, service in compose()["services"].items():
        assert re.fullmatch(r"[1-9]\d+:65532", service["user"]), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_in_compose_all_of_the_pod_share_its_network_and_only_the_pod_publishes_and_on_loopback() -> None:
    services = compose()["services"]
    joined = {name for name, service in services.items() if service.get("network_mode") == "service:pod"}
    assert joined == {"warcopier", "logshipper", "ambassador", "adapter", "tomcat"}
    assert [name for name, service in services.items() if "ports" in service] == ["pod"]
    assert all(port.startswith("127.0.0.1:") for port in services["pod"]["ports"])


def test_compose_and_kubernetes_give_the_sidecars_the_same_settings() -> None:
    services = compose()["services"]
    for container in pod()["initContainers"]:
        plain = {item["name"]: item["value"] for item in container.get("env", []) if "value" in item}
        assert plain == services[container["name"]].get("environment", {}), container["name"]


def test_in_kubernetes_the_warcopier_ends_before_the_native_sidecars_start() -> None:
    policies = [(container["name"], container.get("restartPolicy")) for container in pod()["initContainers"]]
    assert policies == [
        ("warcopier", None),
        ("logshipper", "Always"),
        ("ambassador", "Always"),
        ("adapter", "Always"),
    ]


def test_every_volume_of_the_pod_that_can_grow_has_a_limit() -> None:
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod()["volumes"] if "emptyDir" in volume)


def test_the_config_map_is_the_server_xml_of_the_folder() -> None:
    config = next(document for document in manifests() if document["kind"] == "ConfigMap")
    assert config["data"]["server.xml"] == (EXAMPLE / "server.xml").read_text()


# -- the components -----------------------------------------------------------------------------------------------


def component(name: str) -> dict[str, Any]:
    """Return the first patch of a Component, a strategic merge into a workload."""
    loaded = yaml.safe_load((COMPONENTS / name / "kustomization.yaml").read_text())
    assert (loaded["apiVersion"], loaded["kind"]) == ("kustomize.config.k8s.io/v1alpha1", "Component")
    assert {patch["target"]["labelSelector"] for patch in loaded["patches"]} == {f"{label(name)}=on"}
    merged: dict[str, Any] = yaml.safe_load(loaded["patches"][0]["patch"])
    return merged


@pytest.mark.parametrize("name", NAMES)
def test_a_component_adds_one_restricted_container_that_kubernetes_accepts(name: str) -> None:
    workload = component(name)
    spec = workload["spec"]["template"]["spec"]
    (added,) = spec["initContainers"]
    assert added["name"] == name
    assert added["securityContext"].items() >= {**RESTRICTED, "runAsNonRoot": True}.items()
    assert added["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert added.get("restartPolicy") == (None if name == "warcopier" else "Always")
    # Logs of mode 0640 are read by their group, and the group of a volume is the Pod's to set.
    assert spec.get("securityContext") == ({"fsGroup": 65532} if name == "logshipper" else None)
    # The result of kustomize, with a workload of one container:
    spec["containers"] = [{"name": "app", "image": "app"}]
    workload["spec"]["selector"] = {"matchLabels": {"app": "app"}}
    workload["spec"]["template"]["metadata"] = {"labels": {"app": "app"}}
    kubernetes_validate.validate(workload, "1.33", strict=True)


def native_sidecars() -> list[str]:
    """Return the sidecars of the example's Pod that keep running; the copier ends before the app starts."""
    return [container["name"] for container in pod()["initContainers"] if container.get("restartPolicy") == "Always"]


@pytest.mark.parametrize("name", [name for name in NAMES if name in native_sidecars()])
def test_a_component_and_the_example_probe_a_sidecar_alike(name: str) -> None:
    (added,) = component(name)["spec"]["template"]["spec"]["initContainers"]
    (shown,) = [container for container in pod()["initContainers"] if container["name"] == name]
    for field in ("startupProbe", "livenessProbe", "readinessProbe", "ports"):
        assert added.get(field) == shown.get(field), field

"""The manifests and compose files of the examples are valid, and each variable that they set exists."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml

from sidecars.chassis.config.settings import SettingsError, load
from tests.support import ROOT
from tools.names import EXAMPLES, REGISTRY, SIDECARS, repository

MANIFESTS = sorted((ROOT / "examples").glob("*/*.yaml"))
PODS = [path for path in MANIFESTS if path.name != "compose.yaml"]
KUBERNETES = [f"1.{minor}" for minor in range(29, 38)]
# Images that a Dockerfile of an example derives from one of ours.
DERIVED = {f"{EXAMPLES}/{name}": "warcopier" for name in ("shop-war", "hot-redeploy-war", "report")}
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")  # the default of a variable in a compose file


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def pod_spec(document: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of a Pod, or of the Pods of a workload; {} of anything else."""
    spec = document.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    found = spec.get("template", {}).get("spec", spec)
    return found if isinstance(found, dict) and ("containers" in found or "initContainers" in found) else {}


def containers(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the containers of a file that are sidecars: the name, and the environment in the file."""
    for document in documents(path):
        if "services" in document:
            for service in document["services"].values():
                yield from _ours(str(service.get("image", "")), service.get("environment") or {})
            continue
        spec = pod_spec(document)
        for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
            environ = {item["name"]: item.get("value", "from-the-cluster") for item in container.get("env", [])}
            yield from _ours(container["image"], environ)


def sidecar_of(image: str) -> str:
    """Return the sidecar of an image, also of one in a compose file, or "infra"; "" for an image of somebody else."""
    name = repository(DEFAULT.sub(r"\1", image))
    return DERIVED.get(name) or (name.removeprefix(f"{REGISTRY}/") if name.startswith(f"{REGISTRY}/") else "")


def _ours(image: str, environ: dict[str, Any] | list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    if (name := sidecar_of(image)) in SIDECARS:
        pairs = environ.items() if isinstance(environ, dict) else (item.split("=", 1) for item in environ)
        yield name, {str(key): DEFAULT.sub(r"\1", str(value)) for key, value in pairs}


def test_there_are_examples() -> None:
    assert any(path.name == "compose.yaml" for path in MANIFESTS)
    assert PODS


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_variable_given_to_one_of_our_images_is_a_valid_setting(path: Path) -> None:
    found = list(containers(path))
    for name, environ in found:
        settings = import_module(f"sidecars.{name}.settings").Settings
        try:
            load(settings, environ)
        except SettingsError as error:
            pytest.fail(f"{path.name}, {name}: {error}")
    assert found, "an example without one of our images"


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_manifest_is_valid_for_kubernetes(version: str) -> None:
    for path in PODS:
        for document in documents(path):
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("path", PODS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_manifest_keeps_to_the_restricted_profile(path: Path) -> None:
    for document in documents(path):
        spec = pod_spec(document)
        for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
            context = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
            assert context["runAsNonRoot"] is True, container["name"]
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, container["name"]
            assert context["allowPrivilegeEscalation"] is False, container["name"]
            assert context["readOnlyRootFilesystem"] is True, container["name"]
            assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]


# -- the app starts when its logshipper is ready, or lines that it rotates away before that are lost -------------------


@pytest.mark.parametrize("path", PODS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_in_kubernetes_a_logshipper_is_a_native_sidecar_that_holds_the_app_back_until_it_is_ready(path: Path) -> None:
    for document in documents(path):
        spec = pod_spec(document)
        assert not [item for item in spec.get("containers", []) if sidecar_of(item["image"]) == "logshipper"]
        for container in spec.get("initContainers", []):
            if sidecar_of(container["image"]) == "logshipper":
                assert container["restartPolicy"] == "Always"
                assert container["startupProbe"]["httpGet"]["path"] == "/readyz"
                assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("path", sorted(set(MANIFESTS) - set(PODS)), ids=lambda path: path.parent.name)
def test_in_compose_whoever_writes_to_a_volume_of_logs_waits_for_the_logshipper_to_be_ready(path: Path) -> None:
    (compose,) = documents(path)
    services = compose["services"]
    for name, shipper in services.items():
        if sidecar_of(shipper["image"]) != "logshipper":
            continue
        assert shipper["healthcheck"]["test"] == ["CMD", "/usr/local/bin/probe", "/readyz"]
        logs = {volume.split(":")[0] for volume in shipper["volumes"] if "logs" in volume}
        mounts = {item: {volume.split(":")[0] for volume in services[item].get("volumes", [])} for item in services}
        writers = [item for item, volumes in mounts.items() if logs & volumes]
        assert len(writers) > 1
        for writer in set(writers) - {name}:
            assert services[writer]["depends_on"][name] == {"condition": "service_healthy"}, writer


# -- the programs of the examples --------------------------------------------------------------------------------------

RECIPES = sorted(path for path in (ROOT / "examples").glob("*/Dockerfile") if "from=locks" in path.read_text())
STAGE = re.compile(r"^FROM \$\{PYTHON\} AS python\n(.*?)\n\n", re.MULTILINE | re.DOTALL)


def test_the_stage_of_the_packages_is_the_same_in_each_recipe_so_that_it_is_one_layer() -> None:
    stages = {path.parent.name: STAGE.findall(path.read_text()) for path in RECIPES}
    (first, *_) = stages.values()
    assert len(first) == 1
    examples = ("ambassador", "grpc", "health-adapter", "log-shipping", "node-agent", "tomcat")
    assert stages == dict.fromkeys(examples, first)
    assert "--require-hashes --only-binary :all:" in first[0]


def test_every_build_of_a_program_has_the_lock_and_the_bundle_of_a_proxy() -> None:
    checked = set()
    for path in sorted(set(MANIFESTS) - set(PODS)):
        (compose,) = documents(path)
        for name, service in compose["services"].items():
            build = service.get("build", ".")
            if isinstance(build, str) or build["target"] == "war":  # they have no packages
                continue
            assert (path.parent / build["context"] / "Dockerfile").resolve() in RECIPES
            assert build["additional_contexts"] == {"locks": "../../locks"}, (path, name)
            assert build["secrets"] == ["ca"], (path, name)
            checked.add(build["target"])
    programs = {"app", "service", "payments", "tickets", "orders", "monitor", "backend", "logreceiver"}
    assert checked == programs | {"node", "collector", "view", "objects", "traces"}


def test_the_programs_import_the_standard_library_and_what_the_lock_of_the_examples_has() -> None:
    allowed = {"aiohttp", "google", "grpc", "httpx", "opentelemetry", *sys.stdlib_module_names}
    for path in (ROOT / "examples").glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, path

"""All lists of the sidecars agree: folders, extras, locks, images, READMEs, contracts."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib import import_module, metadata
from typing import Any

import pytest

from sidecars.chassis import siblings
from sidecars.chassis.config.settings import ServiceSettings, Settings, specs
from tests.support import ROOT

NAMES = sorted(path.parent.name for path in (ROOT / "sidecars").glob("*/__main__.py"))
INJECTED = re.compile(r".*_(PORT|PORT_.*|SERVICE_HOST|SERVICE_PORT)")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def settings_of(name: str) -> type[Settings]:
    cls: type[Settings] = import_module(f"sidecars.{name}.settings").Settings
    return cls


def test_there_are_the_four_sidecars() -> None:
    assert {"adapter", "ambassador", "logshipper", "warcopier"} <= set(NAMES)


def test_every_sidecar_has_an_extra_and_every_extra_a_lock() -> None:
    extras = project()["project"]["optional-dependencies"]
    assert (
        sorted(
            set(extras)
            - {"browser", "compile", "demo", "dev", "examples", "fuzz", "peers", "scan", "site", "store", "top"}
        )
        == NAMES
    )
    tools = {"kube"}  # programs for the tests that are no packages of Python: tools/kube.py
    assert {path.stem for path in (ROOT / "locks").iterdir()} == {*extras, *tools}


def test_every_sidecar_is_an_image_and_every_image_a_sidecar_or_infra() -> None:
    table = re.findall(r'\{ name = "(\w+)"', (ROOT / "docker-bake.hcl").read_text())
    assert sorted(table) == NAMES


def test_every_sidecar_has_a_row_in_the_readme_that_leads_to_its_own() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in NAMES:
        assert re.search(rf"^\| `{name}` \|.*\(sidecars/{name}/README\.md\) \|$", readme, re.MULTILINE)


def test_every_sidecar_is_in_the_contract_that_none_imports_another() -> None:
    contracts = project()["tool"]["importlinter"]["contracts"]
    independent, _ = next(contract["layers"] for contract in contracts if "sidecars.chassis" in contract["layers"])
    assert sorted(independent.split(" | ")) == [f"sidecars.{name}" for name in NAMES]
    [unknown_to_top] = [contract["modules"] for contract in contracts if "sidecars.top" in contract.get("modules", ())]
    assert set(unknown_to_top) == {f"sidecars.{name}" for name in (*NAMES, "top")}


@pytest.mark.parametrize("name", NAMES)
def test_a_sidecar_has_its_readme_tests_benchmark_and_component(name: str) -> None:
    assert (ROOT / "sidecars" / name / "README.md").is_file()
    assert list((ROOT / "tests" / name).glob("test_*.py"))
    assert (ROOT / "benchmarks" / f"{name}.py").is_file()
    assert (ROOT / "deploy" / "kustomize" / name / "kustomization.yaml").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_a_sidecar_says_who_it_is(name: str) -> None:
    assert settings_of(name).PREFIX == name.upper()


@pytest.mark.parametrize("name", NAMES)
def test_no_setting_has_a_name_that_kubernetes_injects_for_a_service(name: str) -> None:
    assert [spec.variable for spec in specs(settings_of(name)) if INJECTED.fullmatch(spec.variable)] == []


def test_no_two_sidecars_share_an_admin_port_since_a_pod_shares_one_network() -> None:
    services = [settings_of(name) for name in NAMES if issubclass(settings_of(name), ServiceSettings)]
    ports = [spec.default for cls in services for spec in specs(cls) if spec.field == "admin_listen"]
    assert len(set(ports)) == len(services)
    assert "off" not in ports


def test_siblings_are_asked_on_the_admin_ports_of_the_settings() -> None:
    defaults = {
        name: int(spec.default.removeprefix(":"))
        for name in NAMES
        for spec in specs(settings_of(name))
        if spec.field == "admin_listen" and spec.default
    }
    assert dict(siblings.PORTS) == defaults


@pytest.mark.parametrize("name", NAMES)
def test_a_sidecar_imports_only_what_its_extra_installs(name: str) -> None:
    allowed = {"sidecars"} | set(sys.stdlib_module_names)
    for requirement in project()["project"]["optional-dependencies"][name]:
        distribution = re.split(r"[<>=!~ ]", requirement)[0]
        top = metadata.distribution(distribution).read_text("top_level.txt")
        allowed |= set(top.split()) if top else {distribution.replace("-", "_")}
    for path in (ROOT / "sidecars" / name).rglob("*.py"):
        assert _imported(path.read_text()) <= allowed, path


def _imported(source: str) -> set[str]:
    """Return the top-level packages that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute here"
            found.add(node.module.partition(".")[0])
    return found

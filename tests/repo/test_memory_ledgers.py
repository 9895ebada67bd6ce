"""What each sidecar may take at most fits into the memory limit of every manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecars.chassis.config.memory_ledger import MIB, SHARE, Entry, MemoryLedger
from sidecars.chassis.config.settings import load
from tests.repo.test_examples import pod_spec, sidecar_of
from tests.support import ROOT

MANIFESTS = sorted([*(ROOT / "examples").glob("*/*.yaml"), *(ROOT / "deploy/kustomize").glob("*/kustomization.yaml")])
REQUIRED = {  # of a component, which a workload's ConfigMap completes
    "logshipper": {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "http://collector:8080/"},
    "ambassador": {"AMBASSADOR_UPSTREAM": "http://orders"},
}
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def ledger_of(name: str, environ: Mapping[str, str]) -> MemoryLedger:
    settings = load(import_module(f"sidecars.{name}.settings").Settings, environ, read_file=lambda _: "placeholder")
    found: MemoryLedger = import_module(f"sidecars.{name}.memory").ledger(settings)
    return found


def documents(path: Path) -> Iterator[dict[str, Any]]:
    for document in yaml.safe_load_all(path.read_text()):
        for patch in (document or {}).get("patches", ()):
            yield yaml.safe_load(patch.get("patch", "{}"))
        yield document or {}


def limited() -> Iterator[tuple[str, str, dict[str, str], int]]:
    """Yield file, sidecar, environment and memory limit of each container of ours that has a limit."""
    for path in MANIFESTS:
        for document in documents(path):
            spec = pod_spec(document) if isinstance(document, dict) else {}
            for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
                name = sidecar_of(container.get("image", ""))
                limit = container.get("resources", {}).get("limits", {}).get("memory")
                if name in ("warcopier", "logshipper", "ambassador", "adapter") and limit:
                    environ = {item["name"]: item.get("value", "from-the-cluster") for item in container.get("env", ())}
                    if path.is_relative_to(ROOT / "deploy"):
                        environ = {**REQUIRED.get(name, {}), **environ}
                    yield str(path.relative_to(ROOT)), name, environ, int(limit[:-2]) * UNITS[limit[-2:]]


FOUND = list(limited())


def test_every_component_and_every_pod_is_among_the_manifests() -> None:
    assert {file for file, *_ in FOUND if "kustomize" in file} == {
        f"deploy/kustomize/{name}/kustomization.yaml" for name in ("adapter", "ambassador", "logshipper", "warcopier")
    }
    assert {file for file, *_ in FOUND if "pod.yaml" in file} == {
        str(path.relative_to(ROOT)) for path in (ROOT / "examples").glob("*/pod.yaml")
    }


@pytest.mark.parametrize(
    ("file", "name", "environ", "limit"), FOUND, ids=[f"{file}-{name}" for file, name, *_ in FOUND]
)
def test_the_ledger_is_at_most_three_quarters_of_the_limit(
    file: str, name: str, environ: dict[str, str], limit: int
) -> None:
    ledger = ledger_of(name, environ)
    assert ledger.total <= SHARE * limit, f"{file}: {name}\n" + "\n".join(ledger.lines())


def test_a_ledger_is_the_sum_of_its_entries_for_each_process() -> None:
    ledger = MemoryLedger(10 * MIB, (Entry("small", 100, 1024), Entry("large", 1, 2 * MIB), Entry("none", 0, 5)), 2)
    assert ledger.total == 2 * (10 * MIB + 100 * 1024 + 2 * MIB)
    assert list(ledger.lines()) == [
        "memory: at most 24.2 MiB; a container's limit should be 32.3 MiB or more",
        "memory: 2 processes with 12.1 MiB each",
        "memory: 10.0 MiB for an idle process",
        "memory: 2.0 MiB for large",
        "memory: 0.1 MiB for small (100 of 1.0 KiB)",
    ]


def test_more_of_anything_is_more_memory() -> None:
    small = ledger_of("ambassador", {"AMBASSADOR_UPSTREAM": "http://a", "AMBASSADOR_MAX_CONNECTIONS": "10"})
    for more in (
        {"AMBASSADOR_MAX_CONNECTIONS": "20"},
        {"AMBASSADOR_WORKERS": "2"},
        {"AMBASSADOR_BUFFER_MEMORY": "65MiB"},
    ):
        environ = {"AMBASSADOR_UPSTREAM": "http://a", "AMBASSADOR_MAX_CONNECTIONS": "10", **more}
        assert ledger_of("ambassador", environ).total > small.total


def test_the_ambassador_with_its_defaults_needs_no_more_than_a_small_container() -> None:
    ledger = ledger_of("ambassador", {"AMBASSADOR_UPSTREAM": "http://a"})
    assert ledger.total <= SHARE * 386 * MIB

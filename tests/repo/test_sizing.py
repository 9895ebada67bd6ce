"""What a Pod reserves for its sidecars, and which of them hold its app back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.repo.test_examples import pod_spec, sidecar_of
from tests.repo.test_memory_ledgers import MANIFESTS, UNITS, documents
from tests.support import ROOT
from tools.names import SIDECARS

CPU, MEMORY = 60, 160 << 20  # thousandths of a core and bytes that all four may request together
HOLD_BACK = {"logshipper": "/readyz", "ambassador": "/livez"}  # the app must not start before these answer


def ours() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield the file, the sidecar and the container of each sidecar beside an app. A shared gateway is no sidecar."""
    for path in MANIFESTS:
        for document in documents(path):
            if isinstance(document, dict):
                spec = pod_spec(document)
                app = [item for item in spec.get("containers", []) if sidecar_of(item["image"]) not in SIDECARS]
                beside = app or path.is_relative_to(ROOT / "deploy")  # a component brings no app
                for container in [*spec.get("initContainers", []), *spec.get("containers", [])] if beside else []:
                    if (name := sidecar_of(container.get("image", ""))) in SIDECARS:
                        yield path, name, container


FOUND = list(ours())
IDS = [f"{path.relative_to(ROOT)}-{name}" for path, name, _ in FOUND]


def test_all_four_together_request_at_most_60m_and_160_mib() -> None:
    four = ("adapter", "ambassador", "logshipper", "warcopier")
    most_cpu, most_memory = dict.fromkeys(four, 0), dict.fromkeys(four, 0)
    for _, name, container in [found for found in FOUND if found[1] in four]:
        requests = container["resources"]["requests"]
        most_cpu[name] = max(most_cpu[name], int(requests["cpu"].removesuffix("m")))
        most_memory[name] = max(most_memory[name], int(requests["memory"][:-2]) * UNITS[requests["memory"][-2:]])
    assert 0 < min(most_cpu.values())
    assert sum(most_cpu.values()) <= CPU
    assert sum(most_memory.values()) <= MEMORY


@pytest.mark.parametrize(("path", "name", "container"), FOUND, ids=IDS)
def test_a_sidecar_has_no_cpu_limit_which_would_throttle_its_data_path(
    path: Path, name: str, container: dict[str, Any]
) -> None:
    assert set(container["resources"]["limits"]) == {"memory"}, (path, name)


@pytest.mark.parametrize(("path", "name", "container"), FOUND, ids=IDS)
def test_only_a_sidecar_that_the_app_needs_at_once_has_a_startup_probe(
    path: Path, name: str, container: dict[str, Any]
) -> None:
    """Each costs the start of the Pod up to a second: docs/explanation/sizing.md."""
    watching = name == "warcopier" and container.get("restartPolicy") == "Always"  # Tomcat waits for the first WAR
    wanted = "/readyz" if watching else HOLD_BACK.get(name)
    probe = container.get("startupProbe")
    assert (probe and probe["httpGet"]["path"]) == wanted, path
    assert probe is None or probe["periodSeconds"] == 1, path

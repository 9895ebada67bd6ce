"""All generated files, by their paths, and the folders in which every file is generated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tools.manifests import kustomize, library, node_agent, platform, policies
from tools.manifests.containers import SIDECARS

ROOT = Path(__file__).resolve().parents[2]
OURS = (
    *(f"deploy/kustomize/{sidecar.name}" for sidecar in SIDECARS),
    node_agent.FOLDER,
    "deploy/helm/sidecars/templates",
    f"{platform.FOLDER}/templates",
    f"{platform.FOLDER}/files",
)
"""Folders without a file by hand: one that no renderer has is left over."""


def rendered() -> dict[str, str]:
    """Return the text of each generated file by its path below the repository's root."""
    return kustomize.render() | node_agent.render() | library.render() | platform.render() | policies.render()


def surplus() -> Iterator[str]:
    """Yield the files in the generators' own folders that no renderer has."""
    known = rendered()
    for folder in OURS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = str(path.relative_to(ROOT))
            if path.is_file() and name not in known:
                yield name

"""The same sources, base and state of Debian's archive give the same layers: an image is built again and compared.

The stages that fetch from Debian's archive are not repeated, as the archive may change between two builds. `make test`
builds the adapter and infra again; IMAGES=all, as `make arm64` sets it, builds all five again, for both machines.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.images.roots import export
from tests.images.support import NAMES, docker, inspect, run
from tests.support import ROOT
from tools.names import VERSION, image

pytestmark = pytest.mark.engine

ALL = os.environ.get("IMAGES") == "all"
BUILT = [*(NAMES if ALL else ["adapter"]), "infra"]
STAGES = re.findall(r"^FROM .* AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
FETCHING = {"debian", "builder", "target", "sidecar", "infra"}  # the last two run nothing
BUNDLE = os.environ.get("CA_BUNDLE") or os.environ.get("SSL_CERT_FILE", "")
AGAIN = "registry.invalid/again"


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"] if ALL else [""], ids=lambda one: one or "own")
def test_a_second_build_gives_the_same_layers(platform: str, tmp_path: Path) -> None:
    repeated = sorted(set(STAGES) - FETCHING)
    uncached = tmp_path / "uncached.hcl"  # bake 0.13 ignores this option on its command line
    uncached.write_text(f'target "_common" {{ no-cache-filter = {json.dumps(repeated)} }}\n')
    layers = []
    for registry, files in ((f"{AGAIN}/first", []), (f"{AGAIN}/second", ["--file", str(uncached)])):
        environ = {"CA_BUNDLE": BUNDLE, "PLATFORMS": platform, "REGISTRY": registry}
        command = ["docker", "buildx", "bake", "--progress", "plain", "--file", "docker-bake.hcl", *files, *BUILT]
        log = run(*command, environ=environ).stderr
        if files:
            assert repeated_steps(log) >= {("adapter", "runtime"), ("adapter", "code"), ("infra", "pause")}
        images = [f"{registry}/{name}:{VERSION}" for name in BUILT]
        layers.append({name: inspect(one)["RootFS"]["Layers"] for name, one in zip(BUILT, images, strict=True)})
        docker("rmi", *images)
    first, second = layers
    assert first == second


def test_no_path_of_the_build_is_in_an_extension_module(tmp_path: Path) -> None:
    """The C code is written into a folder with a random name, and a compiler puts its path into the module."""
    root = export(image("ambassador"), tmp_path)
    modules = list(root.glob("usr/lib/python3/dist-packages/sidecars/**/*.so"))
    assert len(modules) > 10
    assert [module.name for module in modules if b"/tmp/" in module.read_bytes()] == []


def repeated_steps(log: str) -> set[tuple[str, str]]:
    """Return the target and the stage of each RUN that was not taken from the cache."""
    steps = re.findall(r"^#(\d+) \[(?:(\w+) )?(\w+) +\d+/\d+\] RUN ", log, re.MULTILINE)
    cached = set(re.findall(r"^#(\d+) CACHED$", log, re.MULTILINE))
    return {(target, stage) for number, target, stage in steps if number not in cached}

"""The same sources, base and state of Debian's archive give the same layers: an image is built again and compared.

The stages that fetch from Debian's archive are not repeated, as the archive may change between two builds. `make test`
builds the adapter and infra again; IMAGES=all, as `make arm64` sets it, builds all five again, for both machines.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.images.support import NAMES, docker, inspect
from tests.support import ROOT
from tools.names import VERSION

pytestmark = pytest.mark.engine

ALL = os.environ.get("IMAGES") == "all"
BUILT = [*(NAMES if ALL else ["adapter"]), "infra"]
STAGES = re.findall(r"^FROM .* AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
FETCHING = {"debian", "builder", "target"}
AGAIN = "registry.invalid/again"


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"] if ALL else [""], ids=lambda one: one or "own")
def test_a_second_build_gives_the_same_layers(platform: str) -> None:
    bundle = os.environ.get("CA_BUNDLE") or os.environ.get("SSL_CERT_FILE", "")
    environ = {"CA_BUNDLE": bundle, "PLATFORMS": platform}
    uncached = f"*.no-cache-filter={','.join(stage for stage in STAGES if stage not in FETCHING)}"
    layers = []
    for registry, options in ((f"{AGAIN}/first", []), (f"{AGAIN}/second", ["--set", uncached])):
        command = ["buildx", "bake", "--progress", "plain", *options, *BUILT]
        docker(*command, environ={**environ, "REGISTRY": registry})
        images = [f"{registry}/{name}:{VERSION}" for name in BUILT]
        layers.append({name: inspect(image)["RootFS"]["Layers"] for name, image in zip(BUILT, images, strict=True)})
        docker("rmi", *images)
    first, second = layers
    assert first == second

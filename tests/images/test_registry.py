"""A real registry gets the images of both platforms as one list, and gives back the same bytes by digest.

It is Debian's docker-registry, on loopback. infra alone goes there: the others differ in size, not in kind.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.support import docker, inspect, run
from tests.support import get, peer, serving
from tools import kube
from tools.names import VERSION
from tools.release import publish

pytestmark = pytest.mark.engine

CONFIG = """version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: {folder}/registry }, delete: { enabled: true } }
http: { addr: "127.0.0.1:{port}" }
"""
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("registry")
    config = (
        CONFIG.replace("{", "{{").replace("}", "}}").replace("{{folder}}", "{folder}").replace("{{port}}", "{port}")
    )
    with serving(folder, config, [peer("docker-registry"), "serve"]) as (address, _):
        yield address.removeprefix("http://")


@pytest.fixture(scope="module")
def digest(registry: str) -> Iterator[str]:
    """Publish infra, as the release does, without what the engine's own store cannot hold."""
    yield publish.publish(f"{registry}/sidecars", ["infra"], attest=False)["infra"]
    docker("rmi", *(publish.one(f"{registry}/sidecars", "infra", one) for one in publish.PLATFORMS))


def manifest(registry: str, reference: str) -> str:
    kinds = ["index.v1", "manifest.v1"]
    accept = [f"application/vnd.oci.image.{kind}+json" for kind in kinds]
    accept += [f"application/vnd.docker.distribution.{kind}.v2+json" for kind in ("manifest.list", "manifest")]
    return get(f"http://{registry}/v2/sidecars/infra/manifests/{reference}", Accept=", ".join(accept)).text


def test_the_version_is_a_list_of_both_platforms(registry: str, digest: str) -> None:
    listed = json.loads(manifest(registry, VERSION))
    assert [one["platform"]["architecture"] for one in listed["manifests"]] == ["amd64", "arm64"]
    assert {one["platform"]["os"] for one in listed["manifests"]} == {"linux"}
    assert manifest(registry, digest) == manifest(registry, VERSION)


def test_the_digest_of_the_list_gives_this_machine_its_image(registry: str, digest: str) -> None:
    pulled = f"{registry}/sidecars/infra@{digest}"
    docker("pull", pulled)
    described = inspect(pulled)
    assert described["Architecture"] == MACHINES[platform.machine()]
    assert described["Config"]["Labels"]["org.opencontainers.image.revision"]
    built = publish.one(f"{registry}/sidecars", "infra", f"linux/{described['Architecture']}")
    assert described["RootFS"]["Layers"] == inspect(built)["RootFS"]["Layers"]
    docker("rmi", pulled)


def test_the_bill_of_materials_of_each_platform_is_taken_out_of_the_registrys_image(registry: str, digest: str) -> None:
    for one in publish.PLATFORMS:
        text = publish.bill_of_materials(publish.one(f"{registry}/sidecars", "infra", one), "infra", one)
        assert json.loads(text)["name"] == f"infra-{VERSION}-{one.rpartition('/')[2]}"


def test_a_tag_that_was_moved_does_not_change_what_a_digest_means(registry: str, digest: str) -> None:
    before = manifest(registry, digest)
    other = publish.one(f"{registry}/sidecars", "infra", "linux/amd64")
    docker("buildx", "imagetools", "create", "--tag", f"{registry}/sidecars/infra:{VERSION}", other)
    assert manifest(registry, VERSION) != before
    assert manifest(registry, digest) == before


def test_the_list_gets_the_annotations_that_its_parts_have() -> None:
    environ = {"RELEASE": "true", "SOURCE": "https://source.example/x"}
    found = publish.list_annotations("infra", environ)
    assert "index:org.opencontainers.image.source=https://source.example/x" in found
    assert all(one.startswith("index:org.opencontainers.image.") for one in found)


def test_the_charts_are_pushed_to_the_same_registry_and_read_back(registry: str, tmp_path: Path) -> None:
    publish.charts(f"{registry}/sidecars", tmp_path)
    helm = kube.programs() / "helm"
    for chart in publish.CHARTS:
        address = f"oci://{registry}/sidecars/charts/{chart}"
        shown = run(helm, "show", "chart", address, "--version", VERSION, "--plain-http").stdout
        assert f"name: {chart}\n" in shown

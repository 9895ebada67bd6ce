"""The twin of examples/hot-redeploy: its WAR and the settings of its pod.yaml, with the copier as a process.

A laptop has no Pod: mount paths are folders, the port is a free one, and the tests look into the directory as Tomcat
does. A real Tomcat is in tests/images, which needs an engine. Everything else is as in the example.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Start
from tests.support import ROOT, Program, free_port, wait_until
from tests.warcopier.support import deployed, entries, tree_digest

EXAMPLE = ROOT / "examples" / "hot-redeploy"


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLE / "pod.yaml").read_text()))


def environment() -> dict[str, str]:
    """Return the variables of the copier in pod.yaml."""
    (container,) = manifests()[0]["spec"]["initContainers"]
    assert container["restartPolicy"] == "Always"
    return {item["name"]: item["value"] for item in container["env"]}


def pack(version: int, war: Path) -> bytes:
    subprocess.run([sys.executable, EXAMPLE / "pack.py", str(version), war], check=True)
    return war.read_bytes()


@pytest.fixture
def copier(start: Start, tmp_path: Path) -> Program:
    """Start the copier of the Pod, and wait until it is ready."""
    (tmp_path / "webapps").mkdir()
    pack(1, tmp_path / "artifacts" / "shop.war")
    port = free_port()
    places = {"WARCOPIER_SOURCE": str(tmp_path / "artifacts"), "WARCOPIER_TARGET": str(tmp_path / "webapps")}
    program = start("warcopier", **environment(), **places, WARCOPIER_ADMIN_LISTEN=f"127.0.0.1:{port}")
    program.wait_ready(port)
    return program


def served(folder: Path) -> dict[str, str]:
    """Return a digest of the contents of each WAR that Tomcat finds in the folder."""
    return {name: tree_digest(entries((folder / name).read_bytes())) for name in deployed(folder)}


def test_every_version_is_published_as_it_is_packed_and_at_a_time_of_its_own(copier: Program, tmp_path: Path) -> None:
    war, webapps = tmp_path / "artifacts" / "shop.war", tmp_path / "webapps"
    times = [(webapps / "shop.war").stat().st_mtime]
    sizes = {war.stat().st_size}
    for version in (2, 3):
        expected = tree_digest(entries(pack(version, war)))
        wait_until(lambda want=expected: served(webapps) == {"shop.war": want}, f"version {version}")  # type: ignore[misc] # mypy knows no defaults of lambdas
        times.append((webapps / "shop.war").stat().st_mtime)
        sizes.add(war.stat().st_size)
    assert len(set(times)) == 3, "so Tomcat notices each"
    assert len(sizes) == 1, "although size and times inside are always the same"
    assert copier.stop() == 0


def test_a_version_in_the_name_is_published_beside_the_old_one(copier: Program, tmp_path: Path) -> None:
    pack(2, tmp_path / "artifacts" / "shop##2.war")
    wait_until(lambda: sorted(deployed(tmp_path / "webapps")) == ["shop##2.war", "shop.war"], "both")
    assert copier.stop() == 0


def test_compose_and_kubernetes_give_the_copier_the_same_settings() -> None:
    compose = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())
    given = compose["services"]["warcopier"]["environment"]
    assert (
        given.pop("WARCOPIER_ADMIN_STATUS") == "any"
    )  # the engine publishes the port; Kubernetes forwards to loopback
    assert {name: value.replace("${UNPACK:-false}", "false") for name, value in given.items()} == environment()


def test_the_config_map_is_the_server_xml_of_the_folder() -> None:
    assert manifests()[1]["data"]["server.xml"] == (EXAMPLE / "server.xml").read_text()


def test_every_container_of_the_compose_file_keeps_what_the_restricted_profile_asks_for() -> None:
    for name, service in yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"].items():
        assert re.fullmatch(r"[1-9]\d+:65532", service["user"]), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name

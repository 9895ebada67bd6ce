"""The images for arm64, built on another machine and without emulation, start and end under qemu-user.

`make test` builds the adapter and infra; IMAGES=all, as `make arm64` sets it, builds all five. On an arm64 machine the
other tests of this folder are these tests.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest

from sidecars import chassis
from tests.images.roots import IMPORTS, export
from tests.images.support import NAMES, docker, inspect, run
from tests.support import free_port, get, wait_until
from tools.names import VERSION
from tools.release import shared_libraries

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(platform.machine() == "aarch64", reason="this machine is arm64: its own images are tested"),
]

REGISTRY = "registry.invalid/sidecars-arm64"  # a folder of its own: the engine keeps one image a name
BUILT = NAMES if os.environ.get("IMAGES") == "all" else ["adapter"]
SETTINGS = {  # what has no default; the folders are the test's
    "adapter": {},
    "ambassador": {"UPSTREAM": "http://127.0.0.1:1"},
    "logshipper": {"PATHS": "{folder}/logs/*.log", "SINK": "stdout:", "STATE_DIR": "{folder}/state"},
    "warcopier": {"SOURCE": "{folder}/artifacts", "TARGET": "{folder}/webapps", "WATCH": "true"},
}
SLOW = 600.0  # seconds of patience: a start takes 12 s of CPU under qemu
PORTS = {"adapter": ("LISTEN", "ADMIN_LISTEN"), "ambassador": ("LISTEN", "ADMIN_LISTEN")}


@cache
def build() -> None:
    """Build them by the command of `make arm64`. Each of the names is one target of the table."""
    bundle = os.environ.get("CA_BUNDLE") or os.environ.get("SSL_CERT_FILE", "")
    environ = {"CA_BUNDLE": bundle, "PLATFORMS": "linux/arm64", "REGISTRY": REGISTRY}
    docker("buildx", "bake", "--progress", "plain", *BUILT, "infra", environ=environ)


def reference(name: str) -> str:
    build()
    return f"{REGISTRY}/{name}:{VERSION}"


@pytest.fixture(scope="module", params=BUILT)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def root(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(reference(name), tmp_path_factory.mktemp(name), "--platform", "linux/arm64")


@pytest.fixture(scope="module")
def python(root: Path) -> list[str]:
    """Return the command of the image's own Python, which sees the image's root below its own paths."""
    return ["qemu-aarch64", "-L", str(root), str(root / "usr/bin/python3"), "-I"]


@pytest.fixture
def environ(name: str, tmp_path: Path) -> dict[str, str]:
    for folder in ("logs", "state", "artifacts", "webapps"):
        (tmp_path / folder).mkdir()
    with zipfile.ZipFile(tmp_path / "artifacts/shop.war", "w") as war:
        war.writestr("index.jsp", "hello")
    settings = {key: value.format(folder=tmp_path) for key, value in SETTINGS[name].items()}
    settings["CONFINEMENT"] = (
        "off"  # qemu-user has a thread of its own, and a process is confined before its second one
    )
    settings |= {key: f"127.0.0.1:{free_port()}" for key in PORTS.get(name, ("ADMIN_LISTEN",))}
    return {f"{name.upper()}_{key}": value for key, value in settings.items()}


def test_an_image_says_that_it_is_of_arm64_and_each_of_its_programs_is(name: str, root: Path) -> None:
    described = inspect(reference(name))
    assert (described["Os"], described["Architecture"]) == ("linux", "arm64")
    machines = {file: file.read_bytes()[18:20] for file in shared_libraries.elf_files(root)}
    assert len(machines) > 30
    assert set(machines.values()) == {b"\xb7\x00"}  # EM_AARCH64


def test_a_sidecar_tells_its_version(name: str, root: Path, python: list[str]) -> None:
    assert run(*python, root / "usr/local/bin/sidecar", "--version").stdout == f"{name} {chassis.__version__}\n"


def test_every_module_of_an_image_is_imported_in_its_compiled_form_if_it_has_one(name: str, python: list[str]) -> None:
    packages = run(sys.executable, "compile.py", "--packages", name).stdout
    done = subprocess.run([*python, "-c", IMPORTS, name], input=packages, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_its_settings_are_checked(root: Path, python: list[str], environ: dict[str, str]) -> None:
    alone = ["env", "--ignore-environment", f"PATH={os.environ['PATH']}", *(f"{k}={v}" for k, v in environ.items())]
    run(*alone, *python, root / "usr/local/bin/sidecar", "--check")


@pytest.fixture
def service(
    root: Path, python: list[str], environ: dict[str, str], tmp_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    command = [*python, str(root / "usr/local/bin/sidecar")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **environ}, stdout=log, stderr=log)
        yield process
        process.kill()
        process.wait()


def test_it_becomes_ready_and_ends_with_0_on_sigterm(
    name: str, service: subprocess.Popen[bytes], environ: dict[str, str], tmp_path: Path
) -> None:
    admin = environ[f"{name.upper()}_ADMIN_LISTEN"]

    def ready() -> bool:
        assert service.poll() is None, (tmp_path / "log").read_text()
        return answers(f"http://{admin}/readyz")

    wait_until(ready, "ready", SLOW)
    assert "sidecar_build_info" in get(f"http://{admin}/metrics").text
    service.send_signal(signal.SIGTERM)
    assert service.wait(timeout=SLOW) == 0, (tmp_path / "log").read_text()


def answers(url: str) -> bool:
    try:
        return get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_infra_for_arm64_is_pause_and_its_bill_of_materials(tmp_path: Path) -> None:
    root = export(reference("infra"), tmp_path, "--platform", "linux/arm64")
    pause = (root / "pause").read_bytes()
    assert pause[18:20] == b"\xb7\x00"
    bill = json.loads((root / "var/lib/db/sbom/infra.spdx.json").read_text())
    assert bill["name"] == f"infra-{VERSION}-arm64"

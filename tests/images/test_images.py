"""The images for an operator: their contents, their user, their start and their end."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import PurePosixPath

import pytest

from sidecars import chassis
from tests.images.roots import IMPORTS
from tests.images.support import CONFINED, NAMES, docker, inspect, run, state, wait_healthy
from tools.names import image

pytestmark = pytest.mark.engine

SERVICES = [name for name in NAMES if name != "warcopier"]
MINIMUM = {  # the settings without a default, and the volumes that it writes to
    "logshipper": ["--env", "LOGSHIPPER_PATHS=/logs/*.log", "--env", "LOGSHIPPER_SINK=stdout:", "--volume", "/state"],
    "ambassador": ["--env", "AMBASSADOR_UPSTREAM=http://127.0.0.1:1"],
    "adapter": [],
}
Start = Callable[..., str]
SITE = PurePosixPath("usr/lib/python3/dist-packages")


@cache
def contents(name: str) -> dict[str, tarfile.TarInfo]:
    """Return every file of an image by its path, without the files that the engine adds to a container."""
    container = docker("create", image(name), "x").strip()
    try:
        exported = subprocess.run(["docker", "export", container], capture_output=True, check=True).stdout
    finally:
        docker("rm", container)
    injected = {".dockerenv", "dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"}
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        members = {member.name.rstrip("/"): member for member in archive}
    return {path: m for path, m in members.items() if path not in injected and not path.startswith("dev/")}


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a container in the background. It is removed, with its volumes, when the test ends."""
    started: list[str] = []

    def begin(*arguments: str) -> str:
        started.append(docker("run", "--detach", *CONFINED, *arguments).strip())
        return started[-1]

    yield begin
    for container in started:
        docker("rm", "--force", "--volumes", container)


# -- what is in an image ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, "infra"])
def test_an_image_says_in_its_labels_what_it_is(name: str) -> None:
    config = inspect(image(name))["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == name
    assert labels["org.opencontainers.image.version"] == chassis.__version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.description"]
    assert config["User"] == "65532:65532"
    assert len(config["Entrypoint"]) == 1  # one program, and no shell, which would not pass on signals


@pytest.mark.parametrize("name", NAMES)
def test_an_image_holds_python_the_sidecar_and_the_probe_and_no_other_program(name: str) -> None:
    programs = {
        path
        for path, member in contents(name).items()
        if (member.isfile() or member.issym()) and re.search(r"(^|/)s?bin/", path)
    }
    python = next(path for path in programs if re.fullmatch(r"usr/bin/python3\.\d+", path))
    assert programs == {python, "usr/bin/python3", "usr/local/bin/sidecar", "usr/local/bin/probe"}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_holds_one_sidecar_and_no_tools_to_install_more(name: str) -> None:
    folders = {path.name for path in map(PurePosixPath, contents(name)) if path.parent == SITE / "sidecars"}
    assert folders == {"__init__.py", "__pycache__", "chassis", name}
    tops = {path.name for path in map(PurePosixPath, contents(name)) if path.parent == SITE}
    assert not tops & {"pip", "setuptools", "wheel", "tests", "bin"}


@pytest.mark.parametrize("name", NAMES)
def test_every_module_is_compiled_since_a_read_only_root_could_never_do_it_later(name: str) -> None:
    modules = {path for path in map(PurePosixPath, contents(name)) if path.suffix == ".py"}
    compiled = {path for path in map(PurePosixPath, contents(name)) if path.suffix == ".pyc"}
    assert len(modules) > 300
    assert modules == {path.parent.parent / f"{path.stem.partition('.')[0]}.py" for path in compiled}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_to_be_machine_code_is_and_has_its_source_beside_it(name: str) -> None:
    packages = run(sys.executable, "compile.py", "--packages", name).stdout.split()
    rooms = {SITE.joinpath(*package.split(".")) for package in packages}
    files = {path for path in map(PurePosixPath, contents(name)) if SITE / "sidecars" / name in path.parents}
    machine_code = {(path.parent, path.name.partition(".")[0]) for path in files if path.suffix == ".so"}
    sources = {(path.parent, path.stem) for path in files if path.suffix == ".py" and path.stem != "__init__"}
    group = (SITE / "sidecars" / name, "compiled__mypyc")
    assert machine_code - {group} == {(room, module) for room, module in sources if room in rooms}
    assert bool(packages) is (name == "ambassador")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_an_image_is_writable_but_its_volumes_and_tmp(name: str) -> None:
    theirs = {path for path, member in contents(name).items() if member.uid != 0 or member.mode & 0o022}
    links = {path for path, member in contents(name).items() if member.issym()}
    volumes = {"warcopier": {"artifacts", "webapps"}, "logshipper": {"logs", "state", "audit"}}
    assert theirs - links == {"tmp", *volumes.get(name, set())}
    assert [path for path, member in contents(name).items() if member.mode & 0o6000] == []


def test_the_four_images_share_their_largest_layer() -> None:
    assert len({inspect(image(name))["RootFS"]["Layers"][0] for name in NAMES}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_smaller_than_60_mb(name: str) -> None:
    assert inspect(image(name))["Size"] < 60_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_bundle_of_a_proxy_is_in_no_layer(name: str) -> None:
    assert [path for path in contents(name) if "ca.pem" in path or path.startswith("etc/apt")] == []
    assert "ca.pem" not in docker("history", "--no-trunc", image(name))


# -- how it behaves -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_image_tells_its_version_on_a_read_only_root_without_network_or_capabilities(name: str) -> None:
    output = docker("run", "--rm", "--network", "none", *CONFINED, image(name), "--version")
    assert output == f"{name} {chassis.__version__}\n"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arguments", [["--check"], []], ids=["checked", "started"])
def test_an_unknown_variable_is_refused_with_78_and_named(name: str, arguments: list[str]) -> None:
    wrong = f"{name.upper()}_LOG_LEVVEL"
    refused = run(
        *("docker", "run", "--rm", *CONFINED, "--env", f"{wrong}=info", *MINIMUM.get(name, [])),
        *(image(name), *arguments),
        expect=78,
    )
    assert wrong in refused.stderr
    assert f"{name.upper()}_LOG_LEVEL" in refused.stderr  # the nearest known name


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_becomes_healthy_by_its_own_probe_and_ends_with_0_when_stopped(name: str, start: Start) -> None:
    container = start(*MINIMUM[name], image(name))
    wait_healthy(container)
    docker("stop", container)  # SIGTERM, and SIGKILL (137) after ten seconds
    assert state(container)["ExitCode"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_module_of_an_image_is_imported_in_its_compiled_form_if_it_has_one(name: str) -> None:
    packages = run(sys.executable, "compile.py", "--packages", name).stdout
    python = ["--entrypoint", "/usr/bin/python3", image(name), "-I", "-W", "error::ImportWarning"]
    command = ["docker", "run", "--rm", "--interactive", *CONFINED, *python, "-c", IMPORTS, name]
    done = subprocess.run(command, input=packages, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- infra --------------------------------------------------------------------------------------------------------


def test_infra_is_pause_and_its_bill_of_materials_of_less_than_10_kb() -> None:
    files = {path for path, member in contents("infra").items() if member.isfile()}
    assert files == {"pause", "var/lib/db/sbom/infra.spdx.json"}
    assert inspect(image("infra"))["Size"] < 10_000


@pytest.mark.parametrize("signal", ["TERM", "INT"])
def test_infra_ends_with_0(signal: str, start: Start) -> None:
    container = start(image("infra"))
    docker("kill", "--signal", signal, container)
    assert docker("wait", container) == "0\n"


# Starts processes whose parent ends first, and ends when none of them is left, not even as a zombie.
ORPHANS = """
import os, pathlib, time

def fields(process):
    return (process / "stat").read_text().rpartition(")")[2].split()

def begotten():
    return {int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*")} - before

before = {int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*")}
gate, open_gate = os.pipe()
for _ in range(8):
    if (child := os.fork()) == 0:
        if os.fork() == 0:
            os.close(open_gate)
            os.read(gate, 1)
        os._exit(0)
    os.waitpid(child, 0)
orphans = begotten()
assert len(orphans) == 8
assert {fields(pathlib.Path(f"/proc/{pid}"))[1] for pid in orphans} == {"1"}
os.close(open_gate)
while begotten():
    time.sleep(0.01)
"""


def test_infra_reaps_the_orphans_of_a_shared_pid_namespace(start: Start) -> None:
    infra = start(image("infra"))
    python = ["--entrypoint", "/usr/bin/python3", image("adapter"), "-c", ORPHANS]
    docker("run", "--rm", *CONFINED, f"--pid=container:{infra}", *python)
    assert state(infra)["Running"]


def test_a_release_says_in_annotations_what_the_labels_say_and_where_the_source_is() -> None:
    """A registry shows annotations. The engine's own store ignores them, so that only the table can be checked here."""
    environ = {"RELEASE": "true", "SOURCE": "https://source.example/x", "REVISION": "abc", "CREATED": "2026-01-01"}
    printed = json.loads(docker("buildx", "bake", "--print", environ=environ))["target"]
    for name in [*NAMES, "infra"]:
        labels = printed[name]["labels"]
        keys = {key.removeprefix("org.opencontainers.image.") for key in labels}
        described = {"title", "description", "version", "licenses", "vendor"}
        assert keys == described | {"revision", "created", "source", "url", "documentation"}
        assert all(labels.values())
        assert printed[name]["annotations"] == [f"manifest,index:{key}={labels[key]}" for key in sorted(labels)]
        assert printed[name]["attest"] == ["type=provenance,mode=max"]


def test_the_images_are_those_of_the_table() -> None:
    printed = json.loads(docker("buildx", "bake", "--print"))
    assert sorted(printed["target"]) == sorted([*NAMES, "infra"])

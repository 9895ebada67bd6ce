"""The kit as `pip install` puts it beside other packages: its commands, and no name that belongs to somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from sidecars import chassis
from tests.repo.test_layout import NAMES
from tests.support import ROOT

MINIMUM = {  # the settings without a default
    "adapter": {"ADAPTER_RULES": 'up: up{job=~"a.*"} == 1', "ADAPTER_MODE": "verdict"},
    "ambassador": {"AMBASSADOR_UPSTREAM": "http://orders"},
    "logshipper": {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "http://collector/"},
    "warcopier": {},
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.rstrip("\0").split("\0"):  # a copy, since a build leaves folders of its own in the tree
        if (ROOT / name).is_dir():  # a link to a directory, which no wheel holds
            continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", folder, source], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands, in an environment that holds the kit and no other package."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = str(environment / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", wheel], check=True, capture_output=True)
    return environment / "bin"


def run(command: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run([command, *arguments], env=environ, cwd="/", capture_output=True, text=True, check=False)


def test_the_one_top_level_package_is_ours(wheel: Path) -> None:
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert names == {"sidecars", f"sidecars-{chassis.__version__}.dist-info"}


@pytest.mark.parametrize("name", NAMES)
def test_each_sidecar_is_a_command(installed: Path, name: str) -> None:
    assert run(installed / f"sidecars-{name}", "--version").stdout == f"{name} {chassis.__version__}\n"
    assert run(installed / f"sidecars-{name}", "--help").stdout.startswith(f"usage: sidecars-{name} [--check")


def test_a_command_without_its_packages_names_the_extra_that_has_them(installed: Path) -> None:
    started = run(installed / "sidecars-adapter")
    assert started.returncode == 69
    assert "pip install 'sidecars[adapter]'" in started.stderr
    assert "Traceback" not in started.stderr


def test_a_check_without_its_packages_names_the_extra_that_has_them(installed: Path) -> None:
    checked = run(installed / "sidecars-adapter", "--check", ADAPTER_RULES='up: up{job=~"a.*"} == 1')
    assert checked.returncode == 69
    assert checked.stderr == "the package re2 is not installed: pip install 'sidecars[adapter]'\n"


def test_a_checkout_without_its_packages_names_its_own_folder_and_no_package_that_pip_would_fetch(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "sidecars").symlink_to(ROOT / "sidecars")  # the code, without traces of an installation
    python, environ = tmp_path / "bare" / "bin" / "python", {"PYTHONPATH": str(tmp_path / "checkout")}
    started = run(python, "-m", "sidecars.logshipper", **environ, **MINIMUM["logshipper"])
    assert started.returncode == 69
    assert f"pip install '{ROOT}[logshipper]'" in started.stderr


def test_a_copier_that_runs_once_needs_no_package(installed: Path, tmp_path: Path) -> None:
    for folder in ("artifacts", "webapps"):
        (tmp_path / folder).mkdir()
    with zipfile.ZipFile(tmp_path / "artifacts" / "shop.war", "w") as archive:
        archive.writestr("index.jsp", "hello")
    places = {
        f"WARCOPIER_{key}": str(tmp_path / folder) for key, folder in (("SOURCE", "artifacts"), ("TARGET", "webapps"))
    }
    assert run(installed / "sidecars-warcopier", **places).returncode == 0
    assert (tmp_path / "webapps" / "shop.war").exists()


@pytest.mark.parametrize(("name", "environ"), MINIMUM.items(), ids=MINIMUM)
def test_a_command_with_its_packages_checks_its_settings(installed: Path, name: str, environ: dict[str, str]) -> None:
    """As `pip install '.[adapter]'` and `pipx run` give it. The packages are those of the tests."""
    checked = run(installed / f"sidecars-{name}", "--check=all", PYTHONPATH=sysconfig.get_path("purelib"), **environ)
    assert checked.returncode == 0, checked.stderr
    assert f"{name.upper()}_LOG_LEVEL" in checked.stdout


def test_the_page_of_the_admin_port_is_installed(installed: Path) -> None:
    script = "from sidecars.chassis.page import document; print(document.template()[:15])"
    assert run(installed / "python", "-c", script).stdout == "<!doctype html>\n"

"""The real helm and kubectl. Without them these tests fail with the reason: nothing is skipped."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import kube

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def programs() -> Path:
    """Return the folder of helm and kubectl."""
    try:
        return kube.programs()
    except kube.NoPrograms as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def run(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run helm or kubectl with empty folders of its own, so that no file of this machine's user has an influence."""
    home = tmp_path_factory.mktemp("home")
    environ = {"HOME": str(home), "PATH": str(programs), "TMPDIR": str(home)}
    environ |= {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}

    def call(program: str, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(programs / program), *map(str, arguments)]
        ran = subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, check=False)
        if check and ran.returncode:
            pytest.fail(f"{' '.join(command)}\n{ran.stderr}", pytrace=False)
        return ran

    return call

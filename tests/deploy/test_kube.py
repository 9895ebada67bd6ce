"""helm and kubectl come from a wheel that a lock pins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.conftest import Run
from tools import kube


def test_the_programs_are_those_that_the_lock_speaks_of(run: Run) -> None:
    helm, kubectl = re.findall(r"helm ([\d.]+), kubectl ([\d.]+)", kube.LOCK.read_text())[0]
    assert run("helm", "version", "--short").stdout.startswith(f"v{helm}")
    assert f"Client Version: v{kubectl}" in run("kubectl", "version", "--client").stdout


def test_without_a_network_and_without_a_cache_the_reason_names_the_folder_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(kube.NoPrograms, match=r"run `python -m tools\.kube` once with a network") as caught:
        kube.programs()
    assert str(kube.folder()) in str(caught.value)
    assert list(tmp_path.rglob("helm")) == []

"""The demo as a newcomer runs it, and with a sidecar that lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT


def demo(root: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "demo", "--plain"]
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False, timeout=110)


def test_the_demo_ends_with_a_ledger_that_holds() -> None:
    done = demo(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    assert "every line of the ledger holds" in done.stdout


def test_the_demo_fails_when_the_copier_only_claims_to_have_copied(tmp_path: Path) -> None:
    for folder in ("demo", "chassis", "sidecars"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "sidecars" / "warcopier" / "__main__.py").write_text("")
    done = demo(tmp_path)
    assert done.returncode == 1
    assert "the ledger does NOT hold" in done.stdout

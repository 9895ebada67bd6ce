"""The demo as a newcomer runs it, and with a sidecar that reports false figures."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

WITHOUT_LINUX = ROOT / "tests" / "demo" / "without_linux.py"
PERFORM = "import sys; sys.executable = sys.argv[1]; import demo.__main__; sys.exit(demo.__main__.main(['--plain']))"


def demo(root: Path, *, python: Path | str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run the demo of a tree. `python` is the interpreter of its sidecars and its app."""
    environ = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", PERFORM, python]
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False)


def test_the_demo_ends_with_a_ledger_that_holds() -> None:
    done = demo(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    assert "every line of the ledger holds" in done.stdout


def test_the_demo_fails_when_the_copier_only_claims_to_have_copied(tmp_path: Path) -> None:
    for folder in ("demo", "sidecars"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "sidecars" / "warcopier" / "__main__.py").write_text("")
    done = demo(tmp_path)
    assert done.returncode == 1
    assert "the ledger does NOT hold" in done.stdout


def test_the_demo_holds_on_a_unix_without_the_calls_that_only_linux_has(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {WITHOUT_LINUX} "$@"\n')
    python.chmod(0o755)
    done = demo(ROOT, python=python)
    assert done.returncode == 0, done.stdout + done.stderr

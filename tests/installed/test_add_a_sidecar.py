"""CONTRIBUTING's "Add a sidecar", followed literally in a copy of the tree: the new `clock` passes the checks.

A step is a whole file, lines below a line of a file, or a replacement in a file. `make locks` alone is not run, because
it asks the package index: the new lock is made from the pins of `locks/dev.txt`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT

STEP = re.compile(
    r"^`(?P<file>[^`]+)`:$\n\n```\w+\n(?P<whole>.*?)^```$"
    r"|^Below the line `(?P<anchor>[^`]+)` of `(?P<into>[^`]+)`:$\n\n```\w+\n(?P<lines>.*?)^```$"
    r"|^In `(?P<edited>[^`]+)` replace `(?P<old>[^`]+)` with `(?P<new>[^`]+)`\.$",
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which every step was done."""
    copy = tmp_path_factory.mktemp("copy") / "tree"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
            (copy / name).chmod((ROOT / name).stat().st_mode)
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)  # some tests ask git for the tree's files
    for step in STEP.finditer(section()):
        follow(step, copy)
    write_lock(copy)
    run(copy, "-m", "sidecars.chassis.settings_tables", "--write")
    run(copy, "-m", "tools.manifests", "--write")
    return copy


def section() -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return text.partition("\n## Add a sidecar\n")[2].partition("\n## Change a setting\n")[0]


def follow(step: re.Match[str], tree: Path) -> None:
    if step["file"]:
        path = tree / step["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step["whole"])
    elif step["into"]:
        path, text = tree / step["into"], (tree / step["into"]).read_text()
        assert f"\n{step['anchor']}\n" in text, f"{step['into']} has no line {step['anchor']!r}"
        path.write_text(text.replace(f"\n{step['anchor']}\n", f"\n{step['anchor']}\n{step['lines']}", 1))
    else:
        path, text = tree / step["edited"], (tree / step["edited"]).read_text()
        assert text.count(step["old"]) == 1, f"{step['old']!r} is not in {step['edited']} once"
        path.write_text(text.replace(step["old"], step["new"]))


def write_lock(tree: Path) -> None:
    project = tomllib.loads((tree / "pyproject.toml").read_text())
    names = [re.split("[>=]", each)[0] for each in project["project"]["optional-dependencies"]["clock"]]
    pins = (tree / "locks" / "dev.txt").read_text()
    found = [re.search(rf"^{name}==.*?(?=^\w|\Z)", pins, re.MULTILINE | re.DOTALL) for name in names]
    (tree / "locks" / "clock.txt").write_text("".join(pin[0] for pin in found if pin))


def run(tree: Path, *arguments: str, expect: int = 0, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree, env={**os.environ, **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == expect, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_every_block_and_every_replacement_is_a_step() -> None:
    steps = list(STEP.finditer(section()))
    assert len(steps) == section().count("\n```") // 2 + section().count(" replace `")
    assert len(steps) > 10


@pytest.mark.parametrize(
    "check",
    [
        ["-m", "ruff", "check", "--no-cache"],
        ["-m", "ruff", "format", "--check", "--no-cache"],
        ["-m", "mypy", "sidecars/clock", "tests/clock", "benchmarks/clock.py"],
        ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"],
        ["-m", "sidecars.chassis.settings_tables", "--check"],
        ["-m", "tools.manifests", "--check"],
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/repo", "tests/clock"],
    ],
    ids=["lint", "format", "types", "imports", "docs", "manifests", "tests"],
)
def test_the_checks_pass(tree: Path, check: list[str]) -> None:
    run(tree, *check)


def test_its_benchmark_prints_its_figure(tree: Path) -> None:
    """Whether the figure is kept is not asserted: the machine may be busy."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.clock"], cwd=tree, capture_output=True, text=True, check=False
    )
    assert "start with --check, beside Python alone" in done.stdout, done.stderr


def test_the_new_sidecar_names_the_setting_that_was_misspelt(tree: Path) -> None:
    said = run(tree, "-m", "sidecars.clock", "--check", expect=78, CLOCK_LISTN=":80")
    assert "CLOCK_LISTN" in said
    assert "CLOCK_LISTEN" in said


def test_its_settings_table_is_in_its_readme(tree: Path) -> None:
    assert "| `CLOCK_FORMAT` |" in (tree / "sidecars" / "clock" / "README.md").read_text()

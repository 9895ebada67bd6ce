"""Run spin on the model: `python -m tests.model --set N=6`. Needs spin and gcc; each missing one is named.

Spin writes a checker in C for the model, gcc compiles it, and the checker visits every state that the model can reach.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("journal.pml")
_PACKAGES = {"spin": "spin", "gcc": "gcc"}
_CHECKED = re.compile(r"errors: (\d+)\n\s+(\d\S*) states, stored")
_VIOLATED = re.compile(r"pan:1: (.*?) \(at depth")


class MissingTool(Exception):
    """A program that the check needs is not installed. The text says how to get it."""


@dataclass(frozen=True)
class Outcome:
    """The result of a check of all states."""

    states: int
    error: str  # the assertion that was violated; "" if none was


def check(constants: Mapping[str, int | None], *, optimise: bool = False) -> Outcome:
    """Check the model with these constants; None defines a name without a value, for a deliberate fault.

    `optimise`: let gcc take longer, for a model with many states.
    """
    for tool, package in _PACKAGES.items():
        if shutil.which(tool) is None:
            raise MissingTool(f"{tool} is needed to check the model of the journal: apt-get install {package}")
    defined = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in constants.items()]
    with tempfile.TemporaryDirectory() as folder:
        _run(["spin", "-a", *defined, str(MODEL)], folder)
        _run(["gcc", "-O1" if optimise else "-O0", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"], folder)
        said = _run(["./pan", "-m1000000", "-w20"], folder)
    found = _CHECKED.search(said)
    assert found is not None, said
    assert "max search depth too small" not in said, said
    violated = _VIOLATED.search(said)
    if int(found[1]):
        return Outcome(int(float(found[2])), violated[1] if violated else said)
    return Outcome(int(float(found[2])), "")


def _run(command: list[str], folder: str) -> str:
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0 or command[0] == "./pan", run.stdout + run.stderr
    return run.stdout + run.stderr

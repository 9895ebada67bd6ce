"""Compile what stands on the way of every request to machine code: `python compile.py <folder> [<sidecar> ...]`.

The folder gets the chassis and the sidecars as they are here and, beside the sources of the modules in COMPILED, the
extension modules that mypyc makes of them: Python takes those, and whoever reads a traceback the sources. Nothing is
made in this tree, so that it never holds an extension that is older than its source.

It needs the extra `compile`, a C compiler and Python's headers. The images are made with it; without it everything runs
as plain Python, with the same tests. Why: docs/decisions/0014-the-data-path-is-compiled.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent

# The modules of a sidecar that each request passes through, and what those hold in their hands. They call each other
# without Python between only if they are compiled together.
COMPILED = {
    "ambassador": (
        "balance",
        "bodies",
        "connection",
        "counters",
        "deadlines",
        "downstream",
        "endpoints",
        "exchange",
        "fields",
        "heads",
        "policies",
        "requests",
        "responses",
        "retry",
        "turns",
        "upstream",
    )
}

CHECK = """
import importlib, sys
for name in sys.argv[1:]:
    found = importlib.import_module(name).__file__
    assert found and not found.endswith(".py"), f"{name} is loaded from {found}, not compiled"
"""


def main(arguments: list[str]) -> int:
    if not arguments or set(arguments[1:]) - set(COMPILED):
        print(f"usage: python compile.py <folder> [{' | '.join(COMPILED)}]", file=sys.stderr)
        return 64
    folder = Path(arguments[0]).absolute()
    for package in ("chassis", "sidecars"):
        shutil.rmtree(folder / package, ignore_errors=True)
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.md"))
    os.chdir(folder)
    for name in arguments[1:] or COMPILED:
        make(name)
        modules = [f"sidecars.{name}.{module}" for module in COMPILED[name]]
        subprocess.run([sys.executable, "-c", CHECK, *modules], check=True, env={"PYTHONPATH": str(folder)})  # noqa: S603 - itself
        print(f"{len(modules)} modules of the {name} are compiled in {folder}")
    return 0


def make(name: str) -> None:
    """Compile the modules of this sidecar, in the working directory."""
    from mypyc.build import mypycify  # noqa: PLC0415 - heavy; and it must come before setuptools
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as scratch:
        # What a module merely mentions need not be installed where it is compiled.
        options = ["--strict", "--ignore-missing-imports", "--follow-imports=silent", f"--cache-dir={os.devnull}"]
        extensions = mypycify(
            [*options, *(f"sidecars/{name}/{module}.py" for module in COMPILED[name])],
            group_name=f"sidecars.{name}.compiled",
            debug_level="0",
            target_dir=scratch,
        )
        command = build_ext(Distribution({"name": name, "ext_modules": extensions}))
        command.inplace = True
        command.build_lib = command.build_temp = scratch
        command.ensure_finalized()
        command.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

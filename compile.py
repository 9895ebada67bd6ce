"""Compile the packages that every request passes through to machine code: `python compile.py <folder>`.

The folder gets a copy of the chassis and the sidecars. Beside the sources of the packages in COMPILED it gets the
extension modules that mypyc makes of them. Python imports those; tracebacks show the sources. No extension is made in
this tree, so that none can be older than its source.

`python compile.py --packages <sidecar>` prints the packages of a sidecar that are compiled; it needs no sources.

It needs the extra `compile`, a C compiler and Python's headers. The images contain the compiled form. Without it the
code runs as plain Python, with the same tests. Reasons:
docs/explanation/decisions/0015-the-data-path-is-compiled-by-mypyc.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent

# The functions call each other directly. mypyc exports all of them, and a call of an exported function goes through a
# table, since another library might replace the function. With that our code takes 8 % more instructions for a call of
# gRPC, and misses the first cache of instructions 25 % more often.
DIRECT_CALLS = "-fvisibility=hidden"
# 20,000 addresses in tables of the code depend on where it is loaded: packed they take 7 KB, and not half a megabyte.
PACKED = "-Wl,-z,pack-relative-relocs"

# The packages of a sidecar that each request passes through. All their modules are compiled together: only modules of
# one compilation call each other without Python between them.
COMPILED = {
    "ambassador": (
        *("http2", "http", "routing", "admission", "balancing"),
        *("upstream", "upstream.http2", "proxy", "proxy.grpc", "proxy.beside", "proxy.identity", "proxy.observed"),
        *("proxy.routed", "proxy.tcp"),
    )
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", nargs="?", type=Path, help="the folder for the compiled code")
    what.add_argument(
        "--packages", metavar="SIDECAR", help="print the packages of it that are compiled, and compile nothing"
    )
    parser.add_argument(
        "--optimize", choices=("0", "1", "2", "3"), default="2", help="the level of the C compiler's optimization"
    )
    arguments = parser.parse_args()
    if arguments.packages:
        for package in packages(arguments.packages):
            print(package)
    else:
        compile_into(arguments.folder.absolute(), arguments.optimize)
    return 0


def packages(sidecar: str) -> list[str]:
    return [f"sidecars.{sidecar}.{package}" for package in COMPILED.get(sidecar, ())]


def sources(sidecar: str, root: Path = ROOT) -> list[str]:
    """Return the paths below `root` of the modules that are compiled: all of a package but its `__init__`."""
    folders = [root / package.replace(".", "/") for package in packages(sidecar)]
    found = [path for folder in folders for path in folder.glob("*.py") if path.name != "__init__.py"]
    return sorted(str(path.relative_to(root)) for path in found)


def compile_into(folder: Path, level: str = "2") -> None:
    shutil.rmtree(folder / "sidecars", ignore_errors=True)
    shutil.copytree(ROOT / "sidecars", folder / "sidecars", ignore=shutil.ignore_patterns("__pycache__", "*.md"))
    os.chdir(folder)
    for sidecar in COMPILED:
        if (folder / "sidecars" / sidecar).exists():  # the Dockerfile copies one sidecar
            make(sidecar, level)
            print(f"{len(sources(sidecar))} modules of the {sidecar} are compiled in {folder}")


def make(sidecar: str, level: str) -> None:
    """Compile the modules of this sidecar, in the working directory, with this level of optimization."""
    from mypyc.build import mypycify  # noqa: PLC0415 - heavy, and it must be imported before setuptools
    from setuptools import Distribution  # noqa: PLC0415 - heavy
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415 - heavy

    with tempfile.TemporaryDirectory() as scratch:
        # Packages that a module imports need not be installed to compile it.
        options = ["--strict", "--ignore-missing-imports", "--follow-imports=silent", f"--cache-dir={os.devnull}"]
        extensions = mypycify(
            [*options, *sources(sidecar)],
            group_name=f"sidecars.{sidecar}.compiled",
            opt_level=level,
            debug_level="0",
            target_dir=scratch,
        )
        # The C code has its own path in it; the same source gives the same bytes. GCC compares the indentation of each
        # `if` with the line below it, and reads the file again for that: three of four minutes, for code of no person.
        own = [f"-ffile-prefix-map={scratch}=.", "-Wno-misleading-indentation", DIRECT_CALLS]
        for extension in extensions:
            extension.extra_compile_args = [*extension.extra_compile_args, *own]
            extension.extra_link_args = [*extension.extra_link_args, PACKED]
        command = build_ext(Distribution({"name": sidecar, "ext_modules": extensions}))
        command.inplace = True
        command.build_lib = command.build_temp = scratch
        command.ensure_finalized()
        command.run()


if __name__ == "__main__":
    sys.exit(main())

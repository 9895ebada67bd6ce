"""The shared libraries that ELF files need. The files are read and never run, so they may be another machine's.

    shared_libraries.py needed ROOT PATH...   print the libraries of ROOT that these files need, and what those need
    shared_libraries.py check ROOT            exit with 1 if an ELF file below ROOT needs a library that ROOT lacks

It needs binutils' readelf, which reads the files of every machine. A library is looked for as the loader does
(ld.so(8)): in the RPATH or RUNPATH of the file that asks, then in Debian's folders.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAGIC = b"\x7fELF"
ENTRY = re.compile(r"\((?P<tag>NEEDED|RPATH|RUNPATH)\).*\[(?P<value>.*)\]|interpreter: (?P<loader>[^\]]+)\]")


@dataclass
class Demand:
    """What one ELF file asks for."""

    needed: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)  # of RPATH and RUNPATH
    loader: str | None = None


def demands(files: Iterable[Path]) -> dict[Path, Demand]:
    """Return what each of these ELF files asks for. Raises CalledProcessError if one cannot be read."""
    found: dict[Path, Demand] = {}
    for file in files:
        command = ["readelf", "--wide", "--dynamic", "--program-headers", str(file)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - of the builder
        demand = found[file] = Demand()
        for match in ENTRY.finditer(text):
            if match["loader"]:
                demand.loader = match["loader"]
            elif match["tag"] == "NEEDED":
                demand.needed.append(match["value"])
            else:
                demand.search += match["value"].split(":")
    return found


def elf_files(root: Path) -> Iterator[Path]:
    """Return the ELF files below a folder, without links, in order of their names."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == MAGIC:
                    yield path


def inside(root: Path, path: str) -> Path:
    """Return where an absolute path of the root file system is, with the links /lib and /lib64 of Debian resolved."""
    first, _, rest = path.lstrip("/").partition("/")
    return root / "usr" / first / rest if first.startswith("lib") else root / first / rest


def folders(root: Path) -> list[Path]:
    """Return Debian's folders of libraries in this root file system."""
    return [*sorted((root / "usr/lib").glob("*-linux-gnu")), root / "usr/lib", root / "usr/lib64"]


def located(root: Path, file: Path, demand: Demand) -> dict[str, Path | None]:
    """Return, by the name that the file uses, each library that it needs; None for one that is not there."""
    origin = str(file.parent)
    search = [Path(path.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)) for path in demand.search]
    places = [path if path.is_relative_to(root) else inside(root, str(path)) for path in search] + folders(root)
    found: dict[str, Path | None] = {}
    for name in demand.needed:
        found[name] = next((place / name for place in places if (place / name).exists()), None)
    if demand.loader:
        loader = inside(root, demand.loader)
        found[demand.loader] = loader if loader.exists() else None
    return found


def closure(root: Path, files: Iterable[Path]) -> tuple[set[Path], set[str]]:
    """Return the libraries that the files and these libraries need, and a sentence for each that is not there."""
    libraries: set[Path] = set()
    missing: set[str] = set()
    new = set(files)
    while new:
        wanted: set[Path] = set()
        for file, demand in demands(sorted(new)).items():
            for name, place in located(root, file, demand).items():
                if place is None:
                    missing.add(f"/{file.relative_to(root)} needs {name}, which is not there")
                else:
                    wanted.add(place)
        new = wanted - libraries
        libraries |= wanted
    return libraries, missing


def main(argv: list[str]) -> int:
    match argv:
        case ["needed", root, *paths]:
            libraries, missing = closure(Path(root), [Path(root) / path.lstrip("/") for path in paths])
            print("\n".join(f"/{path.relative_to(root)}" for path in sorted(libraries)))
        case ["check", root]:
            files = list(elf_files(Path(root)))
            _, missing = closure(Path(root), files)
            if not files:
                missing = {f"no ELF file is below {root}"}
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    for sentence in sorted(missing):
        print(sentence, file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

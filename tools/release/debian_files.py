"""The files of Debian packages that are unpacked, not installed: whose they are, and dpkg's records of them.

    debian_files.py fetch ARCHITECTURE ROOT NAME...   unpack these packages into ROOT, with what they depend on
    debian_files.py record ROOT IMAGE [NAME...]       write the records of the packages whose files IMAGE has from ROOT

`fetch` is apt-get with a state of its own, so the packages may be of any architecture. Nothing is installed: no script
of a package runs, and nothing of the builder's changes. A package that ROOT has already stays.

`record` writes /var/lib/dpkg/status.d/<package> (the form that scanners know from distroless images), beside it the
package's md5sums of the files that IMAGE has, and the package's copyright file. NAMEs are recorded, too, though no file
of theirs was copied. It fails if a file was changed on the way. They need apt-get and dpkg-deb.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

INFO = "var/lib/dpkg/info"  # of ROOT: one folder a package, with its control files and `list`
RECORDS = "var/lib/dpkg/status.d"
MERGED = ("bin", "sbin", "lib", "lib64")  # links to folders of /usr (Debian's base-files)


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - the builder's tools


def fetch(architecture: str, root: Path, names: list[str]) -> None:
    """Unpack the archive's candidates of these packages, and of what they depend on, into one root file system."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        for part in ("lists/partial", "archives/partial"):
            (state / part).mkdir(parents=True)
        (state / "status").touch()
        options = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "root",
            "Dir::State": folder,
            "Dir::State::status": state / "status",
            "Dir::Cache": folder,
        }
        apt = ["apt-get", "-qq", *(f"--option={name}={value}" for name, value in options.items())]
        run(*apt, "update")
        run(*apt, "install", "--yes", "--download-only", "--no-install-recommends", *names)
        have = {path.name for path in (root / INFO).glob("*")}
        debs = sorted((state / "archives").glob("*.deb"))
        unpack(root, [deb for deb in debs if deb.name.partition("_")[0] not in have])


def unpack(root: Path, debs: list[Path]) -> None:
    """Unpack the packages into one root file system, and keep their control files and lists."""
    for deb in debs:
        info = root / INFO / run("dpkg-deb", "--field", deb, "Package").strip()
        info.mkdir(parents=True)
        run("dpkg-deb", "--control", deb, info)
        run("dpkg-deb", "--extract", deb, root)
        lines = run(
            "bash", "-o", "pipefail", "-c", 'dpkg-deb --fsys-tarfile "$1" | tar --list', "bash", deb
        ).splitlines()
        (info / "list").write_text("".join(f"{merged(line)}\n" for line in lines if not line.endswith("/")))


def merged(path: str) -> str:
    """Return a path of a package as it is on a system whose /lib is a link to /usr/lib."""
    parts = PurePosixPath(path.removeprefix("./")).parts
    return "/".join(("usr", *parts) if len(parts) > 1 and parts[0] in MERGED else parts)


def owners(root: Path) -> dict[str, str]:
    """Return the package of each file and link that was unpacked. Raises ValueError if two packages have one file."""
    found: dict[str, str] = {}
    for listing in sorted((root / INFO).glob("*/list")):
        for path in listing.read_text().splitlines():
            if found.setdefault(path, listing.parent.name) != listing.parent.name:
                raise ValueError(f"{path} is in {found[path]} and in {listing.parent.name}")
    return found


def checksums(root: Path, package: str) -> dict[str, str]:
    """Return the MD5 of the files of a package that the package itself tells. It tells none of configuration files."""
    file = root / INFO / package / "md5sums"
    lines = file.read_text().splitlines() if file.exists() else []
    return {merged(path): digest for digest, path in (line.split(maxsplit=1) for line in lines)}


def files(image: Path) -> Iterator[str]:
    """Return the paths of all files and links of an image, in order."""
    return (str(path.relative_to(image)) for path in sorted(image.rglob("*")) if path.is_symlink() or path.is_file())


def record(root: Path, image: Path, also: list[str]) -> None:
    """Write the records. Raises ValueError if a file differs from the one that its package holds."""
    owner = owners(root)
    copied: dict[str, list[str]] = {name: [] for name in also}
    for path in files(image):
        if path in owner:
            copied.setdefault(owner[path], []).append(path)
    (image / RECORDS).mkdir(parents=True)
    for package, paths in sorted(copied.items()):
        copyright_file = f"usr/share/doc/{package}/copyright"
        (image / copyright_file).parent.mkdir(parents=True)
        shutil.copyfile(root / copyright_file, image / copyright_file)
        known = checksums(root, package)
        lines = []
        for path in sorted({*paths, copyright_file}):
            if not (image / path).is_symlink():
                digest = hashlib.md5((image / path).read_bytes(), usedforsecurity=False).hexdigest()
                if known.get(path, digest) != digest:
                    raise ValueError(f"{path} is not the file of {package}")
                lines.append(f"{digest}  {path}\n")
        (image / RECORDS / f"{package}.md5sums").write_text("".join(lines))
        first, _, rest = (root / INFO / package / "control").read_text().partition("\n")
        (image / RECORDS / package).write_text(f"{first}\nStatus: install ok installed\n{rest.rstrip()}\n")


def main(argv: list[str]) -> int:
    match argv:
        case ["fetch", architecture, root, *names] if names:
            fetch(architecture, Path(root), names)
        case ["record", root, image, *also]:
            record(Path(root), Path(image), also)
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

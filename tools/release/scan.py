"""Known vulnerabilities of the Debian packages in the images, with a fix that the images lack: `… tools.release scan`.

    image ──▶ status.d ──▶ one dpkg status file ──▶ debsecan (Debian's own list, from the network) ──▶ CVE package

It exits with 1 if there is one. Then build the images again: a build takes the archive's newest packages. What Debian
has not mended yet is not reported; nothing that we could build would lack it.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from tools.names import SIDECARS, image

RECORDS = "/var/lib/dpkg/status.d"
SUITE = "trixie"


def status(archive: bytes) -> str:
    """Return the records of a tar archive of status.d as one dpkg status file."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        files = sorted((member for member in opened if member.isfile()), key=lambda member: member.name)
        records = [opened.extractfile(member) for member in files if PurePosixPath(member.name).suffix != ".md5sums"]
        return "".join(f"{record.read().decode().rstrip()}\n\n" for record in records if record)


def records(reference: str) -> bytes:
    """Return status.d of an image of the engine as a tar archive, without running the image."""
    create = ["docker", "create", reference, "-"]
    container = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - a command of this program
    try:
        copy = ["docker", "cp", f"{container}:{RECORDS}", "-"]
        return subprocess.run(copy, check=True, capture_output=True).stdout  # noqa: S603 - docker's id
    finally:
        subprocess.run(["docker", "rm", container], check=True, capture_output=True)  # noqa: S603, S607 - docker's id


def fixed(file: Path) -> list[str]:
    """Return debsecan's lines about a dpkg status file, of vulnerabilities with a fix."""
    command = ["debsecan", "--suite", SUITE, "--status", str(file), "--only-fixed", "--format", "simple"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()  # noqa: S603 - a command of this program


def main(argv: list[str]) -> int:
    if argv:
        print(__doc__, file=sys.stderr)
        return 64
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in SIDECARS:
            file = Path(folder) / name
            file.write_text(status(records(image(name))))
            found += [f"{name}: {line}" for line in fixed(file)]
    print("\n".join(found) or f"no known vulnerability of {len(SIDECARS)} images has a fix that they lack")
    return 1 if found else 0

"""The WARs that the copier publishes beside the planter, and the evil one of equal size."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

from tests.hostile.attack import Life

TEXT = b"a page of the shop, as its author wrote it\n"
EVIL = b"a page of the shop, as its thief wrote it.\n"


@cache
def war(files: int = 3, text: bytes = TEXT) -> bytes:
    """Return a WAR of that many pages, ten in a directory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        members = {"WEB-INF/web.xml": b"<web-app/>", "META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\n"}
        members |= {f"pages-{number // 10}/secret-{number % 10}.log": text for number in range(files)}
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # with a fixed time
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def unpublished(target: Path, life: Life, *, unpacked: bool) -> list[str]:
    """Return the WARs that are not in the target as the source has them."""
    with zipfile.ZipFile(io.BytesIO(war(life.pages))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    expected = {}
    for name in life.wars:
        files = (
            {f"{name}/{member}": data for member, data in members.items()}
            if unpacked
            else {f"{name}.war": war(life.pages)}
        )
        expected.update(files)
    return [name for name, data in expected.items() if not _holds(target / name, data)]


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == data

"""Targets of warcopier: archives, checksum files and its own manifest."""

from __future__ import annotations

import contextlib
import io
import zipfile

from sidecars.warcopier.archive.verification import Contents, Limits, verify_archive
from sidecars.warcopier.archive.zip_format import BadArchive
from sidecars.warcopier.source import sha256sums
from sidecars.warcopier.target import manifest
from tests.fuzz.registry import target

_LIMITS = Limits(entries=50, uncompressed_size=100_000, ratio=1000)


@target("warcopier.archive.zip_format", "warcopier.archive.verification", "warcopier.archive.entry_names", reach=75)
def zip_archive(data: bytes) -> None:
    """An archive is refused with BadArchive, or Python's zipfile finds in it what was counted."""
    rule = ("any", "safe", "unpackable")[data[0] % 3] if data else "safe"
    archive = data[1:]
    try:
        contents = verify_archive(lambda offset, length: archive[offset : offset + length], len(archive), _LIMITS, rule)
    except BadArchive:
        return
    assert contents.entries <= _LIMITS.entries
    assert contents.uncompressed_size <= _LIMITS.uncompressed_size
    with contextlib.suppress(NotImplementedError):  # a version or a flag that Python refuses, and Java does not read
        _check_with_zipfile(archive, contents)


def _check_with_zipfile(archive: bytes, contents: Contents) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as other:
        assert len(other.infolist()) == contents.entries
        assert sum(len(other.read(each)) for each in other.infolist()) == contents.uncompressed_size


@target("warcopier.source.sha256sums")
def sha256sums_file(data: bytes) -> None:
    """Each digest is 64 hexadecimal digits, and no name is empty."""
    with contextlib.suppress(ValueError):
        for name, digest in sha256sums.parse(data.decode("utf-8", "replace")).items():
            assert name
            assert len(bytes.fromhex(digest)) == 32


@target("warcopier.target.manifest", reach=40)
def copier_manifest(data: bytes) -> None:
    """A manifest is refused with ValueError, or what is written of it means the same."""
    with contextlib.suppress(ValueError):
        found = manifest.parse(io.BytesIO(data))
        written = b"".join(manifest.render(found))
        assert b"".join(manifest.render(manifest.parse(io.BytesIO(written)))) == written

"""Times of the files of an exploded directory: replicas agree, and a changed file has another time."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import pytest

from tests.warcopier.archives import packed, patched
from tests.warcopier.support import SECOND, TRACKER, UNPACK, Copier, published

NOT_SERVED = {Path("WEB-INF/web.xml"), Path(TRACKER)}


@pytest.mark.parametrize("stamp", [0, 1 << 21, 1 << 16, 0xFFFFFFFF, 0x0000FFFF, 13 << 21 | 1 << 16], ids=hex)
def test_a_date_that_is_none_is_no_error(copier: Copier, stamp: int) -> None:
    data = patched(packed({"a.txt": b"a"}), b"PK\1\2", 12, struct.pack("<L", stamp))
    copier.offer(shop=data)
    published(copier.run(**UNPACK))
    assert (copier.target / "shop" / "a.txt").stat().st_mtime > 0


def times(folder: Path) -> dict[Path, int]:
    """Return the mtime of everything below a directory that a server may serve."""
    found = {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*")}
    return {path: time for path, time in found.items() if path not in NOT_SERVED}


def test_replicas_give_files_and_directories_the_same_times(copier: Copier, tmp_path: Path) -> None:
    files = {f"static/{number % 3}/{number}.js": str(number).encode() for number in range(20)}
    copier.offer(shop=packed({"WEB-INF/web.xml": b"<web-app/>", **files}))
    pods = [tmp_path / name for name in ("here", "there")]
    for pod, zone in zip(pods, ("UTC", "Asia/Tokyo"), strict=True):
        pod.mkdir()
        published(copier.run(**UNPACK, WARCOPIER_TARGET=str(pod), TZ=zone))
        os.utime(copier.source / "shop.war", ns=(1, 1))  # the mtime of the archive does not matter
    assert times(pods[0] / "shop") == times(pods[1] / "shop")
    assert (pods[0] / "shop").stat().st_mtime_ns == (pods[1] / "shop").stat().st_mtime_ns


def reproducible(files: dict[str, bytes], path: Path) -> bytes:
    """Write an archive whose entries all have one time, as reproducible builds do."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 2, 1, 0, 0, 0)), data)
    return path.read_bytes()


def test_a_changed_file_of_the_same_size_and_entry_time_has_another_time_and_an_unchanged_one_keeps_its(
    copier: Copier, tmp_path: Path
) -> None:
    found = []
    for version in (b"1", b"2"):
        copier.offer(shop=reproducible({"a.js": b"version " + version, "b.js": b"b"}, tmp_path / "built"))
        published(copier.run(**UNPACK))
        found.append(times(copier.target / "shop"))
    assert found[0][Path("a.js")] // SECOND != found[1][Path("a.js")] // SECOND
    assert found[0][Path("b.js")] == found[1][Path("b.js")]


def test_the_extended_timestamp_of_an_entry_counts_before_its_dos_time(copier: Copier, tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("empty.txt", (2001, 1, 1, 0, 0, 0))
    entry.extra = struct.pack("<HHBl", 0x5455, 5, 1, 1_700_000_000)
    with zipfile.ZipFile(tmp_path / "built", "w") as archive:
        archive.writestr(entry, b"")
    copier.offer(shop=(tmp_path / "built").read_bytes())
    published(copier.run(**UNPACK))
    assert (copier.target / "shop" / "empty.txt").stat().st_mtime == 1_700_000_000

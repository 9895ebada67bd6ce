"""Unpacking: every entry of the archive becomes a file of the directory, and no file is created elsewhere."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecars.chassis.isolation.beneath import Root
from sidecars.warcopier.archive import verification
from sidecars.warcopier.archive.open_directories import OpenDirectories
from sidecars.warcopier.archive.unpacking import ExplodedDirectoryWriter
from sidecars.warcopier.archive.verification import Limits
from sidecars.warcopier.archive.zip_format import BadArchive
from sidecars.warcopier.transfer.progress import no_progress
from tests.support import examples
from tests.warcopier.archives import overlapping, packed, patched, streamed, twice, wide
from tests.warcopier.support import TRACKER, noise, tree, war

WIDE = Limits(entries=10**6, uncompressed_size=1 << 50, ratio=10**6)


def unpacked(data: bytes, folder: Path, limits: Limits = WIDE, mode: int = 0o644) -> dict[str, bytes]:
    """Unpack an archive, and return the files that it made, without the tracker."""

    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    folder.mkdir(parents=True, exist_ok=True)
    before = os.umask(0)
    try:
        with Root.open(folder) as root, OpenDirectories(root) as directories:
            sink = ExplodedDirectoryWriter(directories, mode, None, no_progress)
            whole = verification.summarize(read, len(data), limits, "unpackable")
            verification.require_no_overlap(
                verification.verify_part(read, whole, part, "unpackable", sink) for part in whole.parts
            )
            sink.finish(1_700_000_000 * 10**9)
    finally:
        os.umask(before)
    found = tree(folder)
    assert found.pop(TRACKER) == b""
    return found


FILES = {"WEB-INF/web.xml": b"<web-app/>", "WEB-INF/lib/a.jar": noise(700_000), "text": b"la" * 200_000, "a/b/c/d": b""}


@pytest.mark.parametrize(
    "data",
    [packed(FILES), packed(FILES, zipfile.ZIP_STORED), streamed(FILES), wide(FILES), b"#!/bin/sh\n" + packed(FILES)],
    ids=["deflated", "stored", "data descriptors", "zip64 fields", "a script before it"],
)
def test_a_good_archive_is_unpacked_whatever_made_it(tmp_path: Path, data: bytes) -> None:
    assert unpacked(data, tmp_path / "app") == FILES


PARTS = st.text(
    st.sampled_from("abAB._ ß\u00e4\u20ac") | st.characters(codec="utf-8", exclude_characters="/\\\0"),
    min_size=1,
    max_size=8,
)
SPECIAL = st.sampled_from(["..", ".", "", "C:", "META-INF", "war-tracker"])
PATHS = st.lists(PARTS | SPECIAL, min_size=1, max_size=4).map("/".join).filter(bool)
FAMOUS = ["/etc/passwd", "../../x", "a/../../x", "a\\..\\x", "C:\\x", "//x", "..", "a/..", "/", "."]
HOSTILE = PATHS | st.sampled_from(FAMOUS)


@examples(300)
@given(st.dictionaries(HOSTILE, st.binary(max_size=20), min_size=1, max_size=5))
@example({"..": b""})
@example({"a": b"", "a/b": b""})
@example({"a/./b": b"1", "a/b": b"2"})
@example({TRACKER: b"mine", TRACKER + "/x": b""})
@example({"./" + TRACKER: b"mine"})
def test_whatever_the_names_are_nothing_lies_outside_and_what_is_accepted_is_complete(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, bytes]
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    inside = outside / "inside"
    try:
        found = unpacked(packed(entries, zipfile.ZIP_STORED), inside)
    except BadArchive as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017 - being refused is as good
    else:
        files = {os.path.normpath(name): data for name, data in entries.items() if not name.endswith("/")}
        files.pop(TRACKER, None)
        assert found == files
    assert [path.name for path in outside.iterdir()] == ["inside"]


def with_mode(mode: int, name: str = "a", system: int = 3) -> bytes:
    """Return an archive with one entry whose Unix mode is this one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.create_system = system
        entry.external_attr = mode << 16
        archive.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind",
    [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR],
    ids=oct,
)
def test_an_entry_that_is_no_file_is_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(BadArchive, match="neither file nor directory, so it is not unpacked: a"):
        unpacked(with_mode(kind | 0o777), tmp_path / "app")


def test_the_owner_can_fill_a_directory_of_files_that_nobody_may_write(tmp_path: Path) -> None:
    unpacked(packed({"a/b": b"", "a/c": b""}), tmp_path / "app", mode=0o444)
    assert (tmp_path / "app" / "a").stat().st_mode == 0o040755
    assert (tmp_path / "app" / "a" / "b").stat().st_mode == 0o100444


def test_only_an_archive_from_unix_says_what_its_entries_were(tmp_path: Path) -> None:
    assert unpacked(with_mode(stat.S_IFLNK | 0o777, system=0), tmp_path / "app") == {"a": b"/etc/passwd"}


@pytest.mark.parametrize("bits", [0o4755, 0o2755, 0o1777, 0o000])
def test_permissions_are_those_asked_for_and_never_the_archives(tmp_path: Path, bits: int) -> None:
    unpacked(with_mode(stat.S_IFREG | bits, "d/a"), tmp_path / "app", mode=0o640)
    assert (tmp_path / "app" / "d" / "a").stat().st_mode == 0o100640
    assert (tmp_path / "app" / "d").stat().st_mode == 0o040750
    assert (tmp_path / "app").stat().st_mode == 0o040750


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed({"a.jsp": b"", "A.jsp": b""}), "differ in nothing or in case only"),
        (packed({"straße": b"", "STRASSE": b""}), "differ in nothing or in case only"),
        (twice("a/b.jsp"), "differ in nothing or in case only"),
        (packed({"a": b"", "a/b": b""}), "want to be the same file"),
        (packed({"a/b": b"", "a": b""}), "want to be the same file"),
        (packed({"a": b"", "a/": b""}), "want to be the same file"),
        (packed({"a/./b": b"", "a/b": b""}), "want to be the same file"),
        (packed({"a\\b": b""}), "backslash"),
        (packed({"x" * 300: b""}), "too long"),
        (packed({"x/": b"data"}, zipfile.ZIP_STORED), "a directory with data"),
        (patched(packed({"a": b"x"}), b"PK\x03\x04", 30, b"b"), "another name"),
        (overlapping(), "overlap"),
        (packed({"a?b": b"x"}).replace(b"a?b", b"a\0b"), "unsafe name"),
    ],
)
def test_what_cannot_be_unpacked_safely_is_refused_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(BadArchive, match=reason):
        unpacked(data, tmp_path / "app")


def test_directories_may_be_named_twice_in_any_order_or_not_at_all(tmp_path: Path) -> None:
    data = packed({"a/b/c.txt": b"c", "a/": b"", "a/b/": b"", "d/": b"", "e/f/": b""})
    assert unpacked(data, tmp_path / "app") == {"a/b/c.txt": b"c"}
    assert (tmp_path / "app" / "d").is_dir()
    assert (tmp_path / "app" / "e" / "f").is_dir()


def test_a_name_in_utf_8_is_kept_byte_for_byte(tmp_path: Path) -> None:
    unpacked(packed({"k\u00f6ln.txt": b"x", "ko\u0308ln.txt": b"y"}), tmp_path / "app")
    found = set(os.listdir(os.fsencode(tmp_path / "app")))  # noqa: PTH208 - names in bytes
    assert {b"k\xc3\xb6ln.txt", b"ko\xcc\x88ln.txt"} <= found


def test_the_archives_own_tracker_is_not_the_one_that_tomcat_finds(tmp_path: Path) -> None:
    unpacked(packed({TRACKER: b"theirs", "a": b""}), tmp_path / "app")
    assert (tmp_path / "app" / TRACKER).read_bytes() == b""
    assert (tmp_path / "app" / TRACKER).stat().st_mtime_ns == 1_700_000_000 * 10**9


def test_what_tomcat_watches_gets_the_new_time_and_the_rest_that_of_its_writing(tmp_path: Path) -> None:
    unpacked(war(), tmp_path / "app")
    assert (tmp_path / "app" / "WEB-INF" / "web.xml").stat().st_mtime == 1_700_000_000
    assert (tmp_path / "app" / "index.html").stat().st_mtime > 1_700_000_000


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(1, 1 << 40, 10**6), "MAX_ENTRIES=1"),
        (Limits(9, 99_999, 10**6), "MAX_UNPACKED_SIZE=99999"),
        (Limits(9, 1 << 40, 5), "MAX_RATIO=5"),
    ],
)
def test_a_bomb_is_stopped_by_what_comes_out_and_not_by_what_it_declares(
    tmp_path: Path, limits: Limits, reason: str
) -> None:
    bomb = packed({"a": bytes(10_000_000), "b": b""})
    with pytest.raises(BadArchive, match=reason):
        unpacked(bomb, tmp_path / "app", limits)
    assert sum(map(len, tree(tmp_path / "app").values())) <= 1 << 20
    liar = patched(bomb, b"PK\x01\x02", 24, struct.pack("<L", 10))
    with pytest.raises(BadArchive, match="does not have the 10 bytes"):
        unpacked(liar, tmp_path / "liar")

"""Depth: no part of the copier recurses over an archive, a leftover or a source, however deep it is."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sidecars.chassis.isolation.beneath import Root
from sidecars.warcopier.archive.entry_names import MAX_DEPTH, MAX_NAME_BYTES
from sidecars.warcopier.source.globbing import glob_paths
from sidecars.warcopier.target import directory_swap
from tests.warcopier.archives import packed
from tests.warcopier.support import (
    NEW,
    OTHER,
    SHOP,
    UNPACK,
    Copier,
    deployed,
    disk,
    entries,
    leftovers,
    names,
    published,
    refused,
    sha256,
    tree_digest,
)

GONE = "0123456789abcdef"


def deep(folder: Path, levels: int) -> None:
    """Make `levels` nested directories, more than a path can name, with a file in each."""
    at = os.open(folder, os.O_RDONLY)
    for level in range(levels):
        os.mkdir("d", dir_fd=at)
        inside = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(os.open(f"file-{level}", os.O_CREAT | os.O_WRONLY, dir_fd=inside))
        os.close(at)
        at = inside
    os.close(at)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("d/" * 500, f"more than {MAX_DEPTH} directories deep"),
        ("d/" * 500 + "file", f"more than {MAX_DEPTH} directories deep"),
        ("d/" * 30_000 + "file", f"more than {MAX_DEPTH} directories deep"),
        ("d/" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} directories deep"),
        (("d" * 200 + "/") * 20, f"more than {MAX_NAME_BYTES} bytes"),
        ("d" * 60_000, f"more than {MAX_NAME_BYTES} bytes"),
        ("d" * 256, "too long to be a file's"),
        ("d" * 256 + "/file", "too long to be a file's"),
    ],
)
def test_an_absurd_depth_or_length_is_refused_each_time_and_leaves_nothing(
    copier: Copier, name: str, said: str
) -> None:
    copier.offer(shop=packed({"WEB-INF/web.xml": b"", name: b""}))
    for _ in range(2):
        outcome = copier.run(**UNPACK)
        refused(outcome, 65, f"{copier.source}/shop.war: has an entry", said, "nothing was published")
        assert len(outcome.last) < 1000
        assert copier.names() == []


def many_directories(count: int) -> bytes:
    """Return an archive whose entries, a few KB each, make 200 directories each."""
    return packed({f"{number}/{'d/' * 199}file": b"" for number in range(count)}, zipfile.ZIP_STORED)


def test_directories_that_are_not_listed_count_as_entries_before_anything_is_written(copier: Copier) -> None:
    copier.offer(shop=many_directories(501))
    outcome = copier.run(**UNPACK)
    refused(outcome, 65, "more files and directories than WARCOPIER_MAX_ENTRIES=100000", "nothing was published")
    assert copier.names() == []
    published(copier.run(), "1 published")


@pytest.mark.parametrize("listed", ["f/", "d/"])
def test_each_directory_counts_once_whether_it_is_listed_or_not(copier: Copier, listed: str) -> None:
    files = {listed: b"", "d/e/one": b"1", "d/two": b"2", "d/e/three": b"3", "four": b"4", "f/": b""}
    copier.offer(shop=packed(files))
    refused(copier.run(**UNPACK, WARCOPIER_MAX_ENTRIES="6"), 65, "WARCOPIER_MAX_ENTRIES=6")
    published(copier.run(**UNPACK, WARCOPIER_MAX_ENTRIES="7"))


def test_the_room_of_directories_is_asked_for(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=many_directories(5))
    with disk("1m", tmp_path / "small") as small:
        refused(copier.run(**UNPACK, WARCOPIER_TARGET=str(small)), 74, "it is too full", "1005 files")
        assert names(small) == []


def test_the_greatest_depth_and_length_are_unpacked_replaced_and_removed(copier: Copier) -> None:
    files = {"d/" * MAX_DEPTH + "file": b"deep", ("d" * 222 + "/") * 16 + "d" * 16: b"long"}
    assert {len(name) for name in files} == {2 * MAX_DEPTH + 4, MAX_NAME_BYTES}
    copier.offer(shop=packed(files))
    published(copier.run(**UNPACK))
    assert deployed(copier.target) == {"shop": tree_digest(files)}
    copier.offer(shop=NEW)
    published(copier.run(**UNPACK))
    assert deployed(copier.target) == {"shop": tree_digest(entries(NEW))}
    assert leftovers(copier.target) == []


@pytest.mark.parametrize("levels", [500, 1_500, 5_000])
def test_a_leftover_of_any_depth_is_swept_with_few_descriptors(copier: Copier, levels: int) -> None:
    leftover = copier.target / "META-INF" / f".warcopier-{GONE}-1.staging"
    leftover.mkdir(parents=True)
    deep(leftover, levels)
    copier.offer(shop=SHOP)
    environ = copier.environ({})
    ended = subprocess.run(
        [sys.executable, "-m", "sidecars.warcopier"],
        env=environ,
        capture_output=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)),
    )
    assert ended.returncode == 0, ended.stderr
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}
    assert leftovers(copier.target) == []


def test_what_cannot_be_swept_is_a_warning_and_the_run_goes_on(copier: Copier) -> None:
    leftover = copier.target / f".warcopier-{GONE}-1.staging"
    leftover.mkdir()
    copier.offer(shop=SHOP)
    outcome = published(copier.run())
    assert outcome.warnings == ["cannot be removed; a later run tries again"]


def test_a_deep_tree_that_the_app_has_made_in_its_directory_goes_with_it(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(**UNPACK))
    deep(copier.target / "shop", 1_500)
    copier.offer(shop=OTHER)
    published(copier.run(**UNPACK))
    assert deployed(copier.target) == {"shop": tree_digest(entries(OTHER))}
    assert leftovers(copier.target) == []


def test_directories_that_nobody_may_enter_are_removed_by_their_owner(copier: Copier) -> None:
    leftover = copier.target / "META-INF" / f".warcopier-{GONE}-1.staging"
    inner = leftover / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    for path in (inner, inner.parent, leftover):
        path.chmod(0)
    copier.offer(shop=SHOP)
    published(copier.run_without_power())
    assert leftovers(copier.target) == []


# -- sources ----------------------------------------------------------------------------------------------------------


def test_a_glob_goes_as_deep_as_a_path_can(copier: Copier) -> None:
    deep(copier.source, 3_000)
    place = copier.source / Path("d/" * 1_500)
    (place / "shop.war").write_bytes(SHOP)
    published(copier.run(WARCOPIER_SOURCE=f"{copier.source}/**/*.war"))
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}
    copier.source.rename(copier.source.parent / "away")  # too deep for pytest to remove
    with Root.open(copier.source.parent) as root:
        directory_swap.remove_tree(root, "away")


def test_links_in_a_circle_do_not_hold_a_glob_up(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.source / "more").mkdir()
    (copier.source / "more" / "other.war").write_bytes(OTHER)
    for name in ("x", "y", "more/z"):
        (copier.source / name).symlink_to(copier.source)
    published(copier.run(WARCOPIER_SOURCE=f"{copier.source}/**/*.war"))
    assert sorted(deployed(copier.target)) == ["other.war", "shop.war"]


def test_a_link_to_a_directory_is_entered_by_a_glob(copier: Copier) -> None:
    far = copier.source.parent / "far"
    far.mkdir()
    (far / "shop.war").write_bytes(SHOP)
    (copier.source / "near").symlink_to(far)
    assert glob_paths(f"{copier.source}/**/*.war") == [f"{copier.source}/near/shop.war"]
    assert glob_paths(f"{copier.source}/**/near/*.war") == [f"{copier.source}/near/shop.war"]


def test_a_chain_of_links_is_a_source_that_cannot_be_read(copier: Copier) -> None:
    for number in range(1_500):
        (copier.source / f"link-{number}").symlink_to(f"link-{number + 1}")
    (copier.source / "link-1500").write_bytes(SHOP)
    (copier.source / "shop.war").symlink_to("link-0")
    refused(copier.run(), 74, f"{copier.source}", "cannot be read", "Too many levels of symbolic links")
    refused(copier.run(WARCOPIER_WATCH="true", WARCOPIER_ADMIN_LISTEN="off"), 74, "Too many levels of symbolic links")


def test_modes_of_what_a_glob_cannot_enter_are_no_error(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    closed = copier.source / "closed"
    closed.mkdir()
    closed.chmod(0)
    published(copier.run_without_power(WARCOPIER_SOURCE=f"{copier.source}/**/*.war"))
    closed.chmod(stat.S_IRWXU)

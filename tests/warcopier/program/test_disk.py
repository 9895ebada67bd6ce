"""Disks that are full or read-only: real file systems of a few pages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.warcopier.archives import packed
from tests.warcopier.support import (
    MANIFEST,
    SHOP,
    UNPACK,
    Copier,
    Disk,
    deployed,
    disk,
    leftovers,
    names,
    noise,
    refused,
    sha256,
    tree_digest,
    war,
)

SMALL, BIG = war("small"), war(size=2_000_000)


def blinded(copier: Copier, folder: Path) -> str:
    """Return a PYTHONPATH on which the program takes every disk for huge, so that no precheck refuses."""
    (folder / "sitecustomize.py").write_text(
        "import os\n"
        "class Wide:\n    f_blocks = f_bavail = 1 << 40\n    f_frsize = f_files = f_favail = 4096\n"
        "os.statvfs = lambda file: Wide\n"
    )
    return os.pathsep.join([str(folder), copier.environ({})["PYTHONPATH"]])


def test_a_disk_that_is_too_small_is_told_with_the_bytes_needed_and_free_before_any_is_written(
    copier: Copier, tmp_path: Path
) -> None:
    copier.offer(ROOT=SMALL, shop=BIG)
    with disk("1m", tmp_path / "disk") as target:
        outcome = copier.run(WARCOPIER_TARGET=str(target))
        assert outcome.code == 74, outcome.stderr
        assert f"WARCOPIER_TARGET={target}: it is too full: {len(SMALL) + len(BIG)} bytes are needed for 2 files" in (
            outcome.last
        )
        assert "1048576 are free" in outcome.last
        assert names(target) == []


def test_room_is_needed_beside_the_old_war_which_stays_when_there_is_none(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=BIG)
    with disk("3m", tmp_path / "disk") as target:
        assert copier.run(WARCOPIER_TARGET=str(target)).code == 0
        copier.offer(shop=war(size=2_000_000, seed=1))
        outcome = copier.run(WARCOPIER_TARGET=str(target))
        assert outcome.code == 74
        assert "too full" in outcome.last
        assert deployed(target) == {"shop.war": sha256(BIG)}
        assert leftovers(target) == []


@pytest.mark.parametrize("allowed", [0, 1, 2, 3])
def test_a_disk_that_fills_up_in_the_act_leaves_the_old_war_and_nothing_else(
    copier: Copier, tmp_path: Path, allowed: int
) -> None:
    """The limit of this disk is its number of files. The precheck does not count the lock file."""
    copier.offer(shop=SMALL)
    with disk("1m", tmp_path / "disk") as target:
        assert copier.run(WARCOPIER_TARGET=str(target)).code == 0
    with disk(f"1m,nr_inodes={2 + allowed}", tmp_path / "disk") as target:
        (target / "shop.war").write_bytes(SMALL)
        copier.offer(ROOT=war("root"), shop=war("another"))
        outcome = copier.run(WARCOPIER_TARGET=str(target))
        if allowed < 3:  # a lock and two staged WARs
            assert outcome.code == 74, outcome.stderr
            full = "it is full (No space left on device)" if allowed == 2 else f"there is room for {allowed} more files"
            assert full in outcome.last
            assert deployed(target) == {"shop.war": sha256(SMALL)}
        else:
            assert outcome.code == 0, outcome.stderr
            assert sorted(deployed(target)) == ["ROOT.war", "shop.war"]
        assert leftovers(target) == []


def test_bytes_that_do_not_fit_although_the_disk_said_so_leave_nothing(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=BIG)
    with disk("1m", tmp_path / "disk") as target:
        path = blinded(copier, tmp_path)
        outcome = copier.run(WARCOPIER_TARGET=str(target), PYTHONPATH=path)
        assert outcome.code == 74, outcome.stderr
        assert f"WARCOPIER_TARGET={target}: it is full (No space left on device)" in outcome.last
        assert names(target) == []


def test_a_record_that_does_not_fit_is_no_reason_to_fail(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=SMALL)
    # The root, the lock and the WAR.
    with disk("1m,nr_inodes=3", tmp_path / "disk") as target:
        outcome = copier.run(WARCOPIER_TARGET=str(target))
        assert outcome.code == 0, outcome.stderr
        assert outcome.warnings[-1] == "the manifest could not be written: the next run will read everything again"
        assert names(target) == ["shop.war"]


def test_a_read_only_target_is_told(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=SMALL)
    with Disk("1m", tmp_path / "disk") as small:
        target = small.path
        small.make_read_only()
        outcome = copier.run(WARCOPIER_TARGET=str(target))
        assert outcome.code == 74, outcome.stderr
        assert outcome.last == f"WARCOPIER_TARGET={target}: it is read-only: mount it without readOnly"
        assert names(target) == []


def test_a_read_only_target_with_all_in_it_is_good_enough(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=SMALL)
    with Disk("1m", tmp_path / "disk") as small:
        target = small.path
        assert copier.run(WARCOPIER_TARGET=str(target)).code == 0
        small.make_read_only()
        outcome = copier.run(WARCOPIER_TARGET=str(target))
        assert outcome.code == 0, outcome.stderr
        assert outcome.last == "nothing to do: 1 unchanged"
        assert names(target) == [MANIFEST, "shop.war"]


def test_it_publishes_from_one_file_system_to_another(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=BIG)
    with disk("10m", tmp_path / "disk") as target:
        assert copier.run(WARCOPIER_TARGET=str(target)).code == 0
        assert deployed(target) == {"shop.war": sha256(BIG)}


TREE = {f"WEB-INF/classes/{number}.class": noise(40_000, number) for number in range(20)}


def test_room_for_what_is_unpacked_is_asked_for_before_any_is_written(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=packed({"WEB-INF/web.xml": b"", "noise": noise(2_000_000)}))
    with disk("1m", tmp_path / "disk") as target:
        outcome = copier.run(WARCOPIER_TARGET=str(target), **UNPACK)
        assert outcome.code == 74, outcome.stderr
        assert "it is too full: 2007040 bytes are needed for 3 files, 1048576 are free" in outcome.last
        assert names(target) == []


@pytest.mark.parametrize("inodes", [2, 5, 10, 22])
def test_a_disk_that_fills_up_while_it_is_unpacked_leaves_the_old_directory_and_nothing_else(
    copier: Copier, tmp_path: Path, inodes: int
) -> None:
    """The precheck passes: the archive declares neither its directories nor the lock file."""
    copier.offer(shop=packed(TREE))
    with disk(f"2m,nr_inodes={inodes}", tmp_path / "disk") as target:
        (target / "theirs.war").write_bytes(SMALL)
        outcome = copier.run(WARCOPIER_TARGET=str(target), **UNPACK)
        assert outcome.code == 74, outcome.stderr
        assert "full" in outcome.last
        assert names(target) == ["theirs.war"]


def test_bytes_that_do_not_fit_while_it_is_unpacked_leave_the_old_directory(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=packed({"WEB-INF/web.xml": b"old"}))
    path = blinded(copier, tmp_path)
    with disk("500k", tmp_path / "disk") as target:
        assert copier.run(WARCOPIER_TARGET=str(target), **UNPACK).code == 0
        copier.offer(shop=packed(TREE))
        outcome = copier.run(WARCOPIER_TARGET=str(target), PYTHONPATH=path, **UNPACK)
        assert outcome.code == 74, outcome.stderr
        assert "it is full (No space left on device)" in outcome.last
        assert deployed(target) == {"shop": tree_digest({"WEB-INF/web.xml": b"old"})}
        assert leftovers(target) == []


def test_a_read_only_target_is_told_when_unpacking_too(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=SMALL)
    with Disk("1m", tmp_path / "disk") as small:
        small.make_read_only()
        outcome = copier.run(WARCOPIER_TARGET=str(small.path), **UNPACK)
        assert outcome.code == 74, outcome.stderr
        assert outcome.last == f"WARCOPIER_TARGET={small.path}: it is read-only: mount it without readOnly"


def test_a_reserve_is_kept_on_a_real_disk(copier: Copier, tmp_path: Path) -> None:
    copier.offer(shop=SMALL)
    with disk("1m", tmp_path / "disk") as target:
        outcome = copier.run(WARCOPIER_TARGET=str(target), WARCOPIER_RESERVE="1MiB")
        assert outcome.code == 74, outcome.stderr
        assert f"{len(SMALL)} bytes are needed for 1 file and 1048576 to be left (WARCOPIER_RESERVE)" in outcome.last
        assert copier.run(WARCOPIER_TARGET=str(target), WARCOPIER_RESERVE="900KiB").code == 0


def test_room_that_is_to_be_left_is_left(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    refused(
        copier.run(WARCOPIER_RESERVE="1000TiB"), 74, "it is too full", f"{1000 << 40} to be left (WARCOPIER_RESERVE)"
    )
    assert copier.names() == []

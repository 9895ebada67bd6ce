"""Further runs: only artifacts that differ are touched; WARCOPIER_OVERWRITE changes that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.warcopier.support import (
    MANIFEST,
    NEW,
    OTHER,
    SECOND,
    SHOP,
    Copier,
    deployed,
    published,
    refused,
    sha256,
    war,
)


def everything(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return the inodes and times of a directory and everything in it."""
    return {
        path.name: (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns)
        for path in [folder, *folder.iterdir()]
    }


def test_a_second_run_touches_nothing_and_says_so(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    copier.run()
    before = everything(copier.target)
    again = copier.run()
    assert again.code == 0
    assert again.last == "nothing to do: 2 unchanged"
    assert again.logs[-1]["sha256"] == f"ROOT.war sha256:{sha256(OTHER)}, shop.war sha256:{sha256(SHOP)}"
    assert everything(copier.target) == before


def test_an_identical_war_of_another_time_is_not_touched(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    before = everything(copier.target)
    (copier.source / "shop.war").unlink()
    copier.offer(shop=SHOP)
    os.utime(copier.source / "shop.war", ns=(1, 1))
    assert copier.run().last == "nothing to do: 1 unchanged"
    assert everything(copier.target) == before


def test_an_identical_war_that_somebody_else_put_there_is_not_touched(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop.war").write_bytes(SHOP)
    before = everything(copier.target)["shop.war"]
    assert copier.run().last == "nothing to do: 1 unchanged"
    assert everything(copier.target)["shop.war"] == before


def test_an_identical_but_broken_war_that_somebody_else_put_there_is_refused(copier: Copier) -> None:
    copier.offer(shop=SHOP[:-5])
    (copier.target / "shop.war").write_bytes(SHOP[:-5])
    refused(copier.run(), 65, "is cut short")


@pytest.mark.parametrize("mtime", [SECOND, 1_700_000_000 * SECOND + 123_456_789])
def test_a_changed_war_of_the_same_size_and_time_is_noticed_here_and_by_tomcat(copier: Copier, mtime: int) -> None:
    """Reproducible builds give every WAR the same mtime."""
    one, other = war("version 1"), war("version 2")
    assert len(one) == len(other)
    for data in (one, other, one):
        before = {path.stat().st_mtime_ns // SECOND for path in copier.target.glob("*.war")}
        copier.offer(shop=data)
        os.utime(copier.source / "shop.war", ns=(mtime, mtime))
        assert copier.run().last == "1 published, 0 unchanged"
        assert deployed(copier.target) == {"shop.war": sha256(data)}
        assert (copier.target / "shop.war").stat().st_mtime_ns // SECOND not in before


def test_the_new_time_differs_also_from_that_of_the_directory_that_tomcat_unpacked(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    tracker = copier.target / "shop" / "META-INF" / "war-tracker"
    tracker.parent.mkdir(parents=True)
    tracker.touch()
    copier.run()
    published = (copier.target / "shop.war").stat().st_mtime_ns
    assert published // SECOND != tracker.stat().st_mtime_ns // SECOND


def test_only_what_changed_is_published_again(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    copier.run()
    before = everything(copier.target)
    copier.offer(shop=war("a new one"))
    outcome = copier.run()
    assert outcome.last == "1 published, 1 unchanged"
    assert everything(copier.target)["ROOT.war"] == before["ROOT.war"]


def test_what_was_changed_in_the_target_is_published_again(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    place = copier.target / "shop.war"
    times = place.stat()
    with place.open("r+b") as file:
        file.write(b"X")
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert copier.run().last == "1 published, 0 unchanged"
    assert place.read_bytes() == SHOP


def test_what_was_deleted_from_the_target_is_published_again(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    (copier.target / "shop.war").unlink()
    assert copier.run().last == "1 published, 0 unchanged"
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}


@pytest.mark.parametrize("raw", [b"", b"garbage", b'{"version":99}', b"[" * 5000])
def test_a_record_that_is_of_no_use_is_replaced(copier: Copier, raw: bytes) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    good = (copier.target / MANIFEST).read_bytes()
    (copier.target / MANIFEST).write_bytes(raw)
    outcome = copier.run()
    assert outcome.last == "nothing to do: 1 unchanged"
    assert outcome.warnings == ["the manifest is not valid: everything is read again"]
    assert (copier.target / MANIFEST).read_bytes() == good


def test_a_record_that_lies_about_the_digest_of_a_good_war_is_corrected(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    good = (copier.target / MANIFEST).read_bytes()
    (copier.target / MANIFEST).write_bytes(good.replace(sha256(SHOP).encode(), sha256(b"something else").encode()))
    again = copier.run()
    assert again.last == "nothing to do: 1 unchanged"
    assert again.logs[-1]["sha256"] == f"shop.war sha256:{sha256(SHOP)}"
    assert (copier.target / MANIFEST).read_bytes() == good


def test_a_stricter_check_is_made_up_for(copier: Copier) -> None:
    copier.offer(shop=war(size=5000))
    assert copier.run(WARCOPIER_VALIDATE="none").code == 0
    refused(copier.run(WARCOPIER_MAX_UNPACKED_SIZE="1KiB"), 65, "WARCOPIER_MAX_UNPACKED_SIZE=1024")
    assert copier.run().last == "nothing to do: 1 unchanged"


def test_what_is_no_longer_in_the_source_stays(copier: Copier) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    copier.run()
    (copier.source / "old.war").unlink()
    assert copier.run().code == 0
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "pipe"])
def test_what_is_no_file_in_the_target_is_replaced_and_never_followed(copier: Copier, kind: str) -> None:
    copier.offer(shop=SHOP)
    elsewhere = copier.source.parent / "elsewhere"
    if kind == "pipe":
        os.mkfifo(copier.target / "shop.war")
    else:
        (copier.target / "shop.war").symlink_to(elsewhere)
    if kind == "link":
        elsewhere.write_bytes(SHOP)
    assert copier.run().code == 0
    assert not (copier.target / "shop.war").is_symlink()
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}
    assert elsewhere.exists() == (kind == "link")


# -- OVERWRITE ----------------------------------------------------------------------------------------------------


def test_always_gives_an_identical_war_a_time_that_tomcat_does_not_know(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    before = (copier.target / "shop.war").stat()
    published(copier.run(WARCOPIER_OVERWRITE="always"), "1 published")
    assert (copier.target / "shop.war").stat().st_mtime_ns // SECOND != before.st_mtime_ns // SECOND


def test_never_leaves_what_is_there_and_publishes_what_is_not(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    copier.offer(shop=NEW, ROOT=OTHER)
    outcome = published(copier.run(WARCOPIER_OVERWRITE="never"), "1 published, 1 unchanged")
    assert deployed(copier.target) == {"shop.war": sha256(SHOP), "ROOT.war": sha256(OTHER)}
    assert f"shop.war sha256:{sha256(SHOP)}" in outcome.logs[-1]["sha256"]
    published(copier.run(), "1 published, 1 unchanged")

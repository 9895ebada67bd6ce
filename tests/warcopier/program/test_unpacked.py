"""WARCOPIER_UNPACK: exploded directories instead of WARs, each published whole or not at all."""

from __future__ import annotations

import io
import zipfile

import pytest

from tests.warcopier.archives import packed
from tests.warcopier.support import (
    MANIFEST,
    NEW,
    OTHER,
    SECOND,
    SHOP,
    TRACKER,
    UNPACK,
    Copier,
    deployed,
    entries,
    leftovers,
    published,
    refused,
    sha256,
    tree_digest,
)


def test_the_directory_is_published_instead_of_the_archive(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    outcome = published(copier.run(**UNPACK), "2 published")
    assert deployed(copier.target) == {"shop": tree_digest(entries(SHOP)), "ROOT": tree_digest(entries(OTHER))}
    assert (copier.target / "shop" / TRACKER).is_file()
    assert f"shop sha256:{sha256(SHOP)}" in outcome.logs[-1]["sha256"]
    assert copier.names() == [MANIFEST, "ROOT", "shop"]
    assert (copier.target / "shop").stat().st_mode == 0o040755
    assert (copier.target / "shop" / "WEB-INF" / "web.xml").stat().st_mode == 0o100644


def test_an_unchanged_directory_is_not_touched_even_where_the_app_has_written_into_it(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(**UNPACK))
    (copier.target / "shop" / "upload.txt").write_text("a visitor's")
    before = (copier.target / "shop").stat()
    published(copier.run(**UNPACK), "nothing to do: 1 unchanged")
    assert (copier.target / "shop").stat() == before


def test_another_limit_is_checked_without_a_redeployment(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(**UNPACK))
    before = (copier.target / "shop").stat()
    published(copier.run(**UNPACK, WARCOPIER_MAX_ENTRIES="10"), "nothing to do")
    refused(copier.run(**UNPACK, WARCOPIER_MAX_ENTRIES="1"), 65, "WARCOPIER_MAX_ENTRIES=1")
    assert (copier.target / "shop").stat() == before


def test_a_changed_one_takes_the_place_of_the_old_one_whole(copier: Copier) -> None:
    copier.offer(shop=packed({"WEB-INF/web.xml": b"old", "only-old": b""}))
    published(copier.run(**UNPACK))
    before = (copier.target / "shop" / "WEB-INF" / "web.xml").stat().st_mtime_ns // SECOND
    new = {"WEB-INF/web.xml": b"new", "only-new": b""}
    copier.offer(shop=packed(new))
    published(copier.run(**UNPACK), "1 published")
    assert deployed(copier.target) == {"shop": tree_digest(new)}
    assert leftovers(copier.target) == []
    after = (copier.target / "shop" / "WEB-INF" / "web.xml").stat().st_mtime_ns // SECOND
    assert after != before, "Tomcat reloads when the time of WEB-INF/web.xml differs"


def test_where_two_directories_cannot_change_places_two_renames_do_it(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(**UNPACK))
    copier.offer(shop=NEW)
    incapable = (
        "import errno; from sidecars.warcopier.target import directory_swap\n"
        "def cannot(*_): raise OSError(errno.EINVAL, 'Invalid argument')\n"
        "directory_swap.exchange = cannot"
    )
    published(copier.run_altered(incapable, **UNPACK))
    assert deployed(copier.target) == {"shop": tree_digest(entries(NEW))}
    assert leftovers(copier.target) == []


def test_a_directory_that_tomcat_unpacked_is_replaced_and_one_that_nobody_knows_is_not(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop").mkdir()
    (copier.target / "shop" / "precious").touch()
    refused(copier.run(**UNPACK), 74, f"{copier.target}/shop: neither Tomcat nor an earlier run has unpacked it")
    assert (copier.target / "shop" / "precious").exists()
    (copier.target / "shop" / "META-INF").mkdir()
    (copier.target / "shop" / TRACKER).touch()
    published(copier.run(**UNPACK))
    assert deployed(copier.target) == {"shop": tree_digest(entries(SHOP))}


def test_from_archives_to_directories_and_back(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    archive_time = (copier.target / "shop.war").stat().st_mtime_ns // SECOND
    published(copier.run(**UNPACK), "1 published")
    assert list(deployed(copier.target)) == ["shop"]
    assert (copier.target / "shop" / TRACKER).stat().st_mtime_ns // SECOND != archive_time
    published(copier.run(), "1 published")
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}
    assert copier.names() == [MANIFEST, "shop.war"]


def test_a_war_of_somebody_else_beside_the_directory_is_told(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop.war").write_bytes(OTHER)
    refused(copier.run(**UNPACK), 74, f"{copier.target}/shop.war: Tomcat would unpack that one")


@pytest.mark.parametrize(
    "name",
    ["../evil", "/evil", "a/../../evil", "a\\b", "C:\\evil"],
    ids=["up", "absolute", "up later", "backslash", "drive"],
)
def test_an_archive_that_would_write_elsewhere_is_refused_and_nothing_is_left(copier: Copier, name: str) -> None:
    copier.offer(shop=packed({"WEB-INF/web.xml": b"", name: b"x"}))
    refused(copier.run(**UNPACK), 65, "shop.war: has an entry with", "nothing was published")
    assert copier.names() == []
    assert not (copier.target.parent / "evil").exists()


def test_a_link_in_an_archive_is_refused(copier: Copier) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.create_system, entry.external_attr = 3, 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    copier.offer(shop=buffer.getvalue())
    refused(copier.run(**UNPACK), 65, "neither file nor directory")
    assert copier.names() == []


def test_a_bomb_is_refused_and_nothing_of_it_is_left(copier: Copier) -> None:
    copier.offer(shop=packed({"zeros": bytes(20_000_000)}))
    refused(copier.run(**UNPACK), 65, "WARCOPIER_MAX_RATIO=200")
    assert copier.names() == []


def test_a_thousand_entries_are_unpacked(copier: Copier) -> None:
    files = {f"WEB-INF/classes/{number % 37}/{number}.class": str(number).encode() for number in range(1000)}
    copier.offer(shop=packed(files))
    published(copier.run(**UNPACK))
    assert deployed(copier.target) == {"shop": tree_digest(files)}

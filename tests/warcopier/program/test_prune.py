"""WARCOPIER_PRUNE: artifacts of an earlier run that the source no longer has are removed, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.warcopier.support import MANIFEST, NEW, OTHER, PRUNE, SHOP, UNPACK, Copier, deployed, published, refused


@pytest.mark.parametrize("how", [{}, UNPACK], ids=["archives", "directories"])
def test_only_what_an_earlier_run_published_and_the_source_no_longer_has_is_removed(
    copier: Copier, how: dict[str, str]
) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run(**how))
    (copier.target / "theirs.war").write_bytes(NEW)
    (copier.target / "mine").mkdir()
    (copier.source / "old.war").unlink()
    outcome = published(copier.run(**how, **PRUNE), "0 published, 1 unchanged, 1 pruned")
    assert [line["file"] for line in outcome.logs if line["msg"].startswith("removed")] == ["old" if how else "old.war"]
    assert sorted(copier.names()) == sorted([MANIFEST, "mine", "theirs.war", "shop" if how else "shop.war"])
    published(copier.run(**how, **PRUNE), "nothing to do: 1 unchanged")


def test_what_somebody_has_changed_since_is_not_removed(copier: Copier) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.target / "old.war").write_bytes(NEW)
    (copier.source / "old.war").unlink()
    assert "it was changed since" in published(copier.run(**PRUNE)).warnings[0]
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]
    assert published(copier.run(**PRUNE)).warnings == []


def link_elsewhere(place: Path) -> None:
    place.symlink_to("shop.war")


def link_to_itself(place: Path) -> None:
    place.symlink_to(place.name)


@pytest.mark.parametrize("put", [link_elsewhere, link_to_itself, os.mkfifo, Path.mkdir])
def test_what_somebody_has_put_in_the_place_of_a_war_is_neither_read_nor_removed(
    copier: Copier, put: Callable[[Path], None]
) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.source / "old.war").unlink()
    (copier.target / "old.war").unlink()
    put(copier.target / "old.war")
    assert "it was changed since" in published(copier.run(**PRUNE), "nothing to do").warnings[0]
    assert "old.war" in copier.names()


@pytest.mark.parametrize("put", [link_elsewhere, link_to_itself, os.mkfifo])
def test_what_somebody_has_put_beside_a_directory_is_told(copier: Copier, put: Callable[[Path], None]) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.target / "old.war").unlink()
    put(copier.target / "old.war")
    refused(copier.run(**UNPACK), 74, "old.war: Tomcat would unpack that one", "remove it")


def test_a_record_with_a_name_that_no_file_can_have_prunes_nothing(copier: Copier) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    manifest = copier.target / MANIFEST
    manifest.write_text(manifest.read_text().replace('"old.war"', f'"{"x" * 300}"'))
    (copier.source / "old.war").unlink()
    published(copier.run(**PRUNE), "nothing to do: 1 unchanged")
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]


def test_what_was_only_touched_since_is_removed(copier: Copier) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.target / "old.war").chmod(0o600)
    (copier.source / "old.war").unlink()
    published(copier.run(**PRUNE), "1 pruned")


@pytest.mark.parametrize("raw", [None, b"garbage"])
def test_without_a_record_nothing_is_removed(copier: Copier, raw: bytes | None) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.source / "old.war").unlink()
    (copier.target / MANIFEST).unlink()
    if raw:
        (copier.target / MANIFEST).write_bytes(raw)
    published(copier.run(**PRUNE))
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]


def test_a_source_that_is_empty_prunes_nothing(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    (copier.source / "shop.war").unlink()
    refused(copier.run(**PRUNE), 78, "there is no *.war there")
    assert list(deployed(copier.target)) == ["shop.war"]


def test_nothing_is_removed_when_what_is_new_cannot_be_published(copier: Copier) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.source / "old.war").unlink()
    copier.offer(broken=b"<html>")
    refused(copier.run(**PRUNE), 65, "is not a zip")
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]

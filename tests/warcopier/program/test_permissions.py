"""Owners and modes: those of the settings, and those that prevent a run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.warcopier.support import (
    OTHER,
    SHOP,
    Copier,
    deployed,
    entries,
    leftovers,
    published,
    refused,
    sha256,
    tree_digest,
    war,
)


def test_the_umask_does_not_keep_tomcat_from_reading(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    script = f'umask 077; exec "{sys.executable}" -m sidecars.warcopier'
    subprocess.run(["sh", "-c", script], env=copier.environ({}), check=True, stderr=subprocess.DEVNULL)
    assert (copier.target / "shop.war").stat().st_mode == 0o100644


@pytest.mark.parametrize("size", [0, 2_000_000])
def test_permissions_are_those_asked_for(copier: Copier, size: int) -> None:
    copier.offer(shop=war(size=size))
    published(copier.run(WARCOPIER_MODE="0600"))
    assert (copier.target / "shop.war").stat().st_mode == 0o100600


def test_other_permissions_of_an_identical_war_are_set_without_a_redeployment(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    before = (copier.target / "shop.war").stat()
    published(copier.run(WARCOPIER_MODE="0640"), "nothing to do")
    after = (copier.target / "shop.war").stat()
    assert after.st_mode == 0o100640
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    published(copier.run(WARCOPIER_MODE="0640"), "nothing to do")


@pytest.mark.parametrize("unpack", ["false", "true"])
def test_the_owner_is_the_one_asked_for_where_that_is_allowed(copier: Copier, unpack: str) -> None:
    copier.offer(shop=SHOP)
    owner = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    published(copier.run(WARCOPIER_OWNER=f"{owner[0]}:{owner[1]}", WARCOPIER_UNPACK=unpack))
    places = [copier.target / "shop", *(copier.target / "shop").rglob("*")]
    for place in places if unpack == "true" else [copier.target / "shop.war"]:
        assert (place.stat().st_uid, place.stat().st_gid) == owner, place


def test_an_owner_that_may_not_be_set_is_told(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    bad_archive_refused = (
        "import os\ndef refuse(*_): raise PermissionError(1, 'Operation not permitted')\nos.fchown = refuse"
    )
    refused(copier.run_altered(bad_archive_refused, WARCOPIER_OWNER="1:1"), 74, "WARCOPIER_OWNER=1:1: user")
    assert copier.names() == []


# -- what may not be read or written ------------------------------------------------------------------------------


def test_a_target_of_somebody_else_is_named_with_the_user_and_the_way_out(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.target.chmod(0o555)
    if os.geteuid() == 0:
        os.chown(copier.target, 12345, 12345)
    user = f"by user {os.geteuid()}, group {os.getegid()}"
    refused(copier.run_without_power(), 74, f"WARCOPIER_TARGET={copier.target}: cannot be written {user}", "fsGroup")


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_source_that_may_not_be_read_is_named(copier: Copier, what: str) -> None:
    copier.offer(shop=SHOP)
    place = copier.source / "shop.war" if what == "file" else copier.source
    place.chmod(0)
    if os.geteuid() == 0:
        os.chown(place, 12345, 12345)
    try:
        refused(copier.run_without_power(), 74, f"{place}: cannot be read by user", "Permission denied")
    finally:
        place.chmod(0o755)
    assert copier.names() == []


def test_a_read_only_leftover_of_another_user_is_replaced(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    place = copier.target / "shop.war"
    place.write_bytes(OTHER)
    place.chmod(0)
    if os.geteuid() == 0:
        os.chown(place, 12345, 12345)
    assert copier.run_without_power().code == 0
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}


def test_read_only_directories_of_an_earlier_run_are_replaced_and_removed(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    settings = {"WARCOPIER_UNPACK": "true", "WARCOPIER_MODE": "0444"}
    assert copier.run_without_power(**settings).code == 0
    for place in (copier.target / "shop").rglob("*"):
        if place.is_dir():
            place.chmod(0o555)
    copier.offer(shop=OTHER)
    outcome = copier.run_without_power(**settings)
    assert outcome.code == 0, outcome.stderr
    assert deployed(copier.target) == {"shop": tree_digest(entries(OTHER))}
    assert leftovers(copier.target) == []

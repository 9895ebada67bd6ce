"""Refusals, with nothing published: a broken WAR, a zip bomb, a useless target, a bad copy."""

from __future__ import annotations

import io
import zipfile

import pytest

from tests.warcopier.support import OTHER, SHOP, Copier, noise, refused, war

BAD = {
    "empty": (b"", "is empty"),
    "a page instead": (b"<html>404 Not Found</html>", "is not a zip"),
    "cut short": (SHOP[:-1], "is cut short"),
    "half": (war(size=100_000)[:50_000], "is cut short"),
    "without entries": (b"PK\5\6" + bytes(18), "without any entry"),
    "damaged": (war(size=5000).replace(noise(5000)[100:110], bytes(10)), "is damaged"),
    "more behind it": (SHOP + b"\n", "end record is missing"),
}


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD.keys())
def test_a_broken_war_is_refused_and_nothing_at_all_is_published(copier: Copier, data: bytes, said: str) -> None:
    (copier.target / "shop.war").write_bytes(OTHER)
    copier.offer(a=SHOP, shop=data, z=SHOP)
    outcome = copier.run()
    refused(outcome, 65, f"{copier.source}/shop.war: ", said, "; nothing was published")
    assert copier.names() == ["shop.war"]
    assert (copier.target / "shop.war").read_bytes() == OTHER


def test_names_that_lead_out_of_the_application_are_refused_unless_only_a_zip_is_asked_for(copier: Copier) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../etc/cron.d/x", "")
    copier.offer(evil=buffer.getvalue())
    refused(copier.run(), 65, "unsafe name: ../../etc/cron.d/x")
    assert copier.run(WARCOPIER_VALIDATE="zip").code == 0


def test_without_a_check_anything_is_published(copier: Copier) -> None:
    copier.offer(shop=b"no archive at all")
    assert copier.run(WARCOPIER_VALIDATE="none").code == 0
    assert (copier.target / "shop.war").read_bytes() == b"no archive at all"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("WARCOPIER_MAX_UNPACKED_SIZE", "1MB"), ("WARCOPIER_MAX_ENTRIES", "1"), ("WARCOPIER_MAX_RATIO", "20")],
)
def test_a_bomb_is_refused_by_each_of_the_limits(copier: Copier, variable: str, value: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("WEB-INF/a", bytes(5_000_000))
        archive.writestr("WEB-INF/b", noise(100_000))
    copier.offer(bomb=buffer.getvalue())
    refused(copier.run(**{variable: value}), 65, f"more than {variable}=")
    assert copier.names() == []
    assert copier.run().code == 0


def test_a_target_that_is_missing_is_named(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    missing = f"{copier.target}/no"
    refused(copier.run(WARCOPIER_TARGET=missing), 74, f"WARCOPIER_TARGET={missing}: there is no such directory")


def test_a_target_that_is_a_file_is_named(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    place = copier.source / "shop.war"
    refused(copier.run(WARCOPIER_TARGET=str(place)), 74, f"WARCOPIER_TARGET={place}: it is not a directory")


def test_a_directory_where_the_war_belongs_is_named_and_left_alone(copier: Copier) -> None:
    copier.offer(a=SHOP, shop=SHOP)
    (copier.target / "shop.war").mkdir()
    refused(copier.run(), 74, f"{copier.target}/shop.war is a directory")
    assert copier.names() == ["shop.war"]


def test_a_source_that_changes_while_it_is_copied_is_refused(copier: Copier) -> None:
    copier.offer(shop=war(size=2_000_000))
    appending = (
        "from sidecars.warcopier.target import stager; copy = stager.copy\n"
        f"stager.copy = lambda *args: (copy(*args), open({str(copier.source / 'shop.war')!r}, 'ab').write(b'x'))[0]"
    )
    outcome = copier.run_altered(appending)
    refused(outcome, 74, "shop.war: it was changed while it was being copied")
    assert copier.names() == []


def test_a_copy_that_differs_from_what_was_read_is_refused(copier: Copier) -> None:
    copier.offer(shop=war(size=2_000_000))
    flipping = (
        "import os; from sidecars.warcopier.target import stager; copy = stager.copy\n"
        "stager.copy = lambda r, w, *n: (copy(r, w, *n), os.pwrite(w, b'?', 5000))[0]"
    )
    outcome = copier.run_altered(flipping, WARCOPIER_VALIDATE="none")
    refused(outcome, 74, "the copy differs from what was read; suspect the memory")
    assert copier.names() == []

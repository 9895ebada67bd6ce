"""A first run: the published artifacts, their names, the log and the warnings."""

from __future__ import annotations

import io
import os
import zipfile

import pytest

from tests.warcopier.support import MANIFEST, OTHER, SHOP, Copier, deployed, refused, sha256, war


def test_a_war_is_published_whole_readable_by_all_and_with_nothing_beside_it_but_the_record(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    assert copier.run().code == 0
    assert (copier.target / "shop.war").read_bytes() == SHOP
    assert (copier.target / "shop.war").stat().st_mode == 0o100644
    assert copier.names() == [MANIFEST, "shop.war"]


def test_the_last_line_tells_files_bytes_seconds_and_digests(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    last = copier.run().logs[-1]
    assert last["level"] == "info"
    assert last["msg"] == "2 published, 0 unchanged"
    assert last["files"] == 2
    assert last["bytes"] == len(SHOP) + len(OTHER)
    assert 0 < last["seconds"] < 60
    assert last["sha256"] == f"ROOT.war sha256:{sha256(OTHER)}, shop.war sha256:{sha256(SHOP)}"


def test_the_source_is_not_touched(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    before = (copier.source / "shop.war").stat()
    copier.run()
    after = (copier.source / "shop.war").stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_mode) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_mode,
    )


def test_many_wars_are_published_together(copier: Copier) -> None:
    wars = {f"app{number}": war(str(number)) for number in range(60)}
    copier.offer(**wars)
    assert copier.run().code == 0
    assert deployed(copier.target) == {f"{name}.war": sha256(data) for name, data in wars.items()}


@pytest.mark.parametrize(
    "name",
    [
        "my shop.war",
        "köln#straße.war",
        "shop##2026.01.war",
        "店.war",
        "a'b\"c.war",
        "-rf.war",
        "x\ny.war",
        "a\\\\b.war",
    ],
)
def test_an_unusual_name_is_published_as_it_is_or_refused_on_one_line(copier: Copier, name: str) -> None:
    (copier.source / name).write_bytes(SHOP)
    outcome = copier.run()
    assert len(outcome.stderr.splitlines()) == len(outcome.logs)
    if "\\" in name:
        refused(outcome, 65, "which Tomcat refuses")
    else:
        assert outcome.code == 0, outcome.stderr
        assert list(deployed(copier.target)) == [name]


def test_a_name_that_is_no_text_is_published_as_it_is(copier: Copier) -> None:
    raw = os.fsencode(copier.source) + b"/k\xf6ln.war"
    with open(raw, "wb") as file:  # noqa: PTH123 - a name in bytes
        file.write(SHOP)
    assert copier.run().code == 0
    assert copier.run().last == "nothing to do: 1 unchanged"
    assert b"k\xf6ln.war" in os.listdir(os.fsencode(copier.target))  # noqa: PTH208 - names are bytes


def test_a_suffix_in_capitals_is_published_in_the_form_that_all_of_tomcat_knows(copier: Copier) -> None:
    (copier.source / "Shop.WAR").write_bytes(SHOP)
    assert copier.run().code == 0
    assert list(deployed(copier.target)) == ["Shop.war"]


def test_a_war_without_web_inf_is_published_with_a_warning(copier: Copier) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.html", "hello")
    copier.offer(plain=buffer.getvalue())
    outcome = copier.run()
    assert outcome.code == 0
    assert outcome.warnings == ["it has no WEB-INF: Tomcat will serve it as plain pages"]
    assert copier.run().warnings == []


def test_a_directory_that_hides_the_war_from_tomcat_is_told(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop").mkdir()
    assert copier.run().warnings == ["a directory of that name, not unpacked by Tomcat, hides it"]


def test_a_directory_that_tomcat_unpacked_hides_nothing(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop" / "META-INF").mkdir(parents=True)
    (copier.target / "shop" / "META-INF" / "war-tracker").touch()
    assert copier.run().warnings == []

"""WARCOPIER_SOURCE: files, directories, globs and links, and values that are refused."""

from __future__ import annotations

import os
import socket

import pytest

from tests.warcopier.support import OTHER, SHOP, Copier, deployed, refused, sha256


def test_a_directory_means_the_wars_in_it_in_any_case_and_nothing_else(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.source / "ROOT.War").write_bytes(OTHER)
    (copier.source / "README.md").write_text("hello")
    (copier.source / "._shop.war").write_bytes(b"what macOS leaves")
    (copier.source / "sub").mkdir()
    (copier.source / "sub" / "deep.war").write_bytes(SHOP)
    assert copier.run().code == 0
    assert sorted(deployed(copier.target)) == ["ROOT.war", "shop.war"]


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("{}/a.war", ["a.war"]),
        ("{0}/a.war,{0}/b.war", ["a.war", "b.war"]),
        ("{0}/a.war , {0}/more", ["a.war", "c.war"]),
        ("{}/?.war", ["a.war", "b.war"]),
        ("{}/*", ["a.war", "b.war", "c.war"]),
        ("{}/**/*.war", ["a.war", "b.war", "c.war"]),
        ("{}/[bc].war", ["b.war"]),
        ("{0}/a.war,{0}", ["a.war", "b.war"]),
        ("{0}/./a.war,{0}/a.war", ["a.war"]),
        ("artifacts/a.war", ["a.war"]),
        ("{}/", ["a.war", "b.war"]),
        ("{}/lin[k].war", ["lin[k].war"]),
    ],
)
def test_the_source_may_be_files_directories_and_globs(copier: Copier, setting: str, names: list[str]) -> None:
    copier.offer(a=SHOP, b=OTHER)
    (copier.source / "more").mkdir()
    (copier.source / "more" / "c.war").write_bytes(SHOP)
    if "lin[k]" in setting:
        (copier.source / "lin[k].war").write_bytes(SHOP)
    assert copier.run(WARCOPIER_SOURCE=setting.format(copier.source)).code == 0
    assert sorted(deployed(copier.target)) == names


def test_the_links_of_a_config_map_mount_are_followed(copier: Copier) -> None:
    (copier.source / "..2026_01").mkdir()
    (copier.source / "..2026_01" / "shop.war").write_bytes(SHOP)
    (copier.source / "..data").symlink_to("..2026_01")
    (copier.source / "shop.war").symlink_to("..data/shop.war")
    assert copier.run().code == 0
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}
    (copier.source / "..2026_02").mkdir()
    (copier.source / "..2026_02" / "shop.war").write_bytes(OTHER)
    (copier.source / "..data").unlink()
    (copier.source / "..data").symlink_to("..2026_02")
    assert copier.run().code == 0
    assert deployed(copier.target) == {"shop.war": sha256(OTHER)}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("{}/nowhere", "/nowhere: it does not exist; in {} there is README"),
        ("{}/nowhere/shop.war", "/nowhere/shop.war: it does not exist; in {} there is README"),
        ("{}", "there is no *.war there; in {} there is README"),
        ("{}/*.war", "there is no *.war there; in {} there is README"),
        ("{}/*", "there is no *.war there"),
        ("{}/empty", "there is no *.war there; {}/empty is empty"),
    ],
)
def test_a_source_without_a_war_is_a_mistake_in_the_setting(copier: Copier, setting: str, said: str) -> None:
    (copier.source / "README").touch()
    (copier.source / "empty").mkdir()
    setting = setting.format(copier.source)
    refused(copier.run(WARCOPIER_SOURCE=setting), 78, f"WARCOPIER_SOURCE={setting}", said.format(copier.source))
    assert copier.names() == []


def test_a_misspelt_source_beside_the_root_is_no_matter_of_permissions(copier: Copier) -> None:
    """A confined process may not list `/`: the message must not read as if the source were there and closed."""
    ran = copier.run(WARCOPIER_SOURCE="/artifact-s")
    refused(ran, 78, "WARCOPIER_SOURCE=/artifact-s: it does not exist; ")
    assert "Permission denied" not in ran.stderr


def test_one_part_without_a_war_is_a_mistake_even_beside_others_that_have_some(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    refused(copier.run(WARCOPIER_SOURCE=f"{copier.source},{copier.source}/x*.war"), 78, "no *.war there")
    assert copier.names() == []


def test_two_sources_with_one_name_are_refused(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    more = copier.source / "more"
    more.mkdir()
    (more / "shop.war").write_bytes(SHOP)
    said = f"{copier.source}/shop.war and {more}/shop.war would both be published as shop.war"
    refused(copier.run(WARCOPIER_SOURCE=f"{copier.source},{more}"), 78, said)
    assert copier.names() == []


def test_two_sources_that_differ_in_the_case_of_the_suffix_are_refused(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.source / "shop.WAR").write_bytes(OTHER)
    refused(copier.run(), 78, "would both be published as shop.war")


@pytest.mark.parametrize("how", ["same", "link", "file"])
def test_a_source_that_is_the_target_is_refused(copier: Copier, how: str) -> None:
    (copier.target / "shop.war").write_bytes(SHOP)
    source = copier.target
    if how == "link":
        source = copier.source / "link"
        source.symlink_to(copier.target)
    elif how == "file":
        source = copier.target / "shop.war"
    refused(copier.run(WARCOPIER_SOURCE=str(source)), 78, "are the same place")
    assert copier.names() == ["shop.war"]


@pytest.mark.parametrize("kind", ["pipe", "socket", "directory", "device"])
def test_what_is_no_file_is_refused_and_never_hangs(copier: Copier, kind: str) -> None:
    place = copier.source / "shop.war"
    setting = str(copier.source)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
    elif kind == "directory":
        place.mkdir()
    else:
        setting = "/dev/zero"
    said = {"pipe": "a named pipe", "socket": "a socket", "directory": "a directory", "device": "a device"}[kind]
    refused(copier.run(WARCOPIER_SOURCE=setting), 65, said, "nothing was published")
    assert copier.names() == []


def test_a_file_that_is_named_but_no_war_is_refused(copier: Copier) -> None:
    (copier.source / "shop.zip").write_bytes(SHOP)
    refused(copier.run(WARCOPIER_SOURCE=f"{copier.source}/shop.zip"), 65, "does not end in .war")


def test_a_broken_link_is_a_source_that_cannot_be_read(copier: Copier) -> None:
    (copier.source / "shop.war").symlink_to("gone")
    refused(copier.run(), 74, str(copier.source), "cannot be read", "No such file")


def test_links_in_a_circle_are_a_source_that_cannot_be_read(copier: Copier) -> None:
    (copier.source / "shop.war").symlink_to("shop.war")
    refused(copier.run(), 74, "cannot be read")


@pytest.mark.parametrize("how", ["absolute", "relative", "directory", "two links"])
@pytest.mark.parametrize("setting", ["{}", "{}/shop.war", "{}/*.war"])
def test_a_link_that_leads_out_of_the_source_is_not_followed(copier: Copier, how: str, setting: str) -> None:
    """The source may be a shared volume: a neighbour could have any file published that the copier may read."""
    outside = copier.source.parent / "outside"
    outside.mkdir()
    (outside / "shop.war").write_bytes(SHOP)
    place = copier.source / "shop.war"
    if how == "absolute":
        place.symlink_to(outside / "shop.war")
    elif how == "relative":
        place.symlink_to("../outside/shop.war")
    elif how == "directory":
        (copier.source / "near").symlink_to(outside)
        place.symlink_to("near/shop.war")
    else:
        (copier.source / "one").symlink_to("a/../../outside/shop.war")
        (copier.source / "a").mkdir()
        place.symlink_to(copier.source / "one")
    outcome = copier.run(WARCOPIER_SOURCE=setting.format(copier.source), WARCOPIER_VALIDATE="none")
    refused(
        outcome, 65, f"{place}: a link leads out of {copier.source}", "name the target itself", "nothing was published"
    )
    assert copier.names() == []


def test_an_absolute_link_that_stays_in_the_source_is_followed(copier: Copier) -> None:
    (copier.source / "real").mkdir()
    (copier.source / "real" / "shop.war").write_bytes(SHOP)
    (copier.source / "shop.war").symlink_to(copier.source / "real" / "shop.war")
    assert copier.run().code == 0
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}


def test_a_list_of_digests_that_leads_out_of_the_source_is_not_read(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.source.parent / "sums").write_text(f"{sha256(SHOP)}  shop.war\n")
    (copier.source / "SHA256SUMS").symlink_to("../sums")
    refused(copier.run(), 65, f"{copier.source}/SHA256SUMS: a link leads out of {copier.source}")

"""WARCOPIER_CONTEXT_PATH and WARCOPIER_VERSION: the context path and the version of a published WAR."""

from __future__ import annotations

import pytest

from tests.warcopier.support import NEW, OTHER, SHOP, Copier, deployed, published, refused, sha256


@pytest.mark.parametrize(
    ("path", "version", "name"),
    [
        ("/", "", "ROOT.war"),
        ("/shop/admin", "", "shop#admin.war"),
        ("", "0042", "app##0042.war"),
        ("/", "2026.01.31", "ROOT##2026.01.31.war"),
        ("/shop/admin", "7", "shop#admin##7.war"),
    ],
)
def test_a_war_is_published_where_and_as_what_it_is_to_be_served(
    copier: Copier, path: str, version: str, name: str
) -> None:
    copier.offer(app=SHOP)
    published(copier.run(WARCOPIER_CONTEXT_PATH=path, WARCOPIER_VERSION=version))
    assert deployed(copier.target) == {name: sha256(SHOP)}


def test_several_wars_may_have_one_version_but_not_one_context_path(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    published(copier.run(WARCOPIER_VERSION="3"))
    assert sorted(deployed(copier.target)) == ["ROOT##3.war", "shop##3.war"]
    refused(copier.run(WARCOPIER_CONTEXT_PATH="/x"), 78, "WARCOPIER_CONTEXT_PATH=/x is for one WAR", "has 2")


@pytest.mark.parametrize(("there", "version", "older"), [("2", "10", True), ("10", "2", False), ("09", "10", False)])
def test_a_version_that_tomcat_would_sort_before_one_that_is_there_is_refused(
    copier: Copier,
    there: str,
    version: str,
    older: bool,  # noqa: FBT001 - a table
) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(WARCOPIER_VERSION=there))
    outcome = copier.run(WARCOPIER_VERSION=version)
    if older:
        refused(outcome, 78, f"WARCOPIER_VERSION={version} would be an older version than {there}", "ALLOW_OLDER=true")
        assert list(deployed(copier.target)) == [f"shop##{there}.war"]
        published(copier.run(WARCOPIER_VERSION=version, WARCOPIER_ALLOW_OLDER="true"))
    else:
        published(outcome)
    assert sorted(deployed(copier.target)) == sorted([f"shop##{there}.war", f"shop##{version}.war"])


def test_the_version_of_a_directory_counts_and_that_of_another_application_does_not(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "other##9.war").write_bytes(OTHER)
    published(copier.run(WARCOPIER_VERSION="1"))
    (copier.target / "shop##5").mkdir()
    refused(copier.run(WARCOPIER_VERSION="2"), 78, "would be an older version than 5")


def test_a_war_without_a_version_would_be_older_than_any(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop##1.war").write_bytes(OTHER)
    refused(copier.run(), 65, "shop.war: it would be an older version than 1", "ALLOW_OLDER")


def test_two_versions_in_the_source_are_published_together_and_stay(copier: Copier) -> None:
    (copier.source / "shop##1.war").write_bytes(SHOP)
    (copier.source / "shop##2.war").write_bytes(NEW)
    published(copier.run(), "2 published")
    published(copier.run(), "nothing to do: 2 unchanged")


def test_an_old_version_that_tomcat_has_removed_is_not_put_back(copier: Copier) -> None:
    (copier.source / "shop##1.war").write_bytes(SHOP)
    (copier.source / "shop##2.war").write_bytes(NEW)
    published(copier.run())
    (copier.target / "shop##1.war").unlink()  # undeployOldVersions
    published(copier.run(), "nothing to do: 1 unchanged")
    assert list(deployed(copier.target)) == ["shop##2.war"]

"""Names: the contexts that Tomcat reads from them, and names of our own that it never deploys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier import tomcat_names
from sidecars.warcopier.tomcat_names import ContextName, context_name, published_name, run_token

TOKENS = st.text("0123456789abcdef", min_size=16, max_size=16)
FILENAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("shop.war", ContextName("/shop", "")),
        ("ROOT.war", ContextName("", "")),
        ("root.war", ContextName("/root", "")),
        ("shop#admin.war", ContextName("/shop/admin", "")),
        ("shop##42.war", ContextName("/shop", "42")),
        ("shop#admin##2026.01.war", ContextName("/shop/admin", "2026.01")),
        ("ROOT##7.war", ContextName("", "7")),
        ("##7.war", ContextName("", "7")),
        ("my shop.war", ContextName("/my shop", "")),
        ("shop.v1.war", ContextName("/shop.v1", "")),
        ("ROOTS.war", ContextName("/ROOTS", "")),
    ],
)
def test_the_context_is_the_one_that_tomcat_gives(name: str, context: ContextName) -> None:
    assert context_name(name) == context


@pytest.mark.parametrize(
    ("name", "published"), [("Shop.WAR", "Shop.war"), ("a.b.War", "a.b.war"), ("köln.war", "köln.war")]
)
def test_the_suffix_is_published_in_lower_case_and_the_rest_as_it_is(name: str, published: str) -> None:
    assert published_name(name) == published


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("shop.zip", "does not end in .war"),
        ("shop", "does not end in .war"),
        ("war", "does not end in .war"),
        (".war", "no name before .war"),
        ("...war", "which Tomcat refuses"),
        ("a#..#b.war", "which Tomcat refuses"),
        ("#shop.war", "which Tomcat refuses"),
        ("a##1\\b.war", "which Tomcat refuses"),
        ("..##1.war", "which Tomcat refuses"),
    ],
)
def test_a_name_that_tomcat_cannot_serve_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        published_name(name)


def test_the_unpacked_directory_is_beside_the_war_under_its_name() -> None:
    assert tomcat_names.exploded_directory_name("shop#admin##2.war") == "shop#admin##2"
    assert tomcat_names.exploded_directory_name("##2.war") == "ROOT##2"


@given(FILENAMES)
def test_publishing_a_published_name_changes_nothing(name: str) -> None:
    try:
        published = published_name(f"{name}.WaR")
    except ValueError:
        return
    assert published_name(published) == published
    assert published.endswith(".war")
    assert "/.." not in context_name(published).path.split("#")


@given(TOKENS, st.integers(1, 10**6))
def test_our_own_names_are_never_deployed_and_always_recognized(token: str, number: int) -> None:
    for name in (tomcat_names.lock_name(token), tomcat_names.staging_name(token, number)):
        assert not tomcat_names.is_war(name)
        assert run_token(name) == token
    assert not tomcat_names.is_war(tomcat_names.MANIFEST)


@given(FILENAMES)
def test_a_stranger_s_name_is_never_taken_for_ours(name: str) -> None:
    assert run_token(name) is None
    assert run_token(f".warcopier-{name}") is None or len(name) > 16


def test_a_name_is_shown_on_one_line_whatever_is_in_it() -> None:
    assert tomcat_names.escaped("my shöp.war") == "my shöp.war"
    assert tomcat_names.escaped("a\nb.war") == "a\\nb.war"
    assert tomcat_names.escaped("a\udcff.war") == "a\\udcff.war"


@given(st.text())
def test_what_is_shown_can_be_written_anywhere(name: str) -> None:
    assert "\n" not in tomcat_names.escaped(name)
    tomcat_names.escaped(name).encode()


# -- names that are asked for -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "ROOT.war"),
        ("/shop", "shop.war"),
        ("/shop/admin", "shop#admin.war"),
        ("/a/b/c", "a#b#c.war"),
        ("/köln", "köln.war"),
        ("/shop.v1", "shop.v1.war"),
        ("/a/ROOT", "a#ROOT.war"),
    ],
)
def test_a_context_path_gives_the_name_that_tomcat_reads_it_from(path: str, name: str) -> None:
    assert tomcat_names.renamed("whatever.war", tomcat_names.parse_context_path(path), None) == name
    assert context_name(name).path == ("" if path == "/" else path)


@pytest.mark.parametrize(
    "path",
    ["shop", "", "//", "/shop/", "/a//b", "/../x", "/.", "/a#b", "/a\\b", "/a\nb", "/ROOT", "/a?b", "/a;b", "/%"],
)
def test_a_context_path_that_tomcat_could_not_serve_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        tomcat_names.parse_context_path(path)


PATHS = st.lists(st.text(st.characters(exclude_characters="/#\\?%;"), min_size=1, max_size=10), max_size=4)
VERSIONS = st.text(st.characters(exclude_characters="/\\#"), min_size=1, max_size=10)


@given(PATHS, VERSIONS | st.none())
def test_every_accepted_path_and_version_is_what_tomcat_reads_back_from_the_name(
    parts: list[str], version: str | None
) -> None:
    try:
        path = tomcat_names.parse_context_path("/" + "/".join(parts))
        checked = tomcat_names.parse_version(version) if version else None
        name = tomcat_names.renamed("app##7.war", path, checked)
    except ValueError:
        return
    assert context_name(name) == ContextName("" if path == "/" else path, version or "7")
    assert "/" not in name


@pytest.mark.parametrize("version", ["a/b", "a\\b", "1##2", "1#2", "a\nb", "a\0b"])
def test_a_version_that_cannot_be_in_a_name_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="expected a version"):
        tomcat_names.parse_version(version)


def test_a_version_replaces_the_one_in_the_name_and_without_one_that_stays() -> None:
    assert tomcat_names.renamed("shop##1.war", None, "2") == "shop##2.war"
    assert tomcat_names.renamed("shop##1.war", "/x", None) == "x##1.war"
    assert tomcat_names.renamed("##1.war", None, None) == "##1.war"
    with pytest.raises(ValueError, match="longer than 255 bytes"):
        tomcat_names.renamed("shop.war", None, "v" * 250)


def test_versions_are_sorted_as_tomcat_sorts_them() -> None:
    assert sorted(["2", "10", "9", "", "1.10", "1.9"], key=tomcat_names.version_sort_key) == [
        "",
        "1.10",
        "1.9",
        "10",
        "2",
        "9",
    ]
    # Java compares UTF-16 units: a character beyond them is a pair of surrogates, which sort before the last units.
    assert sorted(["\uffff", "\U0001f600"], key=tomcat_names.version_sort_key) == ["\U0001f600", "\uffff"]


@given(VERSIONS, st.lists(VERSIONS, max_size=5))
def test_newer_are_all_that_sort_behind_and_none_else(version: str, others: list[str]) -> None:
    there = [ContextName("/shop", other) for other in others] + [ContextName("/other", "\uffff")]
    newer = tomcat_names.newer_versions(ContextName("/shop", version), there)
    assert version not in newer
    order = tomcat_names.version_sort_key
    assert set(newer) == {other for other in others if order(other) > order(version)}
    assert newer == sorted(newer, key=order)

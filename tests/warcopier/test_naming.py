"""Names: what Tomcat makes of them, and that nothing of ours is ever deployed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier import naming
from sidecars.warcopier.naming import Context, context_of, published_name, token_of

TOKENS = st.text("0123456789abcdef", min_size=16, max_size=16)
FILENAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("shop.war", Context("/shop", "")),
        ("ROOT.war", Context("", "")),
        ("root.war", Context("/root", "")),
        ("shop#admin.war", Context("/shop/admin", "")),
        ("shop##42.war", Context("/shop", "42")),
        ("shop#admin##2026.01.war", Context("/shop/admin", "2026.01")),
        ("ROOT##7.war", Context("", "7")),
        ("##7.war", Context("", "7")),
        ("my shop.war", Context("/my shop", "")),
        ("shop.v1.war", Context("/shop.v1", "")),
        ("ROOTS.war", Context("/ROOTS", "")),
    ],
)
def test_the_context_is_the_one_that_tomcat_gives(name: str, context: Context) -> None:
    assert context_of(name) == context


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
    assert naming.unpacked_directory("shop#admin##2.war") == "shop#admin##2"
    assert naming.unpacked_directory("##2.war") == "ROOT##2"


@given(FILENAMES)
def test_publishing_a_published_name_changes_nothing(name: str) -> None:
    try:
        published = published_name(f"{name}.WaR")
    except ValueError:
        return
    assert published_name(published) == published
    assert published.endswith(".war")
    assert "/.." not in context_of(published).path.split("#")


@given(TOKENS, st.integers(1, 10**6))
def test_our_own_names_are_never_deployed_and_always_recognized(token: str, number: int) -> None:
    for name in (naming.lock_name(token), naming.staging_name(token, number)):
        assert not naming.is_war(name)
        assert token_of(name) == token
    assert not naming.is_war(naming.RECORD)


@given(FILENAMES)
def test_a_stranger_s_name_is_never_taken_for_ours(name: str) -> None:
    assert token_of(name) is None
    assert token_of(f".warcopier-{name}") is None or len(name) > 16


def test_a_name_is_shown_on_one_line_whatever_is_in_it() -> None:
    assert naming.shown("my shöp.war") == "my shöp.war"
    assert naming.shown("a\nb.war") == "a\\nb.war"
    assert naming.shown("a\udcff.war") == "a\\udcff.war"


@given(st.text())
def test_what_is_shown_can_be_written_anywhere(name: str) -> None:
    assert "\n" not in naming.shown(name)
    naming.shown(name).encode()

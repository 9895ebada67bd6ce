"""Regexes in linear time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.patterns import linear_regex
from sidecars.logshipper.transform.patterns.ll1 import is_ll1
from tests.growth import Case, require_linear

_TEXTS = st.lists(st.text("ab \n1ü", max_size=6), min_size=1, max_size=8)


@pytest.mark.parametrize("pattern", [r"(a+)+b", r"(a|a)*b", r"(.*)(.*)(.*)(.*)(.*)x", r"(a?){30}a{30}b"])
def test_patterns_that_explode_elsewhere_end_here(pattern: str) -> None:
    assert linear_regex.group_matcher(pattern)("a" * 10_000) is None
    assert linear_regex.Finder(pattern).matching(["a" * 10_000]) == []


@given(st.text("ab [1", max_size=12))
def test_both_engines_see_the_same_groups(text: str) -> None:
    for fast in (r"(a*)(?P<x>[1 ]+)?(\[.*)?", r"([^ ]*) (.*)", r"(?:(a)|(b)|1)*"):
        assert is_ll1(fast)
        slow = linear_regex.compile_re2(fast).fullmatch(text.encode())
        expected = None if slow is None else tuple(None if group is None else group.decode() for group in slow.groups())
        assert linear_regex.group_matcher(fast)(text) == expected


@given(
    _TEXTS,
    st.sampled_from(
        [
            "a",
            "ab",
            r"b\s",
            "^a",
            "a$",
            r"\d",
            r"(?:a|1) *b",
            "ü",
            r"b[^a]*1",
            "^$",
            r"a([^b]*b)?",
            "[^b]*",
            r"a\nb",
            r"\n",
        ]
    ),
    st.sampled_from([1, 5, 4096]),
)
def test_one_search_through_all_texts_finds_those_that_a_search_in_each_finds(
    texts: list[str], pattern: str, window: int
) -> None:
    wanted = re.compile(pattern, re.MULTILINE | re.ASCII)
    expected = [index for index, text in enumerate(texts) if wanted.search(text)]
    finder = linear_regex.Finder(pattern)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_regex, "_WINDOW", window)
        candidates = finder.candidates(texts)
        assert finder.matching(texts) == expected
    assert candidates == sorted(set(candidates))
    assert set(expected) <= set(candidates)


@pytest.mark.parametrize("pattern", [r"a(\s[^b]*b)?", r"\[[^\]]*\]|a"])
def test_matches_that_might_have_gone_on_take_linear_time(pattern: str) -> None:
    finder = linear_regex.Finder(pattern)
    require_linear(Case(pattern, lambda n: ["[a a"] * n, finder.matching))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", r"missing \), unterminated subpattern at character 1"),
        ("a[z-a]", "bad character range z-a at character 3"),
        ("ab(?=c)", r"cannot be matched in linear time: invalid perl operator: \(\?= at character 3"),
        (r"(a)\1", "cannot be matched in linear time: invalid escape sequence"),
        ("a{1,100000}", "invalid repetition size"),
        (
            r"a\z",
            r"has \\z at character 2: many events are searched at once, and the ends of one's lines are \^ and \$",
        ),
        (r"\\\Aa", r"has \\A at character 3"),
        ("(?i-m)^a", r"has \(\?i-m at character 1"),
    ],
)
def test_a_bad_regex_is_refused_with_the_place(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        linear_regex.compile_re2(pattern)


def test_a_backslash_before_a_letter_is_no_end() -> None:
    assert linear_regex.Finder(r"\\Az").matching([r"\Az", "Az"]) == [0]


def test_the_names_of_groups_are_in_their_order() -> None:
    assert linear_regex.group_names(r"(?P<b>.)(.)(?:x)(?P<a>.)") == ["b", "", "a"]

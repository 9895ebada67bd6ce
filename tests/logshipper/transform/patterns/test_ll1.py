"""The proof that a regex never backtracks far."""

from __future__ import annotations

import pytest

from sidecars.logshipper.transform.patterns.ll1 import is_ll1


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?P<time>\S+ \S+) +(?P<level>\w+) +\[([^\]]*)\] (\S+) - (.*)",
        r"\d{1,3}(?:\.\d{1,3}){3}",
        r"(?:GET|POST) \S+",
        r".{23} (\w+)",
        r"(?:a|b)*c",
        r"^(?P<a>[^ ]*) (?P<b>.*)$",
    ],
)
def test_a_pattern_whose_next_character_always_tells_the_way_is_known(pattern: str) -> None:
    assert is_ll1(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+b",
        r"(.*) (.*)",
        r"(?:a|[ab]b)c",
        r"(?:a?){20}a",
        r"\w+\w",
        r"(?i)a",
        r"(?s).*",
        r"(?:a[bc]?){2}b",
        r"a(?:b?)*",
        "(",
    ],
)
def test_a_pattern_with_two_ways_from_one_character_is_left_to_re2(pattern: str) -> None:
    assert not is_ll1(pattern)

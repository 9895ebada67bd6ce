"""The sum of an account in words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.ledger import REASONS, Account
from sidecars.logshipper.model.ledger_words import in_bytes, sum_in_words

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def account(read: int, delivered: int = 0, **dropped: int) -> Account:
    made = Account()
    made.read, made.delivered = read, delivered
    made.dropped.update(dropped)
    return made


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (account(0), "read 0 = delivered 0 + dropped 0 + pending 0"),
        (account(13, 8), "read 13 B = delivered 8 B + dropped 0 + pending 5 B"),
        (
            account(12_300_000, 12_100_000),
            "read 12.3 MB = delivered 12.1 MB + dropped 0 + pending 0.2 MB",
        ),
        (  # 1.26 + 0.26 + 0.26 = 1.8: the largest term is shown as 1.2
            account(1_780_000, 1_260_000, lost=260_000),
            "read 1.8 MB = delivered 1.2 MB + dropped 0.3 MB (lost 260.0 kB) + pending 0.3 MB",
        ),
        (
            account(5_000_000_000, 4_999_999_000, filtered=600, hole=100),
            "read 5.0 GB = delivered 5.0 GB + dropped 700 B (filtered 600 B, hole 100 B) + pending 300 B",
        ),
    ],
)
def test_the_sum_is_told_with_the_reasons_of_what_is_dropped(counts: Account, words: str) -> None:
    assert sum_in_words(counts) == words


counts = st.integers(0, 10**14)


@given(counts, counts, st.dictionaries(st.sampled_from(REASONS), counts))
def test_the_shown_terms_have_the_shown_sum_and_nothing_that_is_not_0_looks_like_0(
    delivered: int, pending: int, dropped: dict[str, int]
) -> None:
    made = account(delivered + pending + sum(dropped.values()), delivered, **dropped)
    shown = re.sub(r" \([^)]*\)", "", sum_in_words(made))
    terms = re.fullmatch(r"read (.+) = delivered (.+) \+ dropped (.+) \+ pending (.+)", shown)
    assert terms
    values = [(float(number), unit) for number, _, unit in (term.partition(" ") for term in terms.groups())]
    (total, unit), *parts = values
    in_unit = [number for number, of in parts if of == unit]
    assert sum(in_unit) == pytest.approx(total)
    assert [number > 0 for number, _ in parts] == [count > 0 for count in (delivered, sum(dropped.values()), pending)]


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0"), (999, "999 B"), (1000, "1.0 kB"), (-1500, "-1.5 kB"), (12_345_678, "12.3 MB"), (10**15, "1000.0 TB")],
)
def test_bytes_have_one_digit_after_the_point(count: int, words: str) -> None:
    assert in_bytes(count) == words

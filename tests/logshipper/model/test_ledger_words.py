"""The sum of an account in words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.ledger import REASONS, Account
from sidecars.logshipper.model.ledger_words import in_bytes, sum_in_words

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def account(read: int, delivered: int = 0, **dropped: int) -> Account:
    made = Account()
    made.read, made.delivered = read, delivered
    for reason, count in dropped.items():
        made.drop(reason, count, 0)
    return made


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (account(0), "read 0 = delivered 0 + dropped 0 + pending 0"),
        (account(13, 8), "read 13 B = delivered 8 B + dropped 0 + pending 5 B"),
        (
            account(123 * MIB // 10, 121 * MIB // 10),
            "read 12.3 MiB = delivered 12.1 MiB + dropped 0 + pending 0.2 MiB",
        ),
        (  # 1.26 + 0.26 + 0.26 = 1.8: the largest term is shown as 1.2
            account(178 * MIB // 100, 126 * MIB // 100, lost=26 * MIB // 100),
            "read 1.8 MiB = delivered 1.2 MiB + dropped 0.3 MiB (lost 266.2 KiB) + pending 0.3 MiB",
        ),
        (
            account(5 * GIB, 5 * GIB - 1000, filtered=600, hole=100),
            "read 5.0 GiB = delivered 5.0 GiB + dropped 700 B (filtered 600 B, hole 100 B) + pending 300 B",
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
    [
        (0, "0"),
        (1023, "1023 B"),
        (KIB, "1.0 KiB"),
        (-1536, "-1.5 KiB"),
        (123 * MIB // 10, "12.3 MiB"),
        (1 << 50, "1024.0 TiB"),
    ],
)
def test_bytes_have_one_digit_after_the_point(count: int, words: str) -> None:
    assert in_bytes(count) == words

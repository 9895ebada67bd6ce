"""The size of batches for a receiver that refuses large ones."""

from __future__ import annotations

from functools import lru_cache

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.delivery.batch_size import SMALLEST, BatchSizeLimit
from sidecars.logshipper.model.batch import Batch
from tests.logshipper.support import a_batch, a_chunk


@lru_cache(maxsize=4)
def sized(size: int) -> Batch:
    return a_batch(a_chunk(b"x" * (size - 1) + b"\n"))


def test_the_room_shrinks_to_what_was_taken_and_grows_again_slowly() -> None:
    limit = BatchSizeLimit(1_000_000)
    limit.accepted(sized(1000))
    assert not limit.is_lowered
    limit.too_large(sized(800_000))
    assert limit.bytes == 400_000
    for _ in range(31):
        limit.accepted(sized(390_000))
    assert limit.bytes == 400_000
    limit.accepted(sized(390_000))
    assert limit.bytes == 500_000
    limit.too_large(sized(490_000))
    assert limit.bytes == 390_000
    for _ in range(1000):
        limit.accepted(sized(limit.bytes))
    assert limit.bytes == 1_000_000
    assert not limit.is_lowered


def test_small_batches_prove_nothing_about_larger_ones() -> None:
    limit = BatchSizeLimit(1_000_000)
    limit.too_large(sized(800_000))
    for _ in range(1000):
        limit.accepted(sized(1000))
    assert limit.bytes == 400_000


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300_000)), max_size=60))
def test_the_room_is_never_less_than_the_smallest_nor_more_than_the_setting(decisions: list[tuple[bool, int]]) -> None:
    limit = BatchSizeLimit(100_000)
    for is_taken, size in decisions:
        (limit.accepted if is_taken else limit.too_large)(sized(size))
        assert SMALLEST <= limit.bytes <= 100_000

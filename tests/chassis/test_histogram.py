"""Histogram buckets."""

from __future__ import annotations

import pytest

from sidecars.chassis.histogram import cumulative_buckets


def test_each_bucket_holds_the_smaller_ones_too() -> None:
    assert cumulative_buckets((0.1, 1.0), [2, 0, 3]) == [("0.1", 2.0), ("1.0", 2.0), ("+Inf", 5.0)]


def test_a_count_for_each_interval_is_demanded() -> None:
    with pytest.raises(ValueError, match="shorter"):
        cumulative_buckets((0.1, 1.0), [2, 0])

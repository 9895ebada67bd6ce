"""Histogram buckets as the Prometheus exposition formats want them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate


def cumulative_buckets(bounds: Iterable[float], counts: Iterable[int]) -> list[tuple[str, float]]:
    """Return each upper bound with the number of observations up to it.

    `counts` holds the observations of each interval, and last those above the highest bound (`+Inf`).
    """
    names = [*map(str, bounds), "+Inf"]
    return [(name, float(total)) for name, total in zip(names, accumulate(counts), strict=True)]

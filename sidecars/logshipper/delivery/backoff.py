"""Exponential back-off with jitter, which is never shorter than the receiver's Retry-After. Pure."""

from __future__ import annotations

_DOUBLINGS = 32  # more doublings exceed every setting of the longest pause


def delay(failures: int, shortest: float, longest: float, *, random: float, retry_after: float | None = None) -> float:
    """Return the seconds to wait after `failures` (≥ 1) failed attempts in a row.

    `random` is in [0, 1). Half of the pause is fixed and half is random, so that many Pods do not return together.
    """
    full: float = min(longest, shortest * 2.0 ** min(failures - 1, _DOUBLINGS))
    pause = full * (0.5 + random / 2)
    return max(pause, retry_after) if retry_after is not None else pause

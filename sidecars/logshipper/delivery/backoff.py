"""How long to wait before the next try: exponential, with jitter, and never shorter than the other side asked for."""

from __future__ import annotations

_DOUBLINGS = 32  # beyond that the longest pause has long been reached


def delay(failures: int, shortest: float, longest: float, *, random: float, asked: float | None = None) -> float:
    """Seconds to wait after `failures` (≥ 1) failures in a row. `random` in [0, 1); `asked` is a Retry-After.

    Half of the pause is fixed and half is random, so that many Pods do not return together.
    """
    full: float = min(longest, shortest * 2.0 ** min(failures - 1, _DOUBLINGS))
    pause = full * (0.5 + random / 2)
    return max(pause, asked) if asked is not None else pause

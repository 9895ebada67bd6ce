"""The pauses between attempts that fail: they double, with jitter, and end with the first success. No I/O."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

_FIRST: Final = 0.2  # seconds
_LONGEST: Final = 30.0  # seconds; client-go's reflector has the same
_MOST_DOUBLINGS: Final = 16
LONGEST_ASKED: Final = 120.0  # seconds that a Retry-After may ask for


class Backoff:
    """The pauses of one loop, which owns it. `rand` returns a number from 0 to 1."""

    def __init__(self, rand: Callable[[], float] = random.random) -> None:
        self._rand = rand
        self._failures = 0

    def next_pause(self, asked: float = 0.0) -> float:
        """Return the seconds to wait after a failure: at least those that the server has `asked` for.

        The jitter takes up to half of a pause away, so that a thousand Pods do not come back in step.
        """
        pause = min(_LONGEST, _FIRST * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
        self._failures += 1
        return max(pause * (1 - self._rand() / 2), min(asked, LONGEST_ASKED) * (1 + self._rand() / 4))

    def succeeded(self) -> None:
        """Begin with the first pause again."""
        self._failures = 0

"""Two open files, and calls that the kernel refuses, for tests of transfers."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.warcopier.support import noise

DATA = noise(700_001)
Files = tuple[int, int]


def refuse(code: int) -> Callable[..., int]:
    def refused(*args: object) -> int:
        raise OSError(code, os.strerror(code))

    return refused

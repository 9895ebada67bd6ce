"""A short run of the chaos program; `python -m tests.logshipper.chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.logshipper.chaos import Chaos


@pytest.mark.parametrize("seed", [7, 8])
def test_no_line_is_lost_or_shipped_twice_through_kills_rotations_and_faults(tmp_path: Path, seed: int) -> None:
    chaos = Chaos(tmp_path, seed)
    try:
        chaos.run(12)
    finally:
        chaos.close()

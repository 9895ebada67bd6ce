"""A short run of each profile of the chaos program; `python -m tests.logshipper.chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.logshipper.chaos import PROFILES


@pytest.mark.parametrize(
    ("profile", "seed", "rounds"),
    [
        ("sinks", 7, 12),
        ("sinks", 8, 12),
        ("relp", 1, 4),
        ("compressed", 4, 6),
        ("rotations", 2, 3),
        ("collectors", 5, 4),
        ("node", 3, 3),
        ("http", 2, 3),
        ("tls", 2, 3),
        ("streams", 2, 3),
    ],
)
def test_no_line_is_lost_or_shipped_twice_through_kills_rotations_and_faults(
    tmp_path: Path, profile: str, seed: int, rounds: int
) -> None:
    chaos = PROFILES[profile](tmp_path, seed)
    try:
        chaos.run(rounds)
        assert chaos.kills
        assert chaos.app.compressed or profile != "compressed"
    finally:
        chaos.close()

"""All attacks on files, as one table."""

from __future__ import annotations

from tests.hostile import attacks_logs, attacks_state, attacks_webapps
from tests.hostile.attack import Attack, Life

LIVES: tuple[Life, ...] = (*attacks_logs.LIVES, *attacks_state.LIVES, *attacks_webapps.LIVES)
ATTACKS: tuple[Attack, ...] = tuple(attack for life in LIVES for attack in life.attacks)

NOT_YET: dict[str, str] = {}
"""Lives that a sidecar does not stand yet, and why. They are run by `python -m tests.hostile`, not as tests."""

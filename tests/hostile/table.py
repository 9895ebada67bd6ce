"""All attacks on files, as one table."""

from __future__ import annotations

from tests.hostile import attacks_logs, attacks_state, attacks_webapps
from tests.hostile.attack import Attack, Life

LIVES: tuple[Life, ...] = (*attacks_logs.LIVES, *attacks_state.LIVES, *attacks_webapps.LIVES)
ATTACKS: tuple[Attack, ...] = tuple(attack for life in LIVES for attack in life.attacks)

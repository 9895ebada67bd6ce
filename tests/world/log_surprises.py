"""Surprises for the logshipper of a world: other settings from one process to the next, and another time of day.

A process that was killed may have left batches in flight, which its successor must send as they were. Files get times
before those that they had.
"""

from __future__ import annotations

import random

from tests.world.universe import Universe

_SETTINGS = {
    "BATCH_SIZE": ("4KiB", "16KiB", "64KiB"),
    "BATCH_TIMEOUT": ("0", "200ms"),
    "SCAN_INTERVAL": ("200ms", "1s"),
    "CLOSE_INACTIVE": ("1s", "3s", "5m"),
    "MAX_LINE_SIZE": ("64KiB", "1MiB"),
    "ISOLATE_AFTER": ("2", "10"),
}
_ERRORS = (-86400.0, -3600.0, -2.0, 0.0, 3600.0)  # of the clock, in seconds


class Surprises:
    """The surprises of one seed, with their own dice: they change nothing in the seeds that have none."""

    def __init__(self, universe: Universe, variables: dict[str, str], in_flight: int) -> None:
        self.variables = variables
        self._universe = universe
        self._dice = random.Random(f"surprises {universe.seed}")
        self._changes_settings, self._sets_clock = self._dice.random() < 0.3, self._dice.random() < 0.3
        several = {"IN_FLIGHT": ("1", "2", "4")} if in_flight > 1 else {}  # else the receiver expects an order
        self._settings = {**_SETTINGS, **several}

    def next_variables(self) -> dict[str, str]:
        """Return the environment of the next process."""
        if self._changes_settings:
            choice = self._dice.choice
            self.variables |= {f"LOGSHIPPER_{name}": choice(values) for name, values in self._settings.items()}
        return self.variables

    def set_clock(self) -> None:
        """Set the time of day, in seeds in which somebody does."""
        if self._sets_clock:
            self._universe.clock_error = self._dice.choice(_ERRORS)
            self._universe.record(f"the clock is set: {self._universe.clock_error:+g} s")

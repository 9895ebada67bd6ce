"""The decision when a changed source is published: at once, and again when it is no longer written to.

A rename brings a complete file, and its change is followed by a run at once. A copy in place, an upload or a build
writes for a while, and a run meanwhile reads an incomplete archive. That is no failure, but the state `waiting`.

    state      source differs   run succeeds   run fails              quiet for QUIET, or LONGEST has passed
    settled    changing, run    settled        settled, it counts     settled
    changing   changing         settled        waiting, counts not    (a run comes before that)
    waiting    waiting          settled        settled, it counts     run

"Fails" means a failure that an incomplete file can cause. Any other failure counts in every state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

QUIET = 2.0  # seconds without a change after which a source counts as complete
LONGEST = 300.0  # seconds of changes after which a failure counts in any case


class Settling:
    """The state of the source, owned by the publisher. All times are of one monotonic clock, in seconds."""

    def __init__(self, source_state: Hashable, changed: float, now: float, *, careful: bool) -> None:
        """Begin before the first run. `changed` is when the source changed last.

        `careful` True means that no run comes before the source is quiet, since a run could not distinguish a part from
        the whole.
        """
        self._careful = careful
        self._source_state = source_state
        self._changed = changed
        self._since: float | None = now  # when the changes began that no run has settled; None if settled
        self._has_run = False

    def observe(self, source_state: Hashable, now: float) -> None:
        """Note the present state of the source; any value that differs means a change."""
        if source_state == self._source_state:
            return
        self._source_state, self._changed = source_state, now
        if self._since is None:
            self._since, self._has_run = now, False

    def is_changing(self, now: float) -> bool:
        """True while a failure may be due to an incomplete file."""
        return self._since is not None and not self._is_quiet(now) and now - self._since < LONGEST

    def is_due(self, now: float) -> bool:
        """True if a run is to follow the changes now."""
        if self._since is None:
            return False
        if self._careful:
            return self._is_quiet(now)
        return not self._has_run or not self.is_changing(now)

    def _is_quiet(self, now: float) -> bool:
        return now - self._changed >= QUIET

    def is_waiting(self) -> bool:
        """True if a run will come even without a further change."""
        return self._since is not None

    def wait(self) -> None:
        """Note that a run met an incomplete file: the next run comes when the source is quiet."""
        self._has_run = True

    def settle(self) -> None:
        """Note that a run has succeeded, or that its failure counts: the next run follows the next change."""
        self._since = None

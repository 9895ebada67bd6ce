"""When a source that changes is worth a run: at once where that succeeds, else when nobody writes to it any more.

A rename brings a whole file, and its change is followed at once. A copy in place, an upload or a build writes for a
while, and what is read meanwhile is no archive: that is no failure, but one state, in which only looks are taken.

    state      a look differs          a run succeeds   a run fails             quiet for QUIET, or LONGEST has passed
    settled    → changing, run         settled          settled, it counts      settled
    changing   changing                settled          waiting, counts not     (a run comes before that)
    waiting    waiting, no run         settled          settled, it counts      run

"Fails" is for failures that an unfinished file can cause; any other counts in every state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

QUIET = 2.0  # seconds without a change after which a source counts as written
LONGEST = 300.0  # seconds of changes after which a failure counts all the same


class Settling:
    """The state of the source. `careful`: no run before it is quiet, since a run could take a part for the whole.

    Times are those of one monotonic clock, in seconds.
    """

    def __init__(self, look: Hashable, changed: float, now: float, *, careful: bool) -> None:
        """Begin with a first run: the source looks like that, and changed last at the time `changed`."""
        self._careful = careful
        self._look = look
        self._changed = changed
        self._since: float | None = now  # when the changes began that no run has settled yet
        self._has_run = False

    def see(self, look: Hashable, now: float) -> None:
        """Note what the source looks like."""
        if look == self._look:
            return
        self._look, self._changed = look, now
        if self._since is None:
            self._since, self._has_run = now, False

    def is_changing(self, now: float) -> bool:
        """True while a failure may be that of an unfinished file."""
        return self._since is not None and not self._is_quiet(now) and now - self._since < LONGEST

    def is_due(self, now: float) -> bool:
        """True when the changes are to be followed by a run."""
        if self._since is None:
            return False
        if self._careful:
            return self._is_quiet(now)
        return not self._has_run or not self.is_changing(now)

    def _is_quiet(self, now: float) -> bool:
        return now - self._changed >= QUIET

    def waits(self) -> bool:
        """True when a run is to come though the source may not change any more."""
        return self._since is not None

    def failed(self) -> None:
        """A run met an unfinished file: wait until it is written."""
        self._has_run = True

    def settle(self) -> None:
        """A run has succeeded, or its failure counts: the next one follows the next change."""
        self._since = None

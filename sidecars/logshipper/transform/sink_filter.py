"""The filter of one sink: `SINK_KEEP` and `SINK_DROP`, on the records that the pipeline of an input has made.

The text of an event is searched as the sink would get it: after `REDACT`, and before it is parsed into fields. Events
that the filter drops are counted as `filtered` for this sink alone. It changes no id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sidecars.logshipper.model.ledger import FILTERED
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.transform.patterns.linear_regex import Finder


class SinkFilter:
    """The filter of one sink. Owned by its shipper. Has no state."""

    def __init__(self, keep: str | None, drop: str | None) -> None:
        self._keep = Finder(keep) if keep else None
        self._drop = Finder(drop) if drop else None

    def apply(self, records: Records) -> Records:
        """Return the records without the events that the sink does not want; these are counted in `dropped`."""
        if self._keep is None and self._drop is None:
            return records
        wanted = self.wanted(records.bodies)
        if len(wanted) == len(records.bodies):
            return records
        kept, dropped = records.select(wanted), dict(records.dropped)
        whole, left = _extent(records), _extent(kept)
        before = dropped.get(FILTERED, (0, 0))
        dropped[FILTERED] = (before[0] + whole[0] - left[0], before[1] + whole[1] - left[1])
        # The settings choose, so that the choice is the same in each attempt.
        return replace(kept, dropped=dropped, matches=records.matches, chosen=records.chosen)

    def wanted(self, bodies: Sequence[str]) -> list[int]:
        """Return the indices of the texts that the sink gets."""
        kept: Sequence[int] = range(len(bodies)) if self._keep is None else self._keep.matching(bodies)
        unwanted = set() if self._drop is None else set(self._drop.matching(bodies))
        return [index for index in kept if index not in unwanted]


def _extent(records: Records) -> tuple[int, int]:
    """Return the bytes and lines of the file that the records are made from."""
    return sum(records.file_sizes), len(records.bodies) if records.counts is None else sum(records.counts)

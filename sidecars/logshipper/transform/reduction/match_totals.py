"""The totals of the counters from lines, for metrics.

A batch is counted when it is settled. So a batch that is sent again, also after kill -9, counts once. Each sink reads
the files for itself, and counts for itself. The largest count is shown: that of the sink that is ahead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from sidecars.logshipper.model.records import Match, Records


class MatchTotals:
    """The totals of all inputs. Owned by the app, filled by the shippers.

    `at_zero`: for each input the counters that are shown before they have counted anything.
    """

    def __init__(self, at_zero: Mapping[str, Iterable[Match]]) -> None:
        self._at_zero = [(name, match) for name, matches in at_zero.items() for match in matches]
        self._by_sink: dict[str, Counter[tuple[str, Match]]] = {}

    def settled(self, sink: str, records: Iterable[Records]) -> None:
        """Count the events of a batch on which the sink has decided."""
        for one in records:
            if one.matches:
                totals = self._by_sink.setdefault(sink, Counter())
                for match, count in one.matches.items():
                    totals[one.chunk.input, match] += count

    def counts(self) -> dict[tuple[str, Match], int]:
        """Return the number of events by input and counter."""
        most = dict.fromkeys(self._at_zero, 0)
        for totals in self._by_sink.values():
            for key, count in totals.items():
                most[key] = max(count, most.get(key, 0))
        return most

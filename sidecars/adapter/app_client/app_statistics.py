"""Numbers about one app: requests, failed requests, and faults of its metrics pages. No I/O."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from sidecars.adapter.app_client.outcome import NoResponse, Outcome, Reason
from sidecars.adapter.exposition.page_faults import FaultKind

Clock = Callable[[], float]


class AppStatistics:
    """The statistics of one app. The app client writes them; `/metrics` and `/status` read them.

    requests      requests sent to the app
    errors        requests without a usable response, by reason
    faults        faults of all its metrics pages, by kind
    left_out      metric families that the last page lost because they contradict themselves
    last_faults   the faults of the latest page that had any, one sentence each
    """

    def __init__(self, clock: Clock = time.time) -> None:
        self.requests = 0
        self.errors: dict[Reason, int] = dict.fromkeys(get_args(Reason), 0)
        self.faults: Counter[FaultKind] = Counter()
        self.left_out = 0
        self.last_faults: Sequence[str] = ()
        self.last_faults_at = 0.0
        self._clock = clock

    def count_request(self) -> None:
        self.requests += 1

    def record_outcome(self, outcome: Outcome) -> None:
        if isinstance(outcome, NoResponse):
            self.errors[outcome.reason] += 1

    def record_page(self, faults: Mapping[FaultKind, int], sentences: Sequence[str], left_out: int) -> list[FaultKind]:
        """Record the faults of one metrics page, by kind and as sentences. Return the kinds that are new for this app.

        `left_out` is the number of metric families that contradict themselves.
        """
        new = [kind for kind in faults if kind not in self.faults]
        self.faults.update(faults)
        self.left_out = left_out
        if faults:
            self.last_faults, self.last_faults_at = sentences, self._clock()
        return new

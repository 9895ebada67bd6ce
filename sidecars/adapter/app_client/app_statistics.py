"""Numbers about one app: requests, failed requests, its last answers, and faults of its metrics pages. No I/O."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from sidecars.adapter.app_client.outcome import AppRequest, NoResponse, Outcome, Reason
from sidecars.adapter.app_client.recent_values import RecentValues
from sidecars.adapter.exposition.page_faults import FaultKind

Clock = Callable[[], float]


class LastAnswer:
    """The last answer to one app request, and how long the answers of the last minutes took."""

    __slots__ = ("_at", "_durations", "_seconds", "_words")

    def __init__(self) -> None:
        self._words = ""
        self._at = self._seconds = 0.0
        self._durations = RecentValues()

    def record(self, outcome: Outcome, seconds: float, now: float) -> None:
        """Record an outcome that came at `now`, so many seconds after its request. The body is not kept."""
        self._words, self._seconds, self._at = answer_in_words(outcome), seconds, now
        self._durations.add(seconds, now)

    def status_page(self, now: float, cache_ttl: float) -> dict[str, Any]:
        """Return the answer's part of `/status`. `cache_ttl`: the seconds for which an outcome is used again."""
        age = max(0.0, now - self._at)
        return {
            "words": self._words,
            "age_seconds": round(age, 3),
            "duration_seconds": round(self._seconds, 6),
            "durations": self._durations.values(now),
            "kept_for_seconds": round(max(0.0, cache_ttl - age), 3),
        }


def answer_in_words(outcome: Outcome) -> str:
    """Return the kind of the app's answer, as a phrase without anything that the app has sent."""
    if isinstance(outcome, NoResponse):
        return outcome.phrase
    found = outcome.interpretation
    if found is None:
        return f"answered with the status {outcome.status}, {len(outcome.body)} B"
    from sidecars.adapter.app_client.interpretation import Interpretation, UnusableResponse  # noqa: PLC0415 - loaded

    if isinstance(found, UnusableResponse):
        return found.phrase
    if isinstance(found, Interpretation):
        kind = "a health document" if found.health else "metrics"
        return found.problem or f"answered with the status {outcome.status} and {kind}, {len(outcome.body)} B"
    return f"answered with the status {outcome.status}, {len(outcome.body)} B"


class AppStatistics:
    """The statistics of one app. The app client writes them; `/metrics` and `/status` read them.

    requests      requests sent to the app
    errors        requests without a usable response, by reason
    kept          probes that got the outcome of an earlier request (CACHE_TTL)
    shared        probes that waited for a request which was in flight already
    answers       the last answer to each request
    faults        faults of all its metrics pages, by kind
    left_out      metric families that the last page lost because they contradict themselves
    last_faults   the faults of the latest page that had any, one sentence each
    """

    def __init__(self, clock: Clock = time.time) -> None:
        self.requests = 0
        self.errors: dict[Reason, int] = dict.fromkeys(get_args(Reason), 0)
        self.kept = self.shared = 0
        self.answers: dict[AppRequest, LastAnswer] = {}
        self.faults: Counter[FaultKind] = Counter()
        self.left_out = 0
        self.last_faults: Sequence[str] = ()
        self.last_faults_at = 0.0
        self._clock = clock

    def count_request(self) -> None:
        self.requests += 1

    def count_kept(self) -> None:
        self.kept += 1

    def count_shared(self) -> None:
        self.shared += 1

    def record_outcome(self, app_request: AppRequest, outcome: Outcome, seconds: float) -> None:
        """Record the outcome of a request, and how long it took."""
        if isinstance(outcome, NoResponse):
            self.errors[outcome.reason] += 1
        answer = self.answers.get(app_request)
        if answer is None:
            answer = self.answers[app_request] = LastAnswer()
        answer.record(outcome, seconds, self._clock())

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

"""The counts of a copier that watches: its runs, and the artifacts that it has published. Plain values, no I/O."""

from __future__ import annotations

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecars.warcopier.app import Outcome

RESULTS = ("published", "unchanged", "failed")


class Statistics:
    """The counts of one process. Its publisher writes them in a thread, and a scrape reads them."""

    def __init__(self, created: float) -> None:
        """`created` is the Unix time from which it counts."""
        self.created = created
        self.runs = dict.fromkeys(RESULTS, 0)
        self.published = self.pruned = 0
        self.copied = 0  # bytes of archives
        self.seconds = 0.0  # duration of the last run
        self.success = 0.0  # Unix time at which a run last ended with success
        self.last_failed = False
        self.polled = False  # inotify is not available
        self.artifacts: Mapping[str, str] = {}  # the digest of each, by its file

    def set_polling(self, is_polling: bool) -> None:  # noqa: FBT001 - a callback
        self.polled = is_polling

    def count_success(self, outcome: Outcome, seconds: float, now: float) -> None:
        """Count a run that took so many seconds and ended at the Unix time `now`."""
        self.runs["published" if outcome.published or outcome.pruned else "unchanged"] += 1
        self.published += len(outcome.published)
        self.pruned += len(outcome.pruned)
        self.copied += outcome.copied
        self.seconds, self.success, self.last_failed = seconds, now, False
        self.set_artifacts(outcome)

    def set_artifacts(self, outcome: Outcome) -> None:
        self.artifacts = dict(outcome.sha256)

    def count_failure(self, seconds: float) -> None:
        self.runs["failed"] += 1
        self.seconds, self.last_failed = seconds, True

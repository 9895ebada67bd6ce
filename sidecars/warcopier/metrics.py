"""Metrics of a copier that watches: of its runs, and of the artifacts that it has published."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.tomcat_names import utf8_text

if TYPE_CHECKING:
    from sidecars.warcopier.app import Outcome

RESULTS = ("published", "unchanged", "failed")


class Metrics:
    """The metrics of one process, owned by its publisher."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter("warcopier_runs", "Runs, by their result.", ["result"], registry=registry)
        for result in RESULTS:
            self._runs.labels(result)
        self._published = Counter(
            "warcopier_published", "Artifacts that were published, each time one was.", registry=registry
        )
        self._pruned = Counter("warcopier_pruned", "Artifacts that were removed.", registry=registry)
        self._copied = Counter("warcopier_copied_bytes", "Bytes of archives that were published.", registry=registry)
        self._seconds = Gauge("warcopier_last_run_seconds", "Duration of the last run.", registry=registry)
        self._success = Gauge(
            "warcopier_last_success_timestamp_seconds",
            "Unix time at which a run last ended with success.",
            registry=registry,
        )
        self._failed = Gauge(
            "warcopier_last_run_failed",
            "1 if the last run failed: an older release is served.",
            registry=registry,
        )
        self._artifacts = Gauge(
            "warcopier_artifact_info",
            "1 for each artifact in the target, with its digest.",
            ["file", "sha256"],
            registry=registry,
        )
        self._polled = Gauge(
            "warcopier_source_polled", "1 while inotify is not available and the source is polled.", registry=registry
        )

    def set_polling(self, is_polling: bool) -> None:  # noqa: FBT001 - a callback
        self._polled.set(is_polling)

    def count_success(self, outcome: Outcome, seconds: float, now: float) -> None:
        """Count a run that took so many seconds and ended at the Unix time `now`."""
        self._runs.labels("published" if outcome.published or outcome.pruned else "unchanged").inc()
        self._published.inc(len(outcome.published))
        self._pruned.inc(len(outcome.pruned))
        self._copied.inc(outcome.copied)
        self._seconds.set(seconds)
        self._success.set(now)
        self._failed.set(0)
        self.set_artifacts(outcome)

    def set_artifacts(self, outcome: Outcome) -> None:
        self._artifacts.clear()
        for file, sha256 in outcome.sha256.items():
            self._artifacts.labels(utf8_text(file), sha256).set(1)

    def count_failure(self, seconds: float) -> None:
        self._runs.labels("failed").inc()
        self._failed.set(1)
        self._seconds.set(seconds)

"""What is measured while the copier stays: of its runs, and of what it has published."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.tomcat_names import utf8_text

if TYPE_CHECKING:
    from sidecars.warcopier.app import Outcome

RUNS = ("published", "unchanged", "failed")


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "warcopier_runs", "Looks at the source, by what came of them.", ["result"], registry=registry
        )
        for result in RUNS:
            self._runs.labels(result)
        self._published = Counter(
            "warcopier_published", "Artifacts that were published, again ones included.", registry=registry
        )
        self._pruned = Counter("warcopier_pruned", "Artifacts that were removed.", registry=registry)
        self._copied = Counter("warcopier_copied_bytes", "Bytes of archives that were published.", registry=registry)
        self._seconds = Gauge("warcopier_last_run_seconds", "How long the last run took.", registry=registry)
        self._success = Gauge(
            "warcopier_last_success_timestamp_seconds", "When a run last ended well, in Unix time.", registry=registry
        )
        self._artifacts = Gauge(
            "warcopier_artifact_info",
            "1 for each artifact that is there now, with its digest.",
            ["file", "sha256"],
            registry=registry,
        )

        self._polls = Gauge(
            "warcopier_source_polled",
            "1 while the source is only polled, since the kernel tells of no changes (inotify).",
            registry=registry,
        )

    def polls(self, yes: bool) -> None:  # noqa: FBT001 - a callback
        self._polls.set(yes)

    def succeeded(self, outcome: Outcome, seconds: float, now: float) -> None:
        self._runs.labels("published" if outcome.published or outcome.pruned else "unchanged").inc()
        self._published.inc(len(outcome.published))
        self._pruned.inc(len(outcome.pruned))
        self._copied.inc(outcome.copied)
        self._seconds.set(seconds)
        self._success.set(now)
        self.shows(outcome)

    def shows(self, outcome: Outcome) -> None:
        """Show what is there now."""
        self._artifacts.clear()
        for file, sha256 in outcome.sha256.items():
            self._artifacts.labels(utf8_text(file), sha256).set(1)

    def failed(self, seconds: float) -> None:
        self._runs.labels("failed").inc()
        self._seconds.set(seconds)

"""Metrics of a copier that watches, made from its statistics at each scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecars.warcopier.statistics import Statistics
from sidecars.warcopier.tomcat_names import utf8_text


class StatisticsCollector(Collector):
    """Exposes the statistics to Prometheus."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        known = self._statistics
        runs = CounterMetricFamily("warcopier_runs", "Runs, by their result.", labels=["result"])
        for result, count in known.runs.items():
            runs.add_metric([result], count, known.created)
        yield runs
        for name, documentation, count in (
            ("warcopier_published", "Artifacts that were published, each time one was.", known.published),
            ("warcopier_pruned", "Artifacts that were removed.", known.pruned),
            ("warcopier_copied_bytes", "Bytes of archives that were published.", known.copied),
        ):
            yield CounterMetricFamily(name, documentation, count, created=known.created)
        for name, documentation, value in (
            ("warcopier_last_run_seconds", "Duration of the last run.", known.seconds),
            (
                "warcopier_last_success_timestamp_seconds",
                "Unix time at which a run last ended with success.",
                known.success,
            ),
            ("warcopier_last_run_failed", "1 if the last run failed: an older release is served.", known.last_failed),
            (
                "warcopier_source_polled",
                "1 while inotify is not available and the source is polled.",
                known.polled,
            ),
        ):
            yield GaugeMetricFamily(name, documentation, value)
        artifacts = GaugeMetricFamily(
            "warcopier_artifact_info",
            "1 for each artifact in the target, with its digest.",
            labels=["file", "sha256"],
        )
        for file, digest in known.artifacts.items():
            artifacts.add_metric([utf8_text(file), digest], 1)
        yield artifacts

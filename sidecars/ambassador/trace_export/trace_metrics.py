"""Metrics of the export of spans, read from its queue at scrape time. They exist only while spans are exported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from sidecars.ambassador.proxy.observed.span_queue import SpanQueue


class TraceCollector(Collector):
    """The Prometheus collector of one queue of spans. The data path owns it."""

    def __init__(self, queue: SpanQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        queue = self._queue
        metric = CounterMetricFamily(
            "ambassador_spans",
            "Spans by their outcome: exported, dropped (no room while the collector was away), or refused by it.",
            labels=["outcome"],
        )
        for outcome, count in (("exported", queue.exported), ("dropped", queue.dropped), ("refused", queue.refused)):
            metric.add_metric([outcome], count)
        yield metric
        yield GaugeMetricFamily(
            "ambassador_spans_waiting_bytes", "Bytes of spans that wait for the collector.", queue.held
        )

"""The adapter's metrics, read from the record at scrape time."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from sidecars.adapter.exposition.page_faults import EFFECTS
from sidecars.adapter.statistics import BUCKETS, Statistics
from sidecars.adapter.verdict.verdict import STATUSES
from sidecars.chassis.runtime.histogram import cumulative_buckets

_Counter = CounterMetricFamily


class StatisticsCollector(Collector):
    """Shows a record to Prometheus."""

    def __init__(self, record: Statistics) -> None:
        self._record = record

    def collect(self) -> Iterator[Metric]:
        yield from self._routes()
        yield from self._verdicts()
        yield from self._apps()

    def _routes(self) -> Iterator[Metric]:
        requests = _Counter("adapter_requests", "Requests answered, by route and status.", labels=["route", "code"])
        up = GaugeMetricFamily("adapter_up", "1 when the route's last answer was good.", labels=["route"])
        durations = HistogramMetricFamily(
            "adapter_request_duration_seconds", "From a route's request to its answer.", labels=["route"]
        )
        for route in (*self._record.routes.values(), self._record.other):
            for code, count in route.codes.items():
                requests.add_metric([route.path, str(code)], count)
        for route in self._record.routes.values():
            buckets = cumulative_buckets(BUCKETS, route.durations.counts)
            durations.add_metric([route.path], buckets, route.durations.sum)
            if route.last:
                up.add_metric([route.path], int(route.last.good))
        yield from (requests, up, durations)

    def _verdicts(self) -> Iterator[Metric]:
        status = GaugeMetricFamily("adapter_verdict", "1 for the route's verdict.", labels=["route", "status"])
        value = GaugeMetricFamily("adapter_rule_value", "The value that decided.", labels=["route", "rule"])
        passes = GaugeMetricFamily("adapter_rule_pass", "1 when the rule passes.", labels=["route", "rule"])
        for route in self._record.routes.values():
            if route.verdict is None:
                continue
            for each in STATUSES:
                status.add_metric([route.path, each], int(each == route.verdict.status))
            for label, known in route.checks.items():
                if not known.check.is_rule:
                    continue  # its name is the app's invention, and those may be without number
                passes.add_metric([route.path, label], int(known.check.status == "pass"))
                if known.check.value is not None:
                    value.add_metric([route.path, label], known.check.value)
        yield from (status, value, passes)

    def _apps(self) -> Iterator[Metric]:
        requests = _Counter("adapter_upstream_requests", "Requests made to the app.", labels=["app"])
        errors = _Counter("adapter_upstream_errors", "Requests without an answer.", labels=["app", "reason"])
        current = GaugeMetricFamily("adapter_rules_current", "0 when a newer file is bad.", labels=["app"])
        faults = _Counter("adapter_page_faults", "Faults of the app's pages of metrics.", labels=["app", "kind"])
        left_out = GaugeMetricFamily(
            "adapter_families_left_out", "Metrics of the app's last page that contradict themselves.", labels=["app"]
        )
        for name, app in self._record.apps.items():
            left_out.add_metric([name], app.left_out)
            for kind in EFFECTS:
                faults.add_metric([name, kind], app.faults[kind])
            requests.add_metric([name], app.requests)
            if app.rule_files:
                current.add_metric([name], int(not app.rules_problem()))
            for reason, count in app.errors.items():
                errors.add_metric([name, reason], count)
        yield from (requests, errors, current, faults, left_out)

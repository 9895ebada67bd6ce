"""The adapter's own metrics, read from its statistics at scrape time."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from sidecars.adapter.exposition.page_faults import EFFECTS
from sidecars.adapter.server.route_statistics import BUCKETS
from sidecars.adapter.statistics import Statistics
from sidecars.adapter.verdict.verdict import STATUSES
from sidecars.chassis.histogram import cumulative_buckets

_Counter = CounterMetricFamily


class StatisticsCollector(Collector):
    """Exposes the statistics to Prometheus."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        yield from self._routes()
        yield from self._verdicts()
        yield from self._apps()

    def _routes(self) -> Iterator[Metric]:
        requests = _Counter("adapter_requests", "Responses to probers, by route and status.", labels=["route", "code"])
        up = GaugeMetricFamily("adapter_up", "1 if the route's last response passes.", labels=["route"])
        durations = HistogramMetricFamily(
            "adapter_request_duration_seconds", "Seconds from a route's request to its response.", labels=["route"]
        )
        server = self._statistics.server
        for route in (*server.routes.values(), server.other):
            for code, count in route.codes.items():
                requests.add_metric([route.path, str(code)], count)
        for route in server.routes.values():
            buckets = cumulative_buckets(BUCKETS, route.durations.counts)
            durations.add_metric([route.path], buckets, route.durations.sum)
            if route.last:
                up.add_metric([route.path], int(route.last.passing))
        yield from (requests, up, durations)

    def _verdicts(self) -> Iterator[Metric]:
        status = GaugeMetricFamily(
            "adapter_verdict", "1 for the status of the route's verdict.", labels=["route", "status"]
        )
        value = GaugeMetricFamily("adapter_rule_value", "The rule's measured value.", labels=["route", "rule"])
        passes = GaugeMetricFamily("adapter_rule_pass", "1 if the rule passes.", labels=["route", "rule"])
        for route in self._statistics.server.routes.values():
            if route.verdict is None:
                continue
            for each in STATUSES:
                status.add_metric([route.path, each], int(each == route.verdict.status))
            for label, known in route.checks.items():
                if not known.check.is_rule:
                    continue  # the app chooses the names of components, and their number has no limit
                passes.add_metric([route.path, label], int(known.check.status == "pass"))
                if known.check.value is not None:
                    value.add_metric([route.path, label], known.check.value)
        yield from (status, value, passes)

    def _apps(self) -> Iterator[Metric]:
        requests = _Counter("adapter_upstream_requests", "Requests sent to the app.", labels=["app"])
        errors = _Counter(
            "adapter_upstream_errors", "Requests to the app without a usable response.", labels=["app", "reason"]
        )
        current = GaugeMetricFamily(
            "adapter_rules_current", "0 if the file of rules has changed and cannot be used.", labels=["app"]
        )
        faults = _Counter("adapter_page_faults", "Faults of the app's metrics pages.", labels=["app", "kind"])
        left_out = GaugeMetricFamily(
            "adapter_families_left_out",
            "Metric families of the app's last page that contradict themselves.",
            labels=["app"],
        )
        for name, app in self._statistics.apps.items():
            left_out.add_metric([name], app.left_out)
            for kind in EFFECTS:
                faults.add_metric([name, kind], app.faults[kind])
            requests.add_metric([name], app.requests)
            for reason, count in app.errors.items():
                errors.add_metric([name, reason], count)
        for name, problem in self._statistics.rule_problems().items():
            current.add_metric([name], int(not problem))
        yield from (requests, errors, current, faults, left_out)

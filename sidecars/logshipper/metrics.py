"""The metrics of `/metrics`, made from the ledgers and counters at each scrape: the hot path counts plain integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecars.chassis.histogram import cumulative_buckets
from sidecars.logshipper.delivery.delivery_times import BOUNDS
from sidecars.logshipper.delivery.shipper import Shipper
from sidecars.logshipper.delivery.sink_queue import SinkQueue
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.model.ledger import REASONS, Ledger
from sidecars.logshipper.state.store import Store

OUTCOMES = ("delivered", "retried", "rejected", "split", "expired")


class LedgerCollector(Collector):
    """Reads the ledgers, queues, shippers and files. Registered once by the app."""

    def __init__(
        self,
        ledgers: Mapping[str, Ledger],
        queues: Mapping[str, SinkQueue],
        follower: Follower,
        shippers: list[Shipper],
        store: Store,
        clock: Callable[[], float],
    ) -> None:
        self._ledgers = ledgers
        self._queues = queues
        self._follower = follower
        self._shippers = shippers
        self._store = store
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Return nothing: without this method the registry would collect once to find the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._ledger_metrics()
        yield from self._shipper_metrics()
        yield from self._delivery_metrics()
        files = GaugeMetricFamily("logshipper_files", "Log files by state.", labels=["state"])
        files.add_metric(["followed"], sum(not tail.dormant for tail in self._follower.tails.values()))
        files.add_metric(["unreadable"], self._follower.access.unreadable_count)
        files.add_metric(["not_followed"], self._follower.access.not_followed)
        for state, count in self._follower.open_files.status().items():
            if state != "most":
                files.add_metric([state], count)
        yield files
        yield GaugeMetricFamily(
            "logshipper_held_deleted_bytes",
            "Disk space of deleted files that are held open until every sink has them.",
            value=self._follower.open_files.held_deleted(),
        )
        yield self._unparsed()
        yield self._matches()
        yield GaugeMetricFamily(
            "logshipper_missing_rotated_files",
            "Logs of which a rotated file was missing at the first scan without a saved state.",
            value=len(self._follower.missing),
        )
        yield GaugeMetricFamily(
            "logshipper_state_saved", "1 while the positions can be saved, else 0.", value=not self._store.problem
        )

    def _unparsed(self) -> Metric:
        unparsed = CounterMetricFamily(
            "logshipper_unparsed_events",
            "Events in which the format, time, level, message or field of the path was not found that a setting names.",
            labels=["input", "part"],
        )
        for (name, part), count in self._shippers[0].unparsed.counts().items() if self._shippers else ():
            unparsed.add_metric([name, part], count)
        return unparsed

    def _matches(self) -> Metric:
        matches = CounterMetricFamily(
            "logshipper_matches",
            "Events in which a regex of COUNT was found, by input and counter; a named group is a label, too.",
            labels=["input", "name"],
        )
        for (name, match), count in self._shippers[0].matches.counts().items() if self._shippers else ():
            label = {match.label: match.value} if match.label else {}
            matches.add_sample("logshipper_matches_total", {"input": name, "name": match.name, **label}, count)
        return matches

    def _ledger_metrics(self) -> Iterator[Metric]:
        read = CounterMetricFamily("logshipper_read_bytes", "Log bytes that were seen.", labels=["sink"])
        delivered = CounterMetricFamily(
            "logshipper_delivered_bytes", "Log bytes that the sink accepted.", labels=["sink"]
        )
        lines = CounterMetricFamily("logshipper_delivered_lines", "Lines that the sink accepted.", labels=["sink"])
        dropped = CounterMetricFamily(
            "logshipper_dropped_bytes", "Log bytes that will never be delivered.", labels=["sink", "reason"]
        )
        dropped_lines = CounterMetricFamily(
            "logshipper_dropped_lines", "Lines that will never be delivered.", labels=["sink", "reason"]
        )
        pending = GaugeMetricFamily("logshipper_pending_bytes", "Log bytes that wait in the files.", labels=["sink"])
        for sink, ledger in self._ledgers.items():
            total = ledger.total
            read.add_metric([sink], total.read)
            delivered.add_metric([sink], total.delivered)
            lines.add_metric([sink], total.lines)
            pending.add_metric([sink], total.pending)
            for reason in REASONS:
                dropped.add_metric([sink, reason], total.dropped[reason])
                dropped_lines.add_metric([sink, reason], total.dropped_lines[reason])
        yield from (read, delivered, lines, dropped, dropped_lines, pending)

    def _shipper_metrics(self) -> Iterator[Metric]:
        batches = CounterMetricFamily("logshipper_batches", "Batches by outcome.", labels=["sink", "outcome"])
        oldest = GaugeMetricFamily(
            "logshipper_oldest_unacked_seconds", "How long the sink's oldest byte has been waiting.", labels=["sink"]
        )
        refusing = GaugeMetricFamily(
            "logshipper_sink_refuses_all",
            "1 while the sink refuses every line, and they are kept; else 0.",
            labels=["sink"],
        )
        overflows = CounterMetricFamily(
            "logshipper_target_overflows",
            "Events whose index, topic or other target became `overflow`, or whose label became metadata.",
            labels=["sink"],
        )
        for shipper in self._shippers:
            refusing.add_metric([shipper.name], shipper.refuses_all)
            overflows.add_metric([shipper.name], shipper.target_overflows)
            for outcome in OUTCOMES:
                batches.add_metric([shipper.name, outcome], shipper.batches[outcome])
            since = self._queues[shipper.name].oldest()
            oldest.add_metric([shipper.name], 0.0 if since is None else max(0.0, self._clock() - since))
        yield from (batches, oldest, refusing, overflows)

    def _delivery_metrics(self) -> Iterator[Metric]:
        success = GaugeMetricFamily(
            "logshipper_last_success_timestamp_seconds",
            "Unix time at which the sink last accepted a line; 0 before the first.",
            labels=["sink"],
        )
        waits = HistogramMetricFamily(
            "logshipper_delivery_seconds",
            "From the first sight of a batch's oldest line until the sink has decided on the batch.",
            labels=["sink"],
        )
        for sink, queue in self._queues.items():
            success.add_metric([sink], queue.times.last_success)
            waits.add_metric([sink], cumulative_buckets(BOUNDS, queue.times.counts), queue.times.seconds)
        yield from (success, waits)

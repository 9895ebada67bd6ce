from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric

from sidecars.ambassador.data_path import DataPath
from sidecars.ambassador.discovery.dns_target import DnsAnswer, ResolvedAddress
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.workers import reports
from sidecars.ambassador.workers.reports import Family
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.lifecycle import Failure, ServiceContext


def reported(requests: int, open_now: int, age: float, seconds: list[float]) -> dict[str, Family]:
    """Return the metrics in the report of a worker with these numbers."""
    registry = CollectorRegistry()
    Counter("ambassador_requests", "", ["code"], registry=registry).labels("200").inc(requests)
    Gauge("ambassador_connections_open", "", registry=registry).set(open_now)
    Gauge("ambassador_upstream_dns_age_seconds", "", registry=registry).set(age)
    histogram = Histogram("ambassador_seconds", "", buckets=(0.1, 1.0), registry=registry)
    for each in seconds:
        histogram.observe(each)
    return reports.decode(reports.encode((), (), {}, registry)).families


def value(metrics: list[Metric], name: str, **labels: str) -> float:
    return next(
        sample.value
        for metric in metrics
        for sample in metric.samples
        if (sample.name, sample.labels) == (name, labels)
    )


WORKERS = st.lists(
    st.tuples(
        st.integers(0, 10**9), st.integers(0, 1000), st.floats(0, 100), st.lists(st.sampled_from([0.05, 0.5, 5.0]))
    ),
    min_size=1,
    max_size=4,
)


@given(WORKERS, st.integers(0, 4))
def test_counts_of_all_workers_add_up_and_survive_those_that_are_gone(
    workers: list[tuple[int, int, float, list[float]]], dead: int
) -> None:
    gone: dict[str, Family] = {}
    for worker in workers[:dead]:
        reports.add_up(gone, reported(*worker).values())
    alive = [reported(*worker) for worker in workers[dead:]]
    metrics = list(reports.merge_metrics([gone, *alive]))
    assert value(metrics, "ambassador_requests_total", code="200") == sum(worker[0] for worker in workers)
    every = [seconds for worker in workers for seconds in worker[3]]
    assert value(metrics, "ambassador_seconds_bucket", le="0.1") == sum(seconds < 0.1 for seconds in every)
    assert value(metrics, "ambassador_seconds_bucket", le="+Inf") == len(every)
    assert value(metrics, "ambassador_seconds_count") == len(every)
    if alive:
        assert value(metrics, "ambassador_connections_open") == sum(worker[1] for worker in workers[dead:])
        assert value(metrics, "ambassador_upstream_dns_age_seconds") == max(worker[2] for worker in workers[dead:])


async def test_for_every_gauge_it_is_decided_what_the_workers_are_together() -> None:
    collector = {"AMBASSADOR_TRACES": "on", "AMBASSADOR_TRACES_ENDPOINT": "http://127.0.0.1:4318"}
    settings = load(
        Settings, {"AMBASSADOR_UPSTREAM": "http://10.0.0.1", "AMBASSADOR_LISTEN": "127.0.0.1:0", **collector}
    )
    path = DataPath(settings, ServiceContext(1.0))
    upstream = path._upstreams[0]
    upstream.on_dns_answer(upstream.dns_targets[0], DnsAnswer((ResolvedAddress("10.0.0.1"),), 5.0), 0.0)
    gauges = {family.name for family in path.metrics().collect() if family.type == "gauge"}
    assert gauges == reports.SUMMED | reports.GREATEST | reports.LEAST


def test_the_last_words_of_a_worker_fit_into_a_pipe_that_nobody_reads_yet() -> None:
    words = reports.encode_failure(Failure("\N{SNOWMAN}" * 100_000, code="defect"))
    assert len(words) < 32_768
    failure = reports.decode_failure(words)
    assert failure is not None
    assert (failure.code, set(failure.reason)) == ("defect", {"\N{SNOWMAN}"})

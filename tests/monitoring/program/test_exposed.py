"""Alerts, dashboards and the reference speak of metrics and labels that the real sidecars expose."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import get_args

import pytest

from sidecars.adapter.app_client.outcome import Reason
from sidecars.adapter.exposition.page_faults import EFFECTS
from sidecars.adapter.verdict.verdict import STATUSES
from sidecars.ambassador.http.local_replies import ERROR_TYPES
from sidecars.ambassador.http2.grpc import STATUS_NAMES
from sidecars.chassis.runtime.logs import LEVELS
from sidecars.logshipper.metrics import OUTCOMES
from sidecars.logshipper.model.ledger import REASONS
from sidecars.warcopier.statistics import RESULTS
from tests.monitoring.queries import grouping_labels, selectors
from tests.support import peer
from tools.monitoring import exposed, reference
from tools.monitoring.__main__ import REFERENCE
from tools.monitoring.alerts.groups import ALERTS, RECORDINGS
from tools.monitoring.dashboards.catalogue import DASHBOARDS
from tools.monitoring.exposed import Family

# Labels that the scrape adds, whatever sidecar it is of.
OF_THE_TARGET = {"container", "instance", "job", "namespace", "pod"}
# Metrics of others: Prometheus itself, the kubelet, kube-state-metrics.
FOREIGN = {
    "ALERTS": {"alertname", "alertstate", "severity"},
    "container_memory_working_set_bytes": set[str](),
    "kube_pod_init_container_resource_limits": {"resource"},
    "kube_pod_init_container_status_restarts_total": set[str](),
    "up": set[str](),
}
# Metrics that no alert and no dashboard shows, and why.
NOT_SHOWN = {
    "ambassador_buffer_refused_heads_total": "for a closer look once an alert says that memory is short; they are 503",
    "ambassador_buffer_shortages_total": "the bytes are shown beside their limit, and an alert tells",
    "ambassador_buffer_unkept_bodies_total": "for a closer look once an alert says that memory is short",
    "ambassador_downstream_connections_total": "new connections say little beside the open ones",
    "ambassador_endpoint_connections_idle": "the sum of all endpoints is shown",
    "ambassador_endpoint_ejections_total": "the table shows which endpoints are ejected now",
    "ambassador_endpoint_retries_total": "the retries of the upstream are shown",
    "ambassador_endpoint_weight": "for a question about one endpoint; it follows DNS and the slow start",
    "ambassador_mirror_copies_total": "with MIRROR alone; what becomes of the copies is shown as the other upstream",
    "ambassador_spans_waiting_bytes": "with TRACES=on alone; an alert tells of lost spans",
    "ambassador_upstream_concurrency_limit": "with limits alone; what it refuses is an error by type",
    "ambassador_upstream_refused_requests_total": "with limits alone; the errors by type are shown",
    "ambassador_upstream_hedges_total": "with HEDGE_AFTER alone; it is a choice, and no trouble",
    "ambassador_upstream_dns_lookups_total": "a look-up that works is no news",
    "ambassador_upstream_kubernetes_age_seconds": "for a closer look once an alert says that the API is away",
    "ambassador_upstream_kubernetes_by_dns": "for a closer look once an alert says that the API is away",
    "ambassador_upstream_kubernetes_failures_total": "a failure that is mended by itself is no news; an alert tells",
    "ambassador_worker_restarts_total": "with WORKERS alone; the log has each end",
    "ambassador_workers": "with WORKERS alone",
    "logshipper_matches_total": "the user names what it counts, and knows what that means",
    "process_virtual_memory_bytes": "address space is not memory",
}
CLOSED = {
    ("adapter_page_faults", "kind"): set(EFFECTS),
    ("adapter_upstream_errors", "reason"): set(get_args(Reason)),
    ("adapter_verdict", "status"): set(STATUSES),
    ("ambassador_errors", "error"): set(ERROR_TYPES),
    ("ambassador_grpc_calls", "grpc_status"): set(map(str, range(len(STATUS_NAMES)))),
    ("ambassador_spans", "outcome"): {"exported", "dropped", "refused"},
    ("logshipper_batches", "outcome"): set(OUTCOMES),
    ("logshipper_dropped_bytes", "reason"): set(REASONS),
    ("logshipper_dropped_lines", "reason"): set(REASONS),
    ("sidecar_log_messages", "level"): set(LEVELS),
    ("warcopier_runs", "result"): set(RESULTS),
}
Families = dict[str, Family]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return exposed.pages()


@pytest.fixture(scope="module")
def families(pages: dict[str, str]) -> Families:
    return exposed.families(pages)


@cache
def expressions() -> dict[str, str]:
    """Return every expression of the alerts and the dashboards, by its place."""

    def found() -> Iterator[tuple[str, str]]:
        for alert in ALERTS:
            yield alert.name, alert.expression
        for recording in RECORDINGS:
            yield recording.name, recording.expression
        for name, dashboard in DASHBOARDS.items():
            for panel in dashboard.panels:
                for number, query in enumerate(panel.queries):
                    yield f"{name}: {panel.title} {number}", query.expression
            for annotation in dashboard.json()["annotations"]["list"]:
                yield f"{name}: {annotation['name']}", annotation["expr"]

    return dict(found())


def by_series(families: Families) -> dict[str, Family]:
    return {series: family for family in families.values() for series in family.series}


def labels_of(metric: str, known: dict[str, Family]) -> set[str]:
    """Return the labels of a metric as Prometheus stores it. Raises KeyError if nobody exposes it."""
    recorded = {recording.name: grouping_labels(recording.expression) for recording in RECORDINGS}
    if metric in recorded:
        return recorded[metric]
    own = FOREIGN[metric] if metric in FOREIGN else set(known[metric].labels)
    return own | OF_THE_TARGET | ({"le"} if metric.endswith("_bucket") else set())


def test_every_metric_and_label_of_alerts_and_dashboards_is_exposed(families: Families) -> None:
    known = by_series(families)
    for place, expression in expressions().items():
        asked = selectors(expression)
        for selector in asked:
            assert selector.metric in {*known, *FOREIGN, *(one.name for one in RECORDINGS)}, (place, selector.metric)
            unknown = {label for label, _ in selector.matchers} - labels_of(selector.metric, known)
            assert not unknown, (place, selector.metric, unknown)
        together = set[str]().union(*(labels_of(selector.metric, known) for selector in asked))
        assert grouping_labels(expression) <= together, place


def test_the_values_that_alerts_and_dashboards_select_exist(families: Families) -> None:
    known = by_series(families)
    for place, expression in expressions().items():
        for selector in selectors(expression):
            family = known.get(selector.metric)
            for label, value in selector.matchers:
                if family and label in family.labels and label not in reference.OPEN:
                    for each in value.split("|"):
                        assert any(re.fullmatch(each, seen) for seen in family.labels[label]), (place, label, each)


def test_every_metric_is_in_an_alert_or_a_dashboard_or_has_a_reason_not_to_be(families: Families) -> None:
    shown = {selector.metric for expression in expressions().values() for selector in selectors(expression)}
    exported = by_series(families)
    hidden = {family.series[0] for family in exported.values() if not shown & set(family.series)}
    assert hidden == set(NOT_SHOWN)


def test_each_closed_set_of_labels_is_there_before_it_counts(families: Families) -> None:
    for (name, label), values in CLOSED.items():
        assert families[name].labels[label] == values, name


def test_the_reference_of_metrics_is_current(families: Families) -> None:
    assert REFERENCE.read_text() == reference.page(families), "run make docs"


def test_every_metric_has_a_description_that_ends_as_a_sentence(families: Families) -> None:
    for family in families.values():
        assert re.fullmatch(r"[A-Z0-9].*\.", family.help), family.name


def test_promtool_finds_no_fault_in_the_names_and_the_form_of_a_page(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        done = subprocess.run(
            [peer("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), name

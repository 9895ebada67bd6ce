"""The picture of the page and the status fit: every column finds a value."""

from __future__ import annotations

from typing import Any

import pytest

from sidecars.ambassador.config.shared_ports import settings_of_port
from sidecars.ambassador.discovery.dns_target import ApiState
from sidecars.ambassador.picture import PICTURE
from sidecars.ambassador.proxy.routed.tables import add_routes
from sidecars.ambassador.status import port_status
from sidecars.ambassador.status.upstream_status import UpstreamWatch, page
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.workers import pages
from sidecars.chassis.page import values
from sidecars.chassis.page.picture import Table
from sidecars.chassis.runtime.health import ReadinessLatch
from tests.ambassador.exchanges import Pair

MAY_BE_EMPTY = {"Ends in", "Why", "Share"}  # not every state ends by time or has a reason
_OF_TCP = {"Upstreams of TCP", "Endpoints of TCP"}
_OF_ROUTES = {"Routes", "Ports with routes"}
ROWS = {  # those without a row
    "http": {*_OF_TCP, *_OF_ROUTES, "Kubernetes"},
    "routes": {*_OF_TCP, "Kubernetes"},
    "k8s": {*_OF_TCP, *_OF_ROUTES},
    "tcp": {"Upstreams", "Endpoints", "Kubernetes", *_OF_ROUTES},
}


@pytest.fixture(params=["http", "routes", "k8s", "tcp"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def status(scheme: str) -> dict[str, Any]:
    more = {"AMBASSADOR_ROUTE": "/orders", "AMBASSADOR_STRIP_PREFIX": "true"} if scheme == "routes" else {}
    target = f"{'http' if more else scheme}://orders:1"
    with Pair(AMBASSADOR_UPSTREAM=target, AMBASSADOR_EJECT_FOR="1h", **more) as pair:
        pair.add_endpoints(2)
        pair.upstream.balancer.on_response(pair.endpoint, 200, 1.0, 1.1)
        if scheme == "k8s":
            note, error = "zone a: 2 of 3 endpoints", "the API server answered with 503"
            state = ApiState(heard_at=90.0, slices=1, listed=3, failures=2, note=note, error=error)
            pair.upstream.dns_targets[0].follow(state)
        pair.upstream.on_dns_failure(pair.upstream.dns_targets[0], "no answer in time")
        pair.upstream.counters.count_response(200, 0.1)
        pair.upstream.counters.count_error("connection_refused")
        found = page([UpstreamWatch(pair.upstream, 0.0)], pair.upstream.memory, 100.0)
        if more:
            settings = settings_of_port("127.0.0.1:8500", [pair.upstream.settings])
            port = Upstream(settings, pair.loop, ReadinessLatch("port", ""))
            add_routes(port, [pair.upstream])
            port.counters.count_response(404, 0.1)
            found |= port_status.page([port])
            port.disconnects.close()
    together = pages.together([found, found])
    return {**together, "workers": [{"worker": 1, "pid": 2, "restarts": 0, **pages.summary(found)}]}


def test_every_column_of_every_table_finds_a_value(scheme: str) -> None:
    shown = status(scheme)
    for table in (part for part in PICTURE.parts if isinstance(part, Table)):
        rows = list(values.rows(shown, table.rows))
        assert bool(rows) is (table.title not in ROWS[scheme]), table.title
        for column in table.columns:
            found = [values.shown(column, values.find(row, column.path)) for row in rows]
            if rows and column.title not in MAY_BE_EMPTY:
                assert set(found) != {values.NOTHING}, (table.title, column.title)


def test_every_condition_has_a_grade_that_a_person_expects() -> None:
    grades = {
        "ok": ["ok", "ready", "serving"],
        "": ["standby"],
        "warn": [
            "stale",
            "waiting",
            "panic",
            "limited",
            "degraded",
            "draining",
            "leaving",
            "probation",
            "trial",
            "failing",
            "slow start",
        ],
        "bad": ["failed", "no address", "unhealthy", "ejected", "ejected, serving"],
    }
    assert {word: values.grade(word) for words in grades.values() for word in words} == {
        word: grade for grade, words in grades.items() for word in words
    }

"""The picture of the page and the status fit: every column finds a value."""

from __future__ import annotations

from typing import Any

import pytest

from sidecars.ambassador.picture import PICTURE
from sidecars.ambassador.status.upstream_status import UpstreamWatch, page
from sidecars.ambassador.workers import pages
from sidecars.chassis.page import values
from sidecars.chassis.page.picture import Table
from tests.ambassador.exchanges import Pair

MAY_BE_EMPTY = {"Ends in", "Why", "Share"}  # not every state ends by time or has a reason
ROWS = {"http": {"Upstreams of TCP", "Endpoints of TCP"}, "tcp": {"Upstreams", "Endpoints"}}  # those without a row


@pytest.fixture(params=["http", "tcp"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def status(scheme: str) -> dict[str, Any]:
    with Pair(AMBASSADOR_UPSTREAM=f"{scheme}://orders:1", AMBASSADOR_EJECT_FOR="1h") as pair:
        pair.add_endpoints(2)
        pair.upstream.balancer.on_response(pair.endpoint, 200, 1.0, 1.1)
        pair.upstream.on_dns_failure(pair.upstream.dns_targets[0], "no answer in time")
        pair.upstream.counters.count_response(200, 0.1)
        pair.upstream.counters.count_error("connection_refused")
        found = page([UpstreamWatch(pair.upstream, 0.0)], pair.upstream.memory, 100.0)
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

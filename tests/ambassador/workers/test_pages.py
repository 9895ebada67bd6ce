"""The parts of `/status` of several workers, merged to one."""

from __future__ import annotations

from typing import Any

from sidecars.ambassador.status.selection import MOST
from sidecars.ambassador.workers import pages

ADDRESS = "10.0.0.1:80"


def endpoint(
    address: str = ADDRESS, condition: str = "serving", requests: int = 0, failed: int = 0, **members: Any
) -> dict[str, Any]:
    return {
        "address": address,
        "condition": condition,
        "requests": requests,
        "failed": failed,
        "failures_in_a_row": 0,
        **members,
    }


def page(*endpoints: dict[str, Any], leaving: tuple[dict[str, Any], ...] = (), **members: Any) -> dict[str, Any]:
    target = {"target": "http://orders", "dns_age_seconds": 1.5, "endpoints": [*endpoints], "leaving": [*leaving]}
    return {"notes": [], "upstreams": {"orders": {**members, "targets": [target]}}}


def merged(*several: dict[str, Any]) -> dict[str, Any]:
    upstream: dict[str, Any] = pages.together(several)["upstreams"]["orders"]
    return upstream


def test_counts_add_up_and_measures_are_the_greatest() -> None:
    one, other = page(endpoint(requests=3, cost_seconds=0.1)), page(endpoint(requests=4, cost_seconds=0.2))
    (target,) = merged(one, {}, other)["targets"]
    assert target["endpoints"] == [endpoint(requests=7, cost_seconds=0.2)]
    assert target["dns_age_seconds"] == 1.5


def test_buckets_add_up_bound_by_bound() -> None:
    one, other = ({"latency": {"0.001": low, "+Inf": low + 1}} for low in (2, 5))
    upstream = merged(page(endpoint(http=one), http=one), page(endpoint(http=other), http=other))
    assert upstream["http"] == upstream["targets"][0]["endpoints"][0]["http"] == {"latency": {"0.001": 7, "+Inf": 9}}


def test_what_each_worker_sees_is_not_added() -> None:
    seen: dict[str, Any] = {"endpoints_known": 3, "endpoints_down": 1, "endpoints_leaving": 0, "connections": 10}
    upstream = merged(page(**seen), page(**{**seen, "endpoints_down": 2}))
    assert {key: upstream[key] for key in seen} == {**seen, "endpoints_down": 2, "connections": 20}


def test_the_worst_condition_comes_first_since_the_last_worker_has_changed() -> None:
    ejected = endpoint(condition="ejected", reason="the connection was refused", condition_seconds=2.0)
    serving = endpoint(condition="serving", reason="", condition_seconds=600.0)
    for several in ((ejected, serving), (serving, ejected)):
        (found,) = merged(*map(page, several))["targets"][0]["endpoints"]
        assert found["condition"] == "ejected, serving"
        assert found["reason"] == "the connection was refused"
        assert found["condition_seconds"] == 2.0


def test_panic_in_one_worker_is_panic_and_equal_sentences_are_told_once() -> None:
    calm = page(panic=False, state="ready", reasons=[])
    alarmed = page(panic=True, state="panic", reasons=["health is ignored"])
    upstream = merged(calm, alarmed, alarmed)
    assert upstream["panic"] is True
    assert upstream["state"] == "panic, ready"
    assert upstream["reasons"] == ["health is ignored"]


def test_errors_of_all_workers_add_up_by_their_type() -> None:
    refused = {"error": "connection_refused", "count": 2, "meaning": "an endpoint refused the connection"}
    assert merged(page(errors_by_reason=[refused]), page(errors_by_reason=[refused]))["errors_by_reason"] == [
        {**refused, "count": 4}
    ]


def test_a_trouble_of_several_workers_is_one_the_latest_with_the_count_of_all() -> None:
    def trouble(level: str, code: str, message: str, count: int, age: float) -> dict[str, Any]:
        return {"level": level, "code": code, "message": message, "count": count, "age_seconds": age}

    one = [trouble("warning", "endpoint-ejected", "older", 2, 60.0)]
    other = [trouble("error", "defect", "bad", 1, 300.0), trouble("warning", "endpoint-ejected", "newer", 3, 5.0)]
    assert pages.together([{**page(), "trouble": one}, {**page(), "trouble": other}, page()])["trouble"] == [
        trouble("error", "defect", "bad", 1, 300.0),
        trouble("warning", "endpoint-ejected", "newer", 5, 5.0),
    ]


def test_of_many_endpoints_the_worst_of_any_worker_are_listed_with_the_counts_of_all() -> None:
    many = [f"10.0.{number >> 8}.{number & 255}:80" for number in range(1000)]

    def worker(bad: str) -> dict[str, Any]:
        return page(*(endpoint(one, "ejected" if one == bad else "serving", requests=1) for one in many))

    first, second = many[700], many[800]
    whole = pages.together([worker(first), worker(second)])
    listed = {one["address"]: one for one in whole["upstreams"]["orders"]["targets"][0]["endpoints"]}
    assert len(listed) == MOST
    assert listed[first]["condition"] == listed[second]["condition"] == "ejected, serving"
    assert {one["requests"] for one in listed.values()} == {2}
    assert whole["upstreams"]["orders"]["endpoints_left_out"] == 1000 - MOST
    assert whole["notes"] == [f"orders: the worst {MOST} of 1,000 endpoints are listed; /metrics has all"]


def test_the_summary_of_a_worker_has_sums_and_no_endpoints() -> None:
    found = pages.summary(page(endpoint(), requests=3, connections=2))
    assert found["upstreams"] == {"orders": {"requests": 3, "connections": 2}}
    assert (found["requests_together"], found["connections_together"]) == (3, 2)
    assert pages.summary({}) == {}


def test_without_a_report_there_is_nothing_to_merge() -> None:
    assert pages.together([{}, {}]) == {}

"""The numbers of `/status`, from the objects of the data path."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sidecars.ambassador.status.selection import MOST
from sidecars.ambassador.status.upstream_status import UpstreamWatch, page
from tests.ambassador.exchanges import Pair


def shown(pair: Pair, now: float = 100.0, *, every: bool = False) -> dict[str, Any]:
    watch = UpstreamWatch(pair.upstream, 90.0)
    whole = page([watch], pair.upstream.memory, now, every=every)
    found: dict[str, Any] = json.loads(json.dumps(whole))
    return found


def upstream(pair: Pair, now: float = 100.0) -> dict[str, Any]:
    found: dict[str, Any] = shown(pair, now)["upstreams"]["default"]
    return found


def test_histograms_are_cumulative_counts_by_their_bounds() -> None:
    with Pair() as pair:
        for seconds in (0.002, 0.002, 0.3, 1000.0):
            pair.upstream.counters.count_response(200, seconds)
            pair.upstream.balancer.on_response(pair.endpoint, 200, 10.0, 10.0 + seconds)
        found = upstream(pair)
        (endpoint,) = found["targets"][0]["endpoints"]
        for latency in (found["http"]["latency"], endpoint["http"]["latency"]):
            assert (latency["0.001"], latency["0.0025"], latency["0.5"], latency["60.0"]) == (0, 2, 3, 3)
            assert latency["+Inf"] == 4
            assert all(isinstance(count, int) for count in latency.values())


def test_an_upstream_of_http_has_its_responses_retries_pool_and_limits() -> None:
    with Pair(AMBASSADOR_MAX_CONNECTIONS="10", AMBASSADOR_MAX_PENDING="20") as pair:
        pair.upstream.counters.count_response(200, 0.1)
        pair.upstream.counters.count_response(503, 0.1)
        pair.upstream.counters.count_error("connection_refused")
        found = upstream(pair)
        assert found["http"]["responses"] == {"2xx": 1, "3xx": 0, "4xx": 0, "5xx": 1}
        assert (found["connections"], found["connections_limit"]) == (1, 10)
        assert (found["pool_open"], found["pool_idle"]) == (1, 1)
        assert (found["pool_opening"], found["pool_opening_limit"]) == (0, 20)
        assert (found["retry_budget_left"], found["retry_budget_limit"]) == (100, 100)
        assert found["errors_by_reason"] == [
            {"error": "connection_refused", "count": 1, "meaning": "an endpoint refused the connection"}
        ]
        assert "tcp" not in found


def test_an_upstream_of_tcp_has_tunnels_and_the_time_until_they_are_open() -> None:
    with Pair(AMBASSADOR_UPSTREAM="tcp://orders:5432") as pair:
        pair.endpoint.begin_attempt(is_retry=False)
        pair.upstream.balancer.on_response(pair.endpoint, 200, 10.0, 10.002)
        found = upstream(pair)
        assert found["protocol"] == "tcp"
        assert found["tcp"]["tunnels_opened"] == 1
        assert found["tcp"]["latency"]["0.0025"] == found["tcp"]["latency"]["+Inf"] == 1
        assert "http" not in found
        assert found["targets"][0]["endpoints"][0]["tcp"] == {"latency": found["tcp"]["latency"]}


def test_an_endpoint_has_its_condition_since_when_and_until_when() -> None:
    with Pair(AMBASSADOR_EJECT_FOR="1h") as pair:
        pair.add_endpoints(3)
        pair.upstream.balancer.on_failure(pair.endpoint, 39.0, 40.0, "the connection was refused", unreachable=True)
        endpoint = upstream(pair)["targets"][0]["endpoints"][0]
        assert endpoint["condition"] == endpoint["state"] == "ejected"
        assert endpoint["reason"] == "the connection was refused"
        assert endpoint["condition_seconds"] == 60.0
        assert 2600.0 < endpoint["ends_in_seconds"] < 4500.0


def test_the_state_of_an_upstream_lasts_from_the_first_look_that_saw_it() -> None:
    with Pair() as pair:
        watch = UpstreamWatch(pair.upstream, 10.0)
        watch.tick(20.0)
        assert (watch.state, watch.since) == ("ready", 10.0)
        pair.upstream.on_dns_failure(pair.upstream.dns_targets[0], "no answer in time")
        watch.tick(30.0)
        watch.tick(40.0)
        assert (watch.state, watch.since) == ("degraded", 30.0)


def test_the_age_of_dns_is_that_of_names_alone() -> None:
    with Pair() as named, Pair(AMBASSADOR_UPSTREAM="http://10.0.0.1") as fixed:
        assert upstream(named, 7.0)["targets"][0]["dns_age_seconds"] == 7.0
        assert upstream(named, 7.0)["targets"][0]["dns"] == {"answer": "ok"}
        assert upstream(fixed, 7.0)["targets"][0]["dns_age_seconds"] is None
        assert "dns" not in upstream(fixed, 7.0)["targets"][0]


def test_of_many_endpoints_the_worst_are_listed_in_their_order_and_the_others_counted() -> None:
    with Pair(AMBASSADOR_EJECT_FOR="1h") as pair:
        pair.add_endpoints(250)
        bad = pair.upstream.endpoints[200]
        pair.upstream.balancer.on_failure(bad, 1.0, 2.0, unreachable=True)
        whole = shown(pair)
        found = whole["upstreams"]["default"]
        listed = [one["address"] for one in found["targets"][0]["endpoints"]]
        assert len(listed) == MOST
        assert bad.label in listed
        assert listed == [one.label for one in pair.upstream.endpoints if one.label in listed]
        assert (found["endpoints_known"], found["endpoints_left_out"]) == (251, 251 - MOST)
        assert whole["notes"] == [f"default: the worst {MOST} of 251 endpoints are listed; /metrics has all"]
        everything = shown(pair, every=True)
        assert len(everything["upstreams"]["default"]["targets"][0]["endpoints"]) == 251
        assert everything["notes"] == []


def test_short_memory_is_noted() -> None:
    with Pair() as pair:
        pair.upstream.memory.change(pair.upstream.memory.limit)
        assert "AMBASSADOR_BUFFER_MEMORY" in shown(pair)["notes"][0]


def test_an_endpoint_tells_why_when_until_when_and_how_often_it_was_ejected() -> None:
    with Pair(AMBASSADOR_EJECT_FOR="1h", AMBASSADOR_EJECT_AFTER="3") as pair:
        pair.add_endpoints(3)
        before = upstream(pair)["targets"][0]["endpoints"][0]
        assert (before["ejected"], before["last_failures"]) == (None, [])
        for now in (30.0, 35.0, 40.0):
            pair.upstream.balancer.on_response(pair.endpoint, 503, now - 1.0, now)
        endpoint = upstream(pair)["targets"][0]["endpoints"][0]
        ejected = endpoint["ejected"]
        assert (ejected["cause"], ejected["times"]) == ("too many failures in a row", 1)
        at, until = map(datetime.fromisoformat, (ejected["at"], ejected["until"]))
        assert abs((until - at).total_seconds() - ejected["seconds"]) <= 1.0
        assert [one.partition(" ")[2] for one in endpoint["last_failures"]] == ["it responded with 503"] * 3
        times = [datetime.fromisoformat(one.partition(" ")[0]) for one in endpoint["last_failures"]]
        assert times == sorted(times)
        assert abs((at - times[-1]).total_seconds()) <= 1.0


def test_no_more_than_five_failures_are_kept() -> None:
    with Pair() as pair:
        for number in range(1000):
            pair.upstream.balancer.on_failure(pair.endpoint, 1.0, 2.0, f"reason {number}")
        found = upstream(pair)["targets"][0]["endpoints"][0]["last_failures"]
        assert [one.partition(" ")[2] for one in found] == [f"reason {number}" for number in range(995, 1000)]


def test_a_failed_trial_is_told_as_such_and_how_often_the_endpoint_was_ejected() -> None:
    with Pair(AMBASSADOR_EJECT_FOR="100ms") as pair:
        pair.add_endpoints(3)
        balancer = pair.upstream.balancer
        balancer.on_failure(pair.endpoint, 1.0, 2.0, "the connection was refused", unreachable=True)
        balancer.tick(3.0)
        assert balancer.choose(3.0) is pair.endpoint
        balancer.on_response(pair.endpoint, 500, 3.0, 4.0)
        endpoint = upstream(pair, 4.1)["targets"][0]["endpoints"][0]
        assert endpoint["ejected"]["cause"] == "its trial failed"
        assert endpoint["reason"].startswith("its trial failed: ")
        assert endpoint["reason"].endswith("; ejected 2 times so far")


def test_an_endpoint_has_the_protocol_that_its_last_handshake_has_selected() -> None:
    with Pair(AMBASSADOR_UPSTREAM="https://orders:8443") as pair:
        protocols = []
        for http2 in (None, True, False):
            if http2 is not None:
                pair.endpoint.note_protocol(http2=http2)
            protocols.append(upstream(pair)["targets"][0]["endpoints"][0]["protocol"])
        assert protocols == ["", "HTTP/2", "HTTP/1.1"]

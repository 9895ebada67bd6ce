"""The conditions of endpoints and upstreams, with their reasons in words."""

from __future__ import annotations

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.discovery.dns_target import DnsAnswer, DnsTarget, ResolvedAddress
from sidecars.ambassador.status import conditions
from sidecars.ambassador.status.conditions import Condition
from tests.ambassador.exchanges import Pair

SETTINGS = {"AMBASSADOR_EJECT_FOR": "10s"}


def of(pair: Pair, endpoint: Endpoint | None = None) -> Condition:
    return conditions.of_endpoint(endpoint or pair.endpoint, pair.upstream, pair.upstream.balancer.serving)


def state(pair: Pair) -> str:
    return conditions.of_upstream(pair.upstream)[0]


def reasons(pair: Pair) -> list[str]:
    return conditions.of_upstream(pair.upstream)[1]


def dns(pair: Pair, now: float, *found: ResolvedAddress) -> None:
    pair.upstream.on_dns_answer(pair.upstream.dns_targets[0], DnsAnswer(found, 5.0), now)


# -- endpoints -----------------------------------------------------------------------------------------------------


def test_an_endpoint_serves_since_dns_has_named_it() -> None:
    with Pair() as pair:
        assert of(pair) == Condition("serving", "", 0.0)
        dns(pair, 7.0, ResolvedAddress("10.0.0.1"), ResolvedAddress("10.0.0.2"))
        assert of(pair, pair.upstream.endpoints[1]) == Condition("serving", "", 7.0)


def test_an_ejected_endpoint_tells_its_last_failure_and_until_when() -> None:
    with Pair(**SETTINGS) as pair:
        pair.add_endpoints(3)
        balancer = pair.upstream.balancer
        balancer.on_failure(pair.endpoint, 1.0, 2.0, "the connection was refused", unreachable=True)
        found = of(pair)
        assert (found.word, found.reason, found.since) == ("ejected", "the connection was refused", 2.0)
        assert found.ends_at == pair.endpoint.ejection.ends_at
        assert 7.5 <= found.ends_at - 2.0 <= 12.5


def test_failures_in_a_row_are_counted_before_the_ejection_and_told_with_it() -> None:
    with Pair(**SETTINGS) as pair:
        pair.add_endpoints(3)
        balancer = pair.upstream.balancer
        for now in range(1, 5):
            balancer.on_response(pair.endpoint, 503, now - 0.5, float(now))
        assert of(pair) == Condition("failing", "4 failures in a row, the last: it responded with 503", 4.0)
        balancer.on_failure(pair.endpoint, 4.5, 5.0, "no response came in time")
        assert of(pair).word == "ejected"
        assert of(pair).reason == "5 failures in a row, the last: no response came in time"


def test_what_follows_an_ejection_is_told_with_its_cause() -> None:
    with Pair(AMBASSADOR_EJECT_FOR="1s") as pair:
        pair.add_endpoints(3)
        balancer = pair.upstream.balancer
        balancer.on_failure(pair.endpoint, 1.0, 2.0, "the connection was refused", unreachable=True)
        balancer.tick(5.0)
        assert of(pair) == Condition(
            "probation", "its ejection is over, the next request is its trial; before: the connection was refused", 5.0
        )
        assert balancer.choose(6.0) is pair.endpoint
        assert of(pair) == Condition("trial", "one request tries it; before: the connection was refused", 6.0, 11.0)
        balancer.tick(12.0)
        assert (of(pair).word, of(pair).reason) == (
            "ejected",
            "its trial had no outcome in time; ejected 2 times so far",
        )


def test_with_health_checks_the_next_check_decides() -> None:
    with Pair(AMBASSADOR_EJECT_FOR="1s", AMBASSADOR_HEALTH_PATH="/health") as pair:
        pair.add_endpoints(3)
        balancer = pair.upstream.balancer
        balancer.on_failure(pair.endpoint, 1.0, 2.0, "the connection was refused", unreachable=True)
        balancer.tick(5.0)
        assert "the next health check decides" in of(pair).reason
        pair.endpoint.note_check_error("it responded with 500")
        balancer.on_health_check(pair.endpoint, 6.0, passed=False)
        assert of(pair) == Condition("unhealthy", "health checks fail: it responded with 500", 6.0)
        balancer.on_health_check(pair.endpoint, 8.0, passed=True)
        assert of(pair).word == "ejected"
        assert of(pair).reason == "a health check failed: it responded with 500; ejected 2 times so far"


def test_an_endpoint_that_may_not_be_ejected_says_so() -> None:
    with Pair(AMBASSADOR_MAX_EJECTED="0%") as pair:
        for now in range(5):
            pair.upstream.balancer.on_failure(pair.endpoint, float(now), now + 0.5, "it broke")
        assert of(pair).word == "failing"
        assert of(pair).reason.endswith("it is not ejected: AMBASSADOR_MAX_EJECTED allows no further one")


def test_an_endpoint_of_another_priority_stands_by() -> None:
    with Pair() as pair:
        dns(pair, 3.0, ResolvedAddress("10.0.0.1"), ResolvedAddress("10.0.0.2", priority=1))
        found = of(pair, pair.upstream.endpoints[1])
        assert found == Condition("standby", "it can serve; endpoints of another priority do", 3.0)


def test_a_slow_start_tells_the_share_of_the_weight() -> None:
    with Pair(AMBASSADOR_SLOW_START="10s") as pair:
        dns(pair, 2.0, ResolvedAddress("10.0.0.1"), ResolvedAddress("10.0.0.2"))
        pair.upstream.balancer.tick(6.0)
        assert of(pair, pair.upstream.endpoints[1]) == Condition("slow start", "40% of its weight", 2.0)


def test_a_removed_endpoint_leaves() -> None:
    with Pair() as pair:
        dns(pair, 4.0, ResolvedAddress("10.0.0.2"))
        assert of(pair) == Condition("leaving", "DNS does not name it any more; the requests under way end", 4.0)


def test_in_panic_an_endpoint_that_is_down_serves_all_the_same() -> None:
    with Pair(**SETTINGS, AMBASSADOR_MAX_EJECTED="100%") as pair:
        pair.upstream.balancer.on_failure(pair.endpoint, 1.0, 2.0, "the connection was refused", unreachable=True)
        assert of(pair).reason == "the connection was refused; it serves all the same: panic"
        assert state(pair) == "panic"
        assert reasons(pair) == [
            "less than 30% (AMBASSADOR_PANIC_THRESHOLD) of the endpoints are usable, so health is ignored",
            "1 of 1 endpoints is ejected or unhealthy",
        ]


# -- upstreams -----------------------------------------------------------------------------------------------------


def test_an_upstream_is_ready_without_a_reason() -> None:
    with Pair() as pair:
        assert conditions.of_upstream(pair.upstream) == ("ready", [])


def test_an_upstream_without_an_address_tells_what_dns_said() -> None:
    with Pair() as pair:
        target = pair.upstream.dns_targets[0]
        target.endpoints.clear()
        target.answered_at = None
        expected = ["orders: DNS has not answered yet, requests wait"]
        assert conditions.of_upstream(pair.upstream) == ("no address", expected)
        pair.upstream.on_dns_failure(target, "the name does not exist")
        assert conditions.of_upstream(pair.upstream) == ("no address", ["orders: the name does not exist"])


def test_a_name_that_cannot_be_looked_up_any_more_degrades_its_upstream() -> None:
    with Pair() as pair:
        pair.upstream.on_dns_failure(pair.upstream.dns_targets[0], "no answer in time")
        assert conditions.of_upstream(pair.upstream) == (
            "degraded",
            ["orders cannot be looked up, its last addresses are used: no answer in time"],
        )


def test_the_look_ups_of_a_name_are_waiting_ok_stale_or_failed() -> None:
    with Pair() as pair:
        target = pair.upstream.dns_targets[0]
        assert conditions.of_dns(target) == "ok"
        target.note_failure("no answer in time")
        assert conditions.of_dns(target) == "stale"
        target.endpoints.clear()
        assert conditions.of_dns(target) == "failed"
        assert conditions.of_dns(DnsTarget(target.target)) == "waiting"


def test_limits_that_are_reached_are_told_with_their_settings() -> None:
    with Pair(AMBASSADOR_MAX_CONNECTIONS="1") as pair:
        while pair.upstream.budget.spend():
            pass
        assert state(pair) == "limited"
        connections, retries = reasons(pair)
        assert connections.startswith("all 1 connections (AMBASSADOR_MAX_CONNECTIONS) are in use")
        assert retries == "the retry budget (AMBASSADOR_RETRY_BUDGET) is used up: failures are not retried"


def test_a_drain_is_a_condition() -> None:
    with Pair() as pair:
        pair.upstream.clients.draining = True
        assert state(pair) == "draining"

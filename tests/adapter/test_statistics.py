"""Statistics of routes and apps, in `/status` and `/metrics`."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from sidecars.adapter.app_client.outcome import NoResponse, Reason
from sidecars.adapter.metrics import StatisticsCollector
from sidecars.adapter.server.route_statistics import BUCKETS, MAX_CHECKS
from sidecars.adapter.server.routes import routes_of
from sidecars.adapter.settings import Settings
from sidecars.adapter.statistics import Statistics
from sidecars.adapter.verdict.probe_response import ProbeResponse, text_response
from sidecars.adapter.verdict.verdict import Check, verdict_of
from sidecars.chassis.config.settings import load

GOOD = ProbeResponse(200, {}, b"fine")
DOWN = text_response(503, "the app is down", "the app is down")
SLOW = text_response(503, "the app is slow", "the app is slow")


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


def statistics(clock: Clock) -> Statistics:
    return Statistics(routes_of(load(Settings, {}).apps.values()), clock)


def test_a_route_turns_once_and_not_with_every_probe() -> None:
    route = statistics(Clock()).server.routes["/health"]

    turns = [route.record_response(response, 0.01) for response in (GOOD, GOOD, DOWN, DOWN, SLOW, GOOD)]

    assert turns == [False, False, True, False, False, True]


def test_a_route_that_fails_from_the_first_probe_on_is_told() -> None:
    assert statistics(Clock()).server.routes["/health"].record_response(DOWN, 0.01)


def test_since_is_when_the_present_answer_began() -> None:
    clock = Clock()
    whole = statistics(clock)
    route = whole.server.routes["/health"]
    assert whole.status_page()["routes"]["/health"]["last"] is None

    route.record_response(DOWN, 0.01)
    clock.now += 10
    route.record_response(GOOD, 0.01)
    clock.now += 10
    route.record_response(GOOD, 0.01)

    page = whole.status_page()["routes"]["/health"]
    assert page["since"] == "2001-09-09T01:46:50.000Z"
    assert page["last"] == {"status": 200, "good": True, "at": "2001-09-09T01:47:00.000Z"}
    assert page["last_error"] == {"reason": "the app is down", "at": "2001-09-09T01:46:40.000Z"}


def test_a_status_of_the_app_itself_is_an_error_worth_telling() -> None:
    whole = statistics(Clock())

    whole.server.routes["/health"].record_response(ProbeResponse(500, {}, b"secret stack trace"), 0.01)

    assert whole.status_page()["routes"]["/health"]["last_error"]["reason"] == "the app answered 500"


@given(st.lists(st.floats(0, 20), max_size=50))
def test_every_duration_is_counted_in_all_buckets_that_hold_it(seconds: list[float]) -> None:
    whole = statistics(Clock())
    for each in seconds:
        whole.server.routes["/health"].record_response(GOOD, each)
    registry = CollectorRegistry()
    registry.register(StatisticsCollector(whole))

    def sample(suffix: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"adapter_request_duration_seconds_{suffix}", {"route": "/health", **labels})

    for bound in BUCKETS:
        assert sample("bucket", le=str(bound)) == sum(each <= bound for each in seconds)
    assert sample("count") == len(seconds)


def test_the_metrics_tell_routes_codes_and_reasons() -> None:
    whole = statistics(Clock())
    whole.server.routes["/health"].record_response(GOOD, 0.01)
    whole.server.routes["/health"].record_response(DOWN, 0.01)
    whole.server.routes["/health"].record_refusal(text_response(405, "no"))
    whole.server.other.record_refusal(text_response(404, "no"))
    whole.apps["default"].count_request()
    whole.apps["default"].count_request()
    whole.apps["default"].record_outcome(NoResponse("refused", "is down"))
    registry = CollectorRegistry()
    registry.register(StatisticsCollector(whole))

    value = registry.get_sample_value
    assert value("adapter_requests_total", {"route": "/health", "code": "200"}) == 1
    assert value("adapter_requests_total", {"route": "/health", "code": "503"}) == 1
    assert value("adapter_requests_total", {"route": "/health", "code": "405"}) == 1
    assert value("adapter_requests_total", {"route": "other", "code": "404"}) == 1
    assert value("adapter_upstream_requests_total", {"app": "default"}) == 2
    assert value("adapter_upstream_errors_total", {"app": "default", "reason": "refused"}) == 1
    assert value("adapter_up", {"route": "/health"}) == 0


def test_every_reason_of_an_error_is_there_before_it_happens() -> None:
    registry = CollectorRegistry()
    registry.register(StatisticsCollector(statistics(Clock())))

    for reason in get_args(Reason):
        labels = {"app": "default", "reason": reason}
        assert registry.get_sample_value("adapter_upstream_errors_total", labels) == 0


def test_a_route_that_nobody_asked_for_is_neither_up_nor_down() -> None:
    registry = CollectorRegistry()
    registry.register(StatisticsCollector(statistics(Clock())))

    assert registry.get_sample_value("adapter_up", {"route": "/health"}) is None


def test_of_thousands_of_an_apps_own_checks_status_tells_the_worst_and_how_many_it_lacks() -> None:
    whole = statistics(Clock())
    route = whole.server.routes["/health"]
    checks = [Check(str(number), "fail" if number == 1999 else "pass", "is ill") for number in range(2000)]

    route.record_verdict(verdict_of([*checks, Check("rule", "pass", is_rule=True)]))

    page = whole.status_page()["routes"]["/health"]["verdict"]
    assert len(page["checks"]) == MAX_CHECKS + 1
    assert page["checks_left_out"] == 2001 - len(page["checks"])
    assert page["checks"]["1999"]["status"] == "fail"
    assert "rule" in page["checks"]

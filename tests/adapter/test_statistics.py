"""Statistics of routes and apps, in `/status` and `/metrics`."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from sidecars.adapter.app_client.app_statistics import answer_in_words
from sidecars.adapter.app_client.interpretation import InterpretationOptions, interpret_response
from sidecars.adapter.app_client.outcome import AppResponse, NoResponse, Outcome, Reason
from sidecars.adapter.metrics import StatisticsCollector
from sidecars.adapter.server.route_statistics import BUCKETS
from sidecars.adapter.server.routes import routes_of
from sidecars.adapter.settings import Settings
from sidecars.adapter.statistics import Statistics
from sidecars.adapter.verdict.check_history import MOST_CHECKS
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
    request = next(iter(routes_of(load(Settings, {}).apps.values()))).app_requests[0]
    whole.apps["default"].record_outcome(request, NoResponse("refused", "is down"), 0.1)
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
    assert len(page["checks"]) == MOST_CHECKS + 1
    assert page["checks_left_out"] == 2001 - len(page["checks"])
    assert page["checks"]["1999"]["status"] == "fail"
    assert "rule" in page["checks"]


def test_each_request_tells_its_routes_its_last_answer_and_what_its_judge_says() -> None:
    clock = Clock()
    environ = {
        "ADAPTER_CACHE_TTL": "10s",
        "ADAPTER_ROUTES": "/health=/metrics,/ready=/metrics",
        "ADAPTER_MODE": "verdict",
    }
    routes = routes_of(load(Settings, environ).apps.values())
    whole = Statistics(routes, clock)
    request = next(iter(routes)).app_requests[0]
    whole.watch_judge(request, lambda: {"status": "pass", "checks": {}})
    (before,) = whole.status_page()["requests"]
    assert (before["answer"], before["verdict"]) == (None, {"status": "pass", "checks": {}})

    whole.apps["default"].record_outcome(request, AppResponse(200, {}, b"up 1\n"), 0.25)
    clock.now += 5
    whole.apps["default"].record_outcome(request, NoResponse("refused", "refused the connection"), 0.5)
    clock.now += 2

    (found,) = whole.status_page()["requests"]
    assert (found["app"], found["routes"]) == ("default", ["/health", "/ready"])
    assert found["answer"] == {
        "words": "refused the connection",
        "age_seconds": 2.0,
        "duration_seconds": 0.5,
        "durations": [0.25, 0.5],
        "kept_for_seconds": 8.0,
    }


def test_the_dialects_that_were_sent_are_counted_by_route() -> None:
    whole = statistics(Clock())
    for dialect in ("text", "kubernetes", "text"):
        whole.server.routes["/health"].count_dialect(dialect)
    assert whole.status_page()["routes"]["/health"]["dialects"] == {"text": 2, "kubernetes": 1}


def interpreted(status: int, body: bytes, content_type: str = "text/plain") -> AppResponse:
    response = AppResponse(status, {"content-type": content_type, "content-length": str(len(body))}, body)
    return replace(response, interpretation=interpret_response(response, InterpretationOptions(4096, 100)))


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (NoResponse("timeout", "has not answered within 0.8s"), "has not answered within 0.8s"),
        (AppResponse(204, {}, b""), "answered with the status 204, 0 B"),
        (interpreted(200, b"up 1\n"), "answered with the status 200 and metrics, 5 B"),
        (interpreted(503, b"up 1\n"), "answered with the status 503"),
        (
            interpreted(503, b'{"status": "DOWN"}', "application/json"),
            "answered with the status 503 and a health document, 18 B",
        ),
        (
            interpreted(500, b'{"status": "UP"}', "application/json"),
            "answered with the status 500, and does not report a failure",
        ),
    ],
)
def test_an_answer_is_told_in_words_that_are_not_the_apps(outcome: Outcome, words: str) -> None:
    assert answer_in_words(outcome) == words

"""The judge: from the outcome of a request to a verdict."""

from __future__ import annotations

import json

import pytest

from sidecars.adapter.app_client.outcome import AppRequest, AppResponse, NoResponse, Outcome
from sidecars.adapter.settings import Settings
from sidecars.adapter.verdict.judge import Judge
from sidecars.adapter.verdict.rule_file import ReloadingRules
from sidecars.chassis.config.settings import load
from tests.adapter.documents import HEALTH_JSON, SPRING
from tests.adapter.support import app_url

APP_REQUEST = AppRequest("default", app_url("http://127.0.0.1:8080/metrics"), 0.8, 4096)
RULES = "db: up == 1 fail; queue: depth < 10 warn"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def judge(clock: Clock | None = None, **environ: str) -> Judge:
    app = load(Settings, {"ADAPTER_MODE": "verdict", **environ}).apps["default"]
    book = ReloadingRules(app.rules, "ADAPTER_RULES") if app.rules else None
    return Judge(app, APP_REQUEST, book, clock or Clock(), clock or Clock())


def page(text: str) -> Outcome:
    return AppResponse(200, {"content-type": "text/plain"}, text.encode())


def document(value: object, status: int = 200) -> Outcome:
    return AppResponse(status, {"content-type": "application/json"}, json.dumps(value).encode())


def test_metrics_are_judged_by_the_rules() -> None:
    verdict = judge(ADAPTER_RULES=RULES).judge(page("up 1\ndepth 12\n"))

    assert verdict.status == "warn"
    db, queue = verdict.checks
    assert (db.name, db.status, db.value, db.threshold) == ("db", "pass", 1, 1)
    assert (queue.name, queue.status, queue.value, queue.threshold) == ("queue", "warn", 12, 10)
    assert "12" in queue.reason


def test_a_missing_series_is_a_failure_also_of_a_rule_that_only_warns() -> None:
    verdict = judge(ADAPTER_RULES=RULES).judge(page("up 1\n"))

    assert verdict.status == "fail"
    assert "depth" in verdict.reason


def test_without_rules_an_app_is_healthy_that_answers_a_whole_page() -> None:
    assert judge().judge(page("up 1\n")).status == "pass"
    assert judge().judge(page("up one\n")).status == "fail"
    assert judge().judge(page("")).status == "fail"


def test_without_an_answer_every_rule_is_without_data() -> None:
    verdict = judge(ADAPTER_RULES=RULES).judge(NoResponse("refused", "cannot be asked"))

    assert verdict.status == "fail"
    assert [check.name for check in verdict.checks] == ["app", "db", "queue"]
    assert verdict.reason == "app: http://127.0.0.1:8080/metrics cannot be asked"


def test_a_health_document_counts_as_the_app_says() -> None:
    verdict = judge().judge(document(SPRING, 503))

    assert verdict.status == "fail"
    assert {check.name: check.status for check in verdict.checks}["db/users"] == "fail"


def test_a_failed_component_of_an_app_that_calls_itself_well_is_a_warning() -> None:
    health = {"status": "pass", "checks": {"cache": [{"status": "fail", "output": "is cold"}]}}

    verdict = judge().judge(document(health))

    assert verdict.status == "warn"
    assert verdict.reason == "cache: is cold"


def test_what_an_app_does_not_know_of_itself_is_a_failure() -> None:
    assert judge().judge(document({"status": "UNKNOWN"})).status == "fail"


def test_a_health_document_can_be_judged_by_rules_too() -> None:
    rules = "up: health_up == 1; hot: health_check_value < 1000000 warn"

    verdict = judge(ADAPTER_RULES=rules).judge(document(HEALTH_JSON))

    assert [check.name for check in verdict.checks] == ["up", "hot"]
    assert verdict.status == "warn"


SELECT = "u=$.nodes[*].state"
NODES = {"nodes": [{"state": "ok"}, {"state": "offline"}]}


@pytest.mark.parametrize(
    "rule",
    ["u == 1", "min(u) == 1", "max(u) == 1", "count(u) > 0", "(u == 1 or vector(1)) == 1", "u != 5", "absent(u)"],
)
def test_a_selected_word_that_is_not_understood_fails_every_rule_that_looks_at_it(rule: str) -> None:
    verdict = judge(ADAPTER_SELECT=SELECT, ADAPTER_RULES=f"nodes: {rule} warn").judge(document(NODES))

    assert verdict.status == "fail"
    assert '$.nodes[1].state is "offline", which is neither a number nor a known status word' in verdict.reason
    assert "offline" not in verdict.log_reason
    assert "$.nodes[*].state" in verdict.log_reason


def test_a_rule_that_looks_at_what_is_understood_does_not_mind_the_rest() -> None:
    rules = 'first: u{key="0"} == 1; second: u{key="1"} == 1; named: {__name__=~"u|v", key!="1"} == 1'

    verdict = judge(ADAPTER_SELECT=SELECT, ADAPTER_RULES=rules).judge(document(NODES))

    assert [check.status for check in verdict.checks] == ["pass", "fail", "pass"]


def test_a_word_of_the_settings_is_understood_in_a_rule() -> None:
    judging = judge(ADAPTER_SELECT=SELECT, ADAPTER_RULES="nodes: u >= 0.5", ADAPTER_STATUS_VALUES="OFFLINE=0.5")

    assert judging.judge(document(NODES)).status == "pass"


def test_without_rules_a_selected_word_that_is_not_understood_fails() -> None:
    verdict = judge(ADAPTER_SELECT=SELECT).judge(document(NODES))

    assert verdict.status == "fail"
    assert '"offline"' in verdict.reason
    assert judge(ADAPTER_SELECT="v=$.v").judge(document({"v": 1})).status == "pass"


@pytest.mark.parametrize(
    ("environ", "value"),
    [
        ({"ADAPTER_SELECT": "v=$.v", "ADAPTER_RULES": "v: v == 1"}, {"v": 1}),
        ({"ADAPTER_SELECT": "v=$.v"}, {"v": 1}),
        ({"ADAPTER_RULES": 'db: health_check_up{check="db"} == 1'}, {"status": "UP", "db": {"status": "UP"}}),
        ({"ADAPTER_RULES": 'db: health_check_up{check="db"} == 1'}, {"status": "UNKNOWN", "db": {"status": "UP"}}),
        ({"ADAPTER_RULES": 'db: health_check_up{check="db"} == 1'}, {"status": "hm", "db": {"status": "UP"}}),
        ({}, {"status": "UP"}),
    ],
)
def test_an_error_status_fails_whatever_the_document_says_unless_it_is_valid(
    environ: dict[str, str], value: object
) -> None:
    for status in (404, 500, 503):
        verdict = judge(None, **environ).judge(document(value, status))
        assert verdict.status == "fail"
        assert f"status {status}" in verdict.reason
    assert judge(None, **environ).judge(document(value, 200)).status == "pass"
    valid = judge(None, **environ, ADAPTER_VALID_STATUS_CODES="200-299,503")
    assert valid.judge(document(value, 503)).status == "pass"
    assert valid.judge(document(value, 500)).status == "fail"


def test_an_error_status_that_agrees_with_the_document_leaves_the_rules_their_say() -> None:
    rules = 'db: health_check_up{check="db/orders"} == 1'

    assert judge(ADAPTER_RULES=rules).judge(document(SPRING, 503)).status == "pass"


def test_metrics_with_a_status_that_is_made_valid_are_judged() -> None:
    response = AppResponse(503, {"content-type": "text/plain"}, b"up 1\n")

    assert judge(ADAPTER_RULES="up == 1").judge(response).status == "fail"
    assert judge(ADAPTER_RULES="up == 1", ADAPTER_VALID_STATUS_CODES="200,503").judge(response).status == "pass"


def test_a_rule_and_an_error_status_are_both_told() -> None:
    judging = judge(ADAPTER_SELECT="v=$.v", ADAPTER_RULES="v: v == 1")

    reason = judging.judge(document({"v": 0}, 500)).reason

    assert "answered with the status 500" in reason
    assert "v is 0, wanted == 1" in reason


def test_a_custom_status_is_judged_by_its_number() -> None:
    health = {"status": "Up_With_Caution", "components": {"db": {"status": "UP"}}}

    unknown = judge().judge(document(health))
    assert unknown.status == "fail"
    assert [check.name for check in unknown.checks] == ["app", "db"]
    assert 'its status is "Up_With_Caution"' in unknown.reason
    assert "ADAPTER_STATUS_VALUES" in unknown.log_reason
    for value, status in (("1", "pass"), ("0.5", "warn"), ("0", "fail")):
        assert judge(ADAPTER_STATUS_VALUES=f"UP_WITH_CAUTION={value}").judge(document(health)).status == status


def test_an_outcome_that_many_share_is_judged_once() -> None:
    clock = Clock()
    judging = judge(clock, ADAPTER_FAIL_AFTER="3", ADAPTER_RULES="db: up == 1")
    first, second, third = (page("up 0\n") for _ in range(3))

    for outcome, status in ((first, "warn"), (second, "warn"), (first, "warn"), (second, "warn"), (third, "fail")):
        clock.now += 10
        assert [judging.judge(outcome).status for _ in range(10)] == [status] * 10
    assert judging.judge(first).holding == "failed 1 of 3 times in a row"
    assert judging.verdict is judging.judge(third)


def test_three_probers_at_one_instant_are_one_failure_also_where_each_has_an_answer_of_its_own() -> None:
    clock = Clock()
    judging = judge(clock, ADAPTER_FAIL_AFTER="3", ADAPTER_RULES="db: up == 1")
    judging.judge(page("up 1\n"))

    reported: list[str] = []
    for _ in range(3):
        clock.now += 10
        for _ in range(3):
            clock.now += 0.01
            reported.append(judging.judge(page("up 0\n")).status)

    assert reported == ["warn"] * 6 + ["fail"] * 3


def test_the_grace_begins_with_the_adapter() -> None:
    clock = Clock()
    judging = judge(clock, ADAPTER_GRACE="30s")

    assert judging.judge(NoResponse("refused", "is down")).status == "warn"
    clock.now += 31
    assert judging.judge(NoResponse("refused", "is down")).status == "fail"

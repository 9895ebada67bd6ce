"""Hysteresis: the transitions of the state of a verdict, and the grace time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.setting_types import threshold
from sidecars.adapter.verdict.hysteresis import INSTANT, Hysteresis
from sidecars.adapter.verdict.verdict import Check, Status, Verdict, verdict_of


def result(status: Status) -> Verdict:
    return verdict_of([Check("db", status, "" if status == "pass" else "db is away")])


PASS, WARN, FAIL = result("pass"), result("warn"), result("fail")


def hysteresis(fail_after: str = "1", pass_after: str = "1", grace: float = 0, began: float = 0) -> Hysteresis:
    return Hysteresis(threshold.parse(fail_after), threshold.parse(pass_after), grace, began)


def statuses(state: Hysteresis, *results: Verdict) -> list[Status]:
    return [state.apply(each, now).status for now, each in enumerate(results)]


def test_without_damping_the_verdict_is_the_result() -> None:
    assert statuses(hysteresis("1", "1", 0, 0), PASS, FAIL, WARN, FAIL, PASS) == [
        "pass",
        "fail",
        "warn",
        "fail",
        "pass",
    ]


def test_a_verdict_fails_after_so_many_failures_in_a_row_and_warns_until_then() -> None:
    reported = statuses(hysteresis("3", "1", 0, 0), PASS, FAIL, FAIL, PASS, FAIL, FAIL, FAIL, FAIL)

    assert reported == ["pass", "warn", "warn", "pass", "warn", "warn", "fail", "fail"]


def test_a_verdict_passes_after_so_many_passes_in_a_row_and_fails_until_then() -> None:
    reported = statuses(hysteresis("1", "3", 0, 0), FAIL, PASS, PASS, FAIL, PASS, WARN, PASS, PASS)

    assert reported == ["fail", "fail", "fail", "fail", "fail", "fail", "pass", "pass"]


def test_the_first_results_ever_follow_the_rule_too() -> None:
    assert statuses(hysteresis("3", "5"), FAIL, FAIL, FAIL, PASS) == ["warn", "warn", "fail", "fail"]
    assert statuses(hysteresis("1", "5"), FAIL) == ["fail"]
    assert statuses(hysteresis("5", "5"), PASS) == ["pass"]
    assert hysteresis("3").apply(FAIL, 0).holding == "failed 1 of 3 times in a row"


def test_results_of_one_instant_count_once() -> None:
    state = hysteresis("3", "2")
    times = (0.0, 0.01, 0.02, 0.49, INSTANT, 0.6, 0.9, 2 * INSTANT)

    assert [state.apply(FAIL, now).status for now in times] == ["warn"] * 7 + ["fail"]
    assert [state.apply(PASS, now).status for now in (5, 5.1, 5.2, 6)] == ["fail", "fail", "fail", "pass"]


def test_a_pass_between_two_failures_of_one_instant_ends_the_row() -> None:
    state = hysteresis("2")

    reported = [
        state.apply(each, now).status for now, each in ((0, FAIL), (0.1, PASS), (0.2, FAIL), (0.3, FAIL), (1, FAIL))
    ]

    assert reported == ["warn", "pass", "warn", "warn", "fail"]


def test_a_threshold_may_be_a_time_from_the_first_to_the_latest_result_of_the_row() -> None:
    state = hysteresis("10s", "1m")

    assert [state.apply(FAIL, now).status for now in (100, 100.1, 105, 109.5)] == ["warn"] * 4
    assert state.apply(FAIL, 109.75).holding == "failing for 9.7s of 10s"
    assert state.apply(FAIL, 110).status == "fail"
    assert [state.apply(PASS, now).status for now in (200, 230)] == ["fail", "fail"]
    assert state.apply(PASS, 245).holding == "passing for 45s of 1m"
    assert [state.apply(PASS, now).status for now in (260, 261)] == ["pass", "pass"]


def test_a_pass_begins_the_time_anew() -> None:
    state = hysteresis("10s")

    reported = [
        state.apply(each, now).status for now, each in ((0, FAIL), (8, PASS), (9, FAIL), (18, FAIL), (19, FAIL))
    ]

    assert reported == ["warn", "pass", "warn", "warn", "fail"]


def test_the_reason_says_how_far_the_count_has_come() -> None:
    state = hysteresis("3", "2", 0, 0)
    state.apply(PASS, 0)

    assert state.apply(FAIL, 1).reason == "failed 1 of 3 times in a row; db: db is away"
    state.apply(FAIL, 2)
    state.apply(FAIL, 3)
    assert state.apply(PASS, 4).reason == "passed 1 of 2 times in a row"


def test_in_the_grace_a_failure_is_a_warning_and_the_reason_says_so() -> None:
    state = hysteresis("1", "1", 30, 100)

    reported = state.apply(FAIL, 110)

    assert reported.status == "warn"
    assert reported.reason == "start-up grace, 20s left; db: db is away"
    assert state.apply(FAIL, 130).status == "fail"


def test_the_grace_ends_with_the_first_pass() -> None:
    state = hysteresis("1", "1", 30, 0)

    assert [state.apply(each, 1).status for each in (FAIL, PASS, FAIL)] == ["warn", "pass", "fail"]


def test_failures_in_the_grace_are_not_counted() -> None:
    state = hysteresis("2", "1", 10, 0)
    reported = [state.apply(each, now).status for now, each in ((1, FAIL), (2, PASS), (3, FAIL), (4, FAIL))]

    assert reported == ["warn", "pass", "warn", "fail"]


@given(
    st.lists(st.sampled_from([PASS, WARN, FAIL]), max_size=30),
    st.sampled_from(["1", "2", "3", "2s", "4s"]),
    st.sampled_from(["1", "2", "3", "2s", "4s"]),
    st.integers(0, 10),
)
def test_a_failure_is_never_told_as_a_pass_nor_a_state_held_without_a_word(
    results: list[Verdict], fail_after: str, pass_after: str, grace: int
) -> None:
    state = hysteresis(fail_after, pass_after, grace)
    for now, each in enumerate(results):
        reported = state.apply(each, now)
        if each.status == "fail":
            assert reported.status != "pass"
        assert bool(reported.holding) == (reported.status != each.status)
        assert reported.checks == each.checks


@pytest.mark.parametrize(
    ("state", "results", "words"),
    [
        (hysteresis(), [], "fails at the first bad result"),
        (hysteresis(), [PASS, WARN], "fails at the first bad result"),
        (hysteresis(), [FAIL], "passes at the first good result"),
        (hysteresis("3"), [PASS], "fails after 3 bad results in a row"),
        (hysteresis("3"), [FAIL], "failed 1 of 3 times in a row: fails after 2 more"),
        (hysteresis("1", "2"), [FAIL], "passes after 2 good results in a row"),
        (hysteresis("1", "3"), [FAIL, PASS, PASS], "passed 2 of 3 times in a row: passes after 1 more"),
        (hysteresis("10s"), [PASS], "fails when results are bad for 10s"),
        (hysteresis("10s"), [PASS, FAIL, FAIL], "failing for 1s of 10s: fails if that lasts 9.0 s longer"),
        (hysteresis("1", "1m"), [FAIL], "passes when results are good for 1m"),
        (hysteresis(grace=30), [FAIL], "start-up grace, 29s left: until then a failure is a warning"),
        (hysteresis(grace=30), [PASS], "fails at the first bad result"),
    ],
)
def test_what_is_missing_for_a_change_is_told_in_words(state: Hysteresis, results: list[Verdict], words: str) -> None:
    now = 0.0
    for now, each in enumerate(results, 1):
        state.apply(each, now)
    assert state.missing(now) == words


def test_after_the_grace_time_a_bad_result_counts_also_in_words() -> None:
    assert hysteresis("2", grace=5).missing(6) == "fails after 2 bad results in a row"

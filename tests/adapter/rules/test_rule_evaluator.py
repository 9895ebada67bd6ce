"""Rules evaluated over expositions: the result, and its reason.

`test_promql` compares the values of expressions with a real Prometheus. Here are the rules' own features.
"""

from __future__ import annotations

import pytest

from sidecars.adapter.rules.results import RuleResult
from sidecars.adapter.rules.rule import parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator
from tests.adapter.evaluation import NOW, PAGE, evaluate, over_time

# -- a rule holds, or says which series breaks it -----------------------------------------------------------------


def test_a_rule_that_holds_shows_the_series_that_is_nearest_to_breaking_it() -> None:
    assert evaluate("q: queue_length < 20") == RuleResult(
        parse_rules("q: queue_length < 20")[0],
        "ok",
        15,
        20,
        'queue_length{queue="c"}',
        0,
        3,
        'queue_length{queue="c"} is 15, wanted < 20',
    )


def test_a_broken_rule_shows_the_series_that_is_farthest_beyond_and_counts_the_others() -> None:
    result = evaluate("q: queue_length < 10 warn")

    assert (result.state, result.status) == ("warn", "warn")
    assert (result.value, result.threshold, result.series) == (15, 10, 'queue_length{queue="c"}')
    assert (result.offending, result.total) == (2, 3)
    assert result.reason == 'queue_length{queue="c"} is 15, wanted < 10 (and 1 more of 3)'


@pytest.mark.parametrize(
    ("rule", "state", "reason"),
    [
        (
            "heap_used / heap_max < 0.9 warn",
            "warn",
            'heap_used / heap_max of {area="heap"} is 0.95, wanted < 0.9',
        ),
        ("sum(queue_length) >= 100", "fail", "sum(queue_length) is 30, wanted >= 100"),
        ('queue_length{queue="a"} == 3', "ok", 'queue_length{queue="a"} is 3, wanted == 3'),
        ("max(queue_length) != 15", "fail", "max(queue_length) is 15, wanted != 15"),
        ("10 > queue_length{queue='a'}", "ok", 'queue_length{queue="a"} is 3, wanted < 10'),
        ("1m > max(queue_length)", "ok", "max(queue_length) is 15, wanted < 1m"),
        ("flag", "ok", "flag is 1, wanted other than 0"),
        ("zero", "fail", "zero is 0, wanted other than 0"),
        ("flag == bool 1", "ok", "flag == bool 1 is 1, wanted other than 0"),
        ("flag / zero < 5", "fail", "flag / zero is inf, wanted < 5"),
        ("absent(panic_total)", "ok", "panic_total is absent"),
        ("absent(flag) == 1", "no-data", "absent(flag) == 1 has no value: no series is left on which to judge"),
        (
            'queue_length{queue!="c"} < queue_limit',
            "ok",
            'queue_length{queue="a"} is 3, wanted < queue_limit, which is 10',
        ),
        (
            'queue_length{queue!="c"} * 2 < queue_limit',
            "fail",
            'queue_length{queue!="c"} * 2 of {queue="b"} is 24, wanted < queue_limit, which is 20',
        ),
        ("flag > 2 * (zero + 5)", "fail", "flag is 1, wanted > 2 * (zero + 5), which is 10"),
        ("(zero + 5) * -(flag) > 2", "fail", "(zero + 5) * -(flag) is -5, wanted > 2"),
    ],
)
def test_the_reason_is_a_sentence(rule: str, state: str, reason: str) -> None:
    result = evaluate(f"x: {rule}")

    assert result.reason == reason
    assert result.state == state


def test_a_reason_stays_short_whatever_the_app_exposes() -> None:
    page = 'x{a="' + "é" * 5000 + '"} 1\n'

    result = evaluate(f"x: {'x + ' * 200} x < 1", page)

    assert len(result.reason) <= 300
    assert len(evaluate("x: x < 1", page).reason) <= 300


def test_a_reason_has_nothing_in_it_that_a_terminal_would_obey() -> None:
    result = evaluate("x: x < 1", 'x{a="\\n\x1b[2J\\"\u202e"} 1\n')

    assert result.reason == 'x{a="\\n\\x1b[2J\\"\\x202e"} is 1, wanted < 1'


# -- no data is never healthy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("missing < 5 warn", "there is no series missing"),
        ('queue_length{queue="z"} < 5', 'there is no series queue_length{queue="z"}'),
        ("heap_used / missing < 5", "there is no series missing"),
        ("sum(missing) < 5", "there is no series missing"),
        ("flag < missing", "there is no series missing"),
        ("stale(missing[1m]) == 0", "there is no series missing[1m]"),
        ("count(flag == 5) > 0", "count(flag == 5) > 0 has no value: no series is left on which to judge"),
        ("heap_used / queue_length < 5", "heap_used / queue_length < 5 has no value: no series is left"),
        ("absent(flag)", "flag is there, and must not be"),
        ("ratio < 5", "ratio is not a number, wanted < 5"),
        ("ratio != 5", "ratio is not a number, wanted != 5"),
        ("ratio", "ratio is not a number, wanted other than 0"),
        ("zero / zero < 5", "zero / zero is not a number"),
        ("flag < ratio", "what flag is compared with is not a number"),
        ("queue_length < queue_limit", 'queue_length{queue="c"} has no partner in queue_limit'),
        ("rate(flag[1m]) < 5", "rate needs two samples of flag[1m], and has not seen so much yet"),
        (
            '{__name__=~"heap.*"} + 1 > 0',
            'without their names several series are the same: {area="heap"}',
        ),
        (
            "queue_length * on () queue_limit < 5",
            'queue_limit{queue="a"} and queue_limit{queue="b"} on the right match the same series',
        ),
        (
            'queue_length < on () queue_limit{queue="a"}',
            'queue_length{queue="a"} and queue_length{queue="b"} on the left match the same series',
        ),
    ],
)
def test_without_data_a_rule_fails_whatever_its_severity_and_says_why(rule: str, reason: str) -> None:
    result = evaluate(f"x: {rule}")

    assert result.state == "no-data"
    assert result.status == "fail"
    assert result.reason.startswith(reason)
    assert result.value is None


def test_a_series_that_is_beyond_counts_more_than_one_that_cannot_be_judged() -> None:
    result = evaluate("x: queue_length < 10", PAGE.replace("15", "NaN"))

    assert (result.state, result.offending, result.total) == ("fail", 1, 3)


def test_a_rule_may_say_that_a_missing_series_is_well() -> None:
    assert evaluate("x: (missing or vector(0)) < 5").state == "ok"
    assert evaluate("x: (sum(queue_length) or vector(0)) < 5").state == "fail"


def test_when_the_app_does_not_answer_every_rule_is_without_data() -> None:
    results = RuleEvaluator(parse_rules("a: flag; b: absent(panic_total) warn")).no_data_results("the app is down")

    assert [(result.state, result.reason) for result in results] == [("no-data", "the app is down")] * 2


# -- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seen", "state"), [(NOW - 59, "ok"), (NOW - 61, "fail"), (0, "fail"), (NOW + 59, "ok")])
def test_age_is_how_long_ago_a_timestamp_is(seen: float, state: str) -> None:
    assert evaluate("x: age(polled_timestamp_seconds) < 60s", f"polled_timestamp_seconds {seen}\n").state == state


def test_a_timestamp_in_the_future_has_no_age() -> None:
    in_milliseconds = f"polled_timestamp {NOW * 1000}\n"

    assert evaluate("x: age(polled_timestamp) < 60s", in_milliseconds).state == "no-data"


def test_a_sample_with_an_old_timestamp_is_no_sample() -> None:
    result = evaluate("x: up == 1", f"up 1 {int(NOW - 301) * 1000}\n")

    assert (result.state, result.reason) == ("no-data", "the newest sample of up is 301s old")
    assert evaluate("x: up == 1", f"up 1 {int(NOW - 299) * 1000}\n").state == "ok"


@pytest.mark.parametrize("rule", ["up == 1", "absent(up)", "(up or vector(1)) == 1", "rate(up[1m]) < 1"])
def test_a_sample_whose_time_is_yet_to_come_is_no_data(rule: str) -> None:
    in_microseconds = f"up 1 {NOW * 1_000_000:.0f}\n"

    result = evaluate(f"x: {rule}", in_microseconds)

    assert result.state == "no-data"
    assert "s ahead of the clock" in result.reason
    assert evaluate("x: up == 1", f"up 1 {(NOW + 59) * 1000:.0f}\n").state == "ok"
    assert evaluate('x: up{a="1"} == 1', f'up{{a="1"}} 1\nup{{a="2"}} 1 {NOW * 2000:.0f}\n').state == "ok"


# -- metrics that contradict themselves -----------------------------------------------------------------------------

TORN = 'up 1\n# TYPE jobs histogram\njobs_bucket{le="+Inf"} 2\njobs_count 3\n'


@pytest.mark.parametrize(
    "rule",
    [
        "jobs_count < 100",
        'jobs_bucket{le="+Inf"} < 100',
        "jobs_sum < 100",
        "absent(jobs_count)",
        "(jobs_count or vector(0)) < 100",
        "up < jobs_count",
        "rate(jobs_count[1m]) < 5",
        '{__name__=~"jobs.*"} < 100',
        'count({__name__=~".+"}) < 100',
    ],
)
def test_a_rule_that_reads_a_metric_that_contradicts_itself_has_no_data_and_says_why(rule: str) -> None:
    result = evaluate(rule, TORN)

    assert result.state == "no-data"
    assert "cannot be used: line 3: jobs_count is 3, but its bucket" in result.reason


@pytest.mark.parametrize("rule", ["up == 1", '{__name__=~"up"} == 1', "absent(jobs)", "absent(job_count)"])
def test_a_rule_that_does_not_read_it_is_judged(rule: str) -> None:
    assert evaluate(rule, TORN).state == "ok"


def test_the_past_of_a_counter_outlives_a_page_in_which_it_contradicts_itself() -> None:
    whole = TORN.replace("jobs_count 3", "jobs_count 2")
    later = whole.replace(" 2\n", " 8\n")

    result = over_time("rate(jobs_count[1m]) < 5", (0, whole), (10, TORN), (20, later))

    assert result.state == "ok"
    assert result.value

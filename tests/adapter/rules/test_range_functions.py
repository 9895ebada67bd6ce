"""The range functions `rate`, `increase` and `stale` over the expositions of a rule. `test_promql` has their values."""

from __future__ import annotations

import pytest

from tests.adapter.evaluation import NOW, over_time


def test_what_does_not_change_for_the_whole_range_is_stale() -> None:
    rule = "x: stale(jobs_total[1m]) == 0"

    assert over_time(rule, (0, "jobs_total 1\n"), (59, "jobs_total 1\n")).state == "no-data"
    assert over_time(rule, (0, "jobs_total 1\n"), (5, "jobs_total 2\n")).state == "ok"
    assert over_time(rule, (0, "jobs_total 1\n"), (5, "jobs_total 2\n"), (64, "jobs_total 2\n")).state == "ok"
    assert over_time(rule, (0, "jobs_total 1\n"), (5, "jobs_total 2\n"), (65, "jobs_total 2\n")).state == "fail"
    assert over_time(rule, (0, "jobs_total 1\n"), (60, "jobs_total 1\n")).state == "fail"
    assert over_time(rule, (0, "jobs_total NaN\n"), (60, "jobs_total NaN\n")).state == "fail"


def test_a_counter_that_begins_anew_has_still_counted() -> None:
    pages = [(float(n * 10), f"x_total {value}\n") for n, value in enumerate([10, 20, 5, 15, 25, 35, 45])]

    result = over_time("x: increase(x_total[1m]) < 5", *pages)

    assert result.value == pytest.approx(10 + 5 + 10 + 10 + 10 + 10)


def test_the_samples_own_timestamps_count() -> None:
    pages = [(n * 10 + 5, f"x_total {n * 10} {int(NOW + n * 10) * 1000}\n") for n in range(1, 9)]
    again = (90.0, pages[-1][1])

    assert over_time("x: rate(x_total[1m]) < 5", *pages, again).value == pytest.approx(1)

"""Histories of series: limits of their age, number and density; the history of a series that is gone is dropped."""

from __future__ import annotations

import pytest

from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.exposition.sample import Sample
from sidecars.adapter.rules import series_history
from sidecars.adapter.rules.range_functions import rate
from sidecars.adapter.rules.rule import parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator
from tests.adapter.evaluation import NOW, evaluate, over_time


def test_a_series_that_is_gone_is_no_data_even_where_its_past_is_known() -> None:
    result = over_time("x: rate(x_total[1m]) < 5", (0, "x_total 1\n"), (5, "x_total 2\n"), (10, "y_total 1\n"))

    assert (result.state, result.reason) == ("no-data", "there is no series x_total[1m]")


def test_only_what_a_range_selects_is_remembered_and_no_longer_than_it() -> None:
    evaluator = RuleEvaluator(parse_rules('x: rate(a{n="1"}[1m]) < 5; y: b < 5'))
    pages = ['a{n="1"} 1\na{n="2"} 1\nb 1\n', "b 1\n"]

    evaluator.evaluate(parse_page(pages[0].encode(), "", 10), NOW)
    assert evaluator.series_kept() == 1
    evaluator.evaluate(parse_page(pages[1].encode(), "", 10), NOW + 60)
    assert evaluator.series_kept() == 1
    evaluator.evaluate(parse_page(pages[1].encode(), "", 10), NOW + 61)
    assert evaluator.series_kept() == 0


def test_however_often_it_is_judged_the_past_stays_small_and_the_rate_right() -> None:
    kept = series_history.SelectorHistory(60.0)
    for n in range(20_000):
        sample = Sample("x_total", (), float(n % 5000))
        kept.observe([sample], NOW + n / 100)
    window = kept.window(sample, NOW + n / 100)

    assert len(window.series.times) < 250
    assert rate(window) == pytest.approx(100, rel=0.02)


def test_more_series_than_are_remembered_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_history, "MAX_SERIES", 10)
    page = "".join(f'x_total{{n="{n}"}} 1\n' for n in range(11))

    result = evaluate("x: rate(x_total[1m]) < 5", page)

    assert (result.state, result.reason) == (
        "no-data",
        "x_total[1m] selects more than 10 series, too many to remember",
    )


def test_when_the_clock_is_set_back_the_past_begins_anew() -> None:
    pages = [(100.0, "x_total 100\n"), (110.0, "x_total 200\n"), (50.0, "x_total 210\n"), (60.0, "x_total 220\n")]

    result = over_time("x: increase(x_total[20s]) < 500", *pages)

    assert result.value == pytest.approx(20)

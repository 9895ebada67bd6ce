"""Rates and quantiles of the last minute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.top.measures import Cell, Measures, cumulative


def test_a_rate_is_the_increase_a_second_over_the_last_ten_seconds() -> None:
    cell = Cell()
    rates = [cell.rate(2.0 * look, 10.0 * look if look < 10 else 90.0) for look in range(17)]

    assert rates[0] is None
    assert rates[1:10] == [5.0] * 9
    assert rates[16] == 0.0
    assert len(cell.line) == 16


@pytest.mark.parametrize(
    ("uptime", "counter"), [(12.0, 3.0), (1.0, 100.0), (60.0, 100.0)], ids=["counter", "restart", "outage"]
)
def test_a_restart_and_an_outage_begin_the_cell_anew(uptime: float, counter: float) -> None:
    cell = Cell()
    for look in range(5):
        cell.rate(2.0 * look + 2, 20.0 * look)

    assert cell.rate(uptime, counter) is None
    assert cell.rate(uptime + 2, counter + 8) == 4.0
    assert list(cell.line) == [4.0]


def test_a_status_that_is_drawn_again_changes_nothing() -> None:
    cell = Cell()
    cell.rate(1.0, 0.0)

    assert [cell.rate(3.0, 8.0) for _ in range(5)] == [4.0] * 5
    assert list(cell.line) == [4.0]


def test_a_quantile_is_that_of_the_last_minute_alone() -> None:
    cell = Cell()
    slow = cumulative({"0.1": 0, "1": 1000, "+Inf": 1000})
    cell.quantile(0.0, slow, 0.5)

    latest = [
        cell.quantile(2.0 * look, cumulative([[0.1, 10 * look], [1, 1000 + 10 * look]]), 0.5) for look in range(1, 40)
    ]

    assert latest[-1] is not None
    assert latest[-1] <= 0.1


@pytest.mark.parametrize("value", [None, 7, "x", [1], [[1, 2, 3]], {"a": 1}, [["x", None]]])
def test_buckets_of_another_form_are_none(value: object) -> None:
    assert cumulative(value) == []


def test_cells_that_are_no_longer_shown_are_forgotten() -> None:
    measures = Measures()
    kept = measures.cell("kept")
    measures.cell("gone")
    measures.end_round()

    assert measures.cell("kept") is kept
    measures.end_round()
    assert len(measures._cells) == 1


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=50))
def test_no_rate_is_negative(values: list[tuple[float, float]]) -> None:
    cell = Cell()
    rates = [cell.rate(uptime, counter) for uptime, counter in values]

    assert all(rate is None or rate >= 0 for rate in rates)

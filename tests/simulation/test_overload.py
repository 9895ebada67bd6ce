"""The simulation in short runs: `make simulation` has the long ones, and the plots."""

from __future__ import annotations

import pytest

from tests.simulation import promises, table
from tests.simulation.scenarios import ADAPTIVE, Times, overload

SHORT = Times(calm=3, long=6, after=3)


def test_each_limit_keeps_the_goodput_near_the_capacity_in_three_times_the_load() -> None:
    assert not list(promises.of_overload(SHORT, seed=1))


def test_retries_of_what_a_full_upstream_refuses_make_no_storm() -> None:
    assert not list(promises.of_refusals(Times(calm=2, long=5, after=3), seed=1))


def test_replicas_that_obey_the_deadlines_that_they_are_told_recover_at_once() -> None:
    assert not list(promises.of_deadlines(Times(calm=3, long=5, after=3), seed=1))


def test_a_client_that_wants_little_gets_all_of_it_beside_a_greedy_one() -> None:
    assert not list(promises.of_fairness(SHORT, seed=1))


def test_a_slow_replica_a_failing_one_and_a_dead_zone_cost_little() -> None:
    assert not list(promises.of_faults(Times(calm=3, long=6, after=4), seed=1, among=[ADAPTIVE]))


def test_a_replica_that_fails_now_and_then_is_ejected_and_no_healthy_one() -> None:
    assert not list(promises.of_failure_rate(Times(calm=2, long=12, after=2), seed=1))


def test_a_limit_refuses_nothing_while_there_is_room() -> None:
    assert not list(promises.of_health(6, seed=1))


def test_a_seed_gives_the_same_run_again() -> None:
    results = []
    for _ in range(2):
        with overload(ADAPTIVE, Times(calm=2, long=2, after=1), seed=7) as run:
            results.append((run.sent, dict(run.apps[0].results), run.limits, run.loop.steps))
    assert results[0] == results[1]


def test_the_table_has_the_median_and_the_range_of_all_seeds() -> None:
    assert table.cell([3.0, 1.0, 2.0], lambda value: f"{value:.0f} s") == "2 s (1 s to 3 s)"
    assert table.cell([0.9, 1.1, 1.0], lambda value: f"{value:.0f} s") == "1 s"
    head, _, *rows = table.lines(Times(calm=6, long=6, after=1), [1])
    assert head.startswith("| limit, 1 seeds |")
    assert rows[0].startswith("| none |")
    assert len(rows) == 4


def test_the_promises_can_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "MOST_ATTEMPTS", 0.1)
    assert any("attempts for" in broken for broken in promises.of_fairness(Times(calm=1, long=1, after=1), seed=1))

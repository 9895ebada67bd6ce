"""Hedges in short runs of the simulation: `make simulation` has the long ones."""

from __future__ import annotations

import pytest

from tests.simulation import hedges
from tests.simulation.scenarios import Times

SHORT = Times(calm=5, long=8, after=4)


def test_hedges_shorten_the_tail_within_their_budget_and_make_no_storm_when_all_are_slow() -> None:
    assert not list(hedges.promises(SHORT, seed=1))


def test_hedges_that_cost_nothing_would_make_a_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove that the promise can break: it is the budget that bounds hedges after a fixed time."""
    settings = {"HEDGE_AFTER": "100ms"}
    with hedges.all_slow(settings, SHORT, seed=1) as run:
        assert run.attempts / run.sent < 1.35
    monkeypatch.setattr("sidecars.ambassador.upstream.retry_budget.RetryBudget.spend_on_hedge", lambda _: True)
    with hedges.all_slow(settings, SHORT, seed=1) as run:
        assert run.attempts / run.sent > 1.5

"""The ledger decides the demo's exit code, so it must be able to fail."""

from __future__ import annotations

from demo.ledger import Ledger


def test_an_empty_ledger_does_not_hold() -> None:
    assert not Ledger().holds


def test_a_ledger_holds_when_every_entry_does() -> None:
    ledger = Ledger()
    ledger.expect("warcopier", "exit code", 0, 0)
    ledger.expect("adapter", "health", 503, 503)
    assert ledger.holds


def test_one_wrong_entry_is_enough_for_a_ledger_not_to_hold() -> None:
    ledger = Ledger()
    ledger.expect("warcopier", "exit code", 0, 0)
    ledger.expect("logshipper", "lines", 1000, 999)
    assert not ledger.holds


def test_the_figures_of_an_entry_are_words_for_readers() -> None:
    ledger = Ledger()
    ledger.expect("adapter", "the 503 did not wait", True, True)
    ledger.expect("adapter", "the 503 did not wait", True, False)
    ledger.expect("adapter", "exit code", 0, 1)
    assert [entry.figures for entry in ledger.entries] == ["yes", "no (expected yes)", "1 (expected 0)"]

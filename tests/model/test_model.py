"""The journal protocol of the logshipper, in all interleavings: README.md says what is promised."""

from __future__ import annotations

import pytest

from tests.model.checker import MissingTool, check

SMALL: dict[str, int | None] = {"N": 2, "KILLS": 1, "LOSSES": 0, "FAILURES": 1}
FAULTS = (
    "NO_SEND_ENTRY",
    "SEND_ENTRY_AFTER_THE_WIRE",
    "SNAPSHOT_BEFORE_THE_NEW_JOURNAL",
    "SNAPSHOT_WITHOUT_THE_BATCH",
    "ONLY_THE_FIRST_JOURNAL_IS_READ",
    "BATCHES_IN_FLIGHT_ARE_FORGOTTEN",
    "POSITION_MOVES_BEFORE_THE_ANSWER",
    "PROBLEM_FORGOTTEN",
)


@pytest.mark.parametrize(
    "constants",
    [
        {"N": 4, "KILLS": 2, "LOSSES": 0, "FAILURES": 0},
        {"N": 3, "KILLS": 1, "LOSSES": 1, "FAILURES": 0},
        {"N": 2, "KILLS": 1, "LOSSES": 1, "FAILURES": 1},
        {"N": 2, "KILLS": 1, "LOSSES": 0, "FAILURES": 0, "FILES": 2},
        {"N": 2, "KILLS": 1, "LOSSES": 0, "FAILURES": 0, "SINKS": 2},
    ],
    ids=["kills", "power is lost", "a write fails", "the file is created anew", "two sinks"],
)
def test_all_is_delivered_and_no_unit_comes_under_two_keys(constants: dict[str, int | None]) -> None:
    outcome = check(constants)

    assert outcome.error == ""
    assert outcome.states > 1000


@pytest.mark.parametrize("fault", FAULTS)
def test_a_deliberate_fault_is_refuted_so_the_model_can_fail(fault: str) -> None:
    assert "assertion violated" in check({**SMALL, fault: None}).error


def test_a_missing_spin_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _tool: None)

    with pytest.raises(MissingTool, match=r"spin is needed .*: apt-get install spin"):
        check(SMALL)

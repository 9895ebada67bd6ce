"""The model of the kubelet that computes how much later an app starts because of its sidecars."""

from __future__ import annotations

import pytest

from benchmarks.pod_start import BOOT, COPIER, Step, delay, delays


def test_without_sidecars_the_app_is_not_late() -> None:
    assert set(delays((), 0)) == {0.0}


def test_a_plain_container_before_the_app_costs_its_creation_alone() -> None:
    assert delay((), 2, (0.3, 0.7), create=0.2) == pytest.approx(0.4)


def test_the_next_container_waits_for_the_list_that_sees_the_one_before() -> None:
    assert delay((Step("adapter"),), 0, (0.5, 0.0), create=0.2) == pytest.approx(0.5)
    assert delay((Step("adapter"),), 0, (0.1, 0.0), create=0.2) == pytest.approx(1.1)
    assert delay((COPIER,), 0, (0.5, 0.0), create=0.2, boot=0.4) == pytest.approx(1.5), "it must have ended"


def test_a_startup_probe_is_asked_after_the_list_and_when_the_sidecar_answers() -> None:
    probed = (Step("logshipper", probed=True),)
    assert delay(probed, 0, (0.5, 0.8), create=0.2, boot=0.1) == pytest.approx(0.8)
    assert delay(probed, 0, (0.5, 0.4), create=0.2, boot=0.1) == pytest.approx(1.4)
    assert delay(probed, 0, (0.5, 0.8), create=0.2, boot=0.7) == pytest.approx(1.8), "it did not answer the first"


def test_a_startup_probe_costs_at_most_a_period_and_the_boot_more_than_none() -> None:
    for phases in ((a / 10, b / 10) for a in range(10) for b in range(10)):
        with_probe = delay((Step("a", probed=True),), 0, phases)
        without = delay((Step("a"),), 0, phases)
        assert without <= with_probe <= without + 1 + BOOT
